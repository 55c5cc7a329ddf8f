"""A conversation, put together from pages."""

from __future__ import annotations

from msgspec import structs

from opensymphony.tui import transcript
from opensymphony.tui.blocks import Block, seen_lines
from opensymphony.tui.transcript import Talk, diff_style, entry_block
from opensymphony.views import TranscriptEntry, TranscriptPage
from tests.tui.scenes import FORGED, TALK


def page(*seqs: int, conversation: str = "c", before: int | None = None) -> TranscriptPage:
    entries = tuple(TranscriptEntry(seq=seq, kind="message", text=f"said {seq}") for seq in seqs)
    return TranscriptPage(conversation_id=conversation, entries=entries, before=before, after=seqs[-1] if seqs else -1)


def seqs(talk: Talk) -> list[int]:
    return [int(block.key.split()[1]) for block in talk.blocks if block.key.startswith("entry")]


def text(block: Block, unfolded: bool = False) -> str:
    return "\n".join(line.plain for line in seen_lines(block, unfolded))


def test_pages_are_joined_without_gap_and_without_doubles() -> None:
    """Newer at the end, older at the beginning, each once; blocks that are known stay the same."""
    talk = Talk()
    assert not talk.add(page()) and text(talk.blocks[0]) == "nothing was said yet"
    assert talk.add(page(5, 6, before=5, conversation="d"))
    first = talk.blocks[1]
    assert "page up loads them" in text(talk.blocks[0])
    for known, new in ((page(6, 7, conversation="d"), True), (page(7, conversation="d"), False)):
        assert talk.add(known) is new
    talk.add_older(page(3, 4, 5, before=3, conversation="d"))
    talk.add_older(page(1, 2, conversation="d"))
    assert seqs(talk) == [1, 2, 3, 4, 5, 6, 7] and talk.after == 7 and talk.before is None
    assert first in talk.blocks and "beginning of the conversation" in text(talk.blocks[0])


def test_another_conversation_takes_the_place() -> None:
    """Nothing of the former one is left; a late page of it is not taken."""
    talk = Talk()
    talk.add(page(5, 6))
    talk.add(page(1, conversation="d"))
    talk.add_older(page(3))
    assert seqs(talk) == [1] and talk.conversation_id == "d" and talk.after == 1


def test_there_is_a_limit(monkeypatch) -> None:
    """While it is followed the oldest go and can be had again; while it is read backwards the newest."""
    monkeypatch.setattr(transcript, "ENTRIES_MAX", 4)
    talk = Talk()
    talk.add(page(5, 6, 7, 8))
    talk.add(page(9, 10))
    assert seqs(talk) == [7, 8, 9, 10] and talk.before == 7
    talk.add_older(page(5, 6, before=5))
    assert seqs(talk) == [5, 6, 7, 8] and (talk.before, talk.after) == (5, 8)
    talk.add(page(9))
    assert seqs(talk) == [6, 7, 8, 9]


def test_a_tool_call_reads_as_what_it_is() -> None:
    """The command, how it ended, the output with its middle folded; the change of a file in colours."""
    blocks = {entry.seq: entry_block(entry) for entry in TALK}
    assert text(blocks[3]) == "\n22:04:16 terminal  find it\n  $ grep -rn discount src/"
    assert text(blocks[4]).startswith("  ↳ exit code 0  2 lines\n    src/basket.py:41")
    failed = text(blocks[8])
    assert failed.startswith("  ↳ exit code 1  40 lines") and "… 30 more lines (Enter)" in failed
    assert failed.endswith("2 failed, 39 passed") and len(text(blocks[8], unfolded=True).split("\n")) == 41
    assert [line.spans[0].style if line.spans else line.style for line in blocks[6].body] == [
        "hunk",
        "removed",
        "added",
    ]
    assert text(blocks[5]).endswith('file_editor  src/basket.py\n  {"command": "str_replace"}')


def test_who_speaks_is_told_apart() -> None:
    """The daemon, a person, the agent, its thoughts, errors."""
    prompt = TALK[0]
    assert "to the agent" in text(entry_block(prompt))
    assert "a person" in text(entry_block(structs.replace(prompt, key="")))
    assert "a person" in text(entry_block(structs.replace(prompt, key="debug/1")))
    assert "22:05:20 agent" in text(entry_block(TALK[8]))
    assert text(entry_block(structs.replace(TALK[9], kind="error", text="a\nb"))) == "22:05:20 error: a b\n  b"
    for kind in ("plan", "question"):
        assert f" {kind}\n  running" in text(entry_block(structs.replace(TALK[9], kind=kind)))


def test_ends_of_calls() -> None:
    """Still running, failed without a code, without output."""
    result = structs.replace(TALK[3], text="", exit_code=None)
    assert text(entry_block(result)) == "  ↳ done  no output"
    assert text(entry_block(structs.replace(result, failed=True))) == "  ↳ failed  no output"
    assert text(entry_block(structs.replace(result, exit_code=-1))) == "  ↳ still running  no output"
    long = structs.replace(TALK[4], arguments='{"a": "' + "x" * 200 + '", "b": 1}', path="")
    assert '    "b": 1' in text(entry_block(long))
    assert "{torn" in text(entry_block(structs.replace(long, arguments="{torn" + "x" * 200)))


def test_nothing_of_an_entry_is_obeyed() -> None:
    """In any of its texts, of any kind."""
    for kind in ("prompt", "message", "thought", "call", "result", "plan", "condensation", "error", "status", "other"):
        for name in ("text", "tool", "command", "arguments", "path", "diff", "at"):
            entry = structs.replace(TALK[2], kind=kind, **{name: FORGED})
            for line in seen_lines(entry_block(entry), True):
                assert line.plain.isprintable(), (kind, name)


def test_lines_of_a_diff_have_their_kind() -> None:
    """Heads of files are neither added nor removed."""
    lines = ["@@ -1 +1 @@", "+++ b/x", "--- a/x", "+new", "-old", " same", "index 1..2"]
    assert [diff_style(line) for line in lines] == ["hunk", "quiet", "quiet", "added", "removed", "", "quiet"]
