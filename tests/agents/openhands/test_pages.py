"""A transcript page by page, from whatever lies in a conversation's directory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from opensymphony.agents.openhands import pages
from opensymphony.agents.openhands.event_files import EventFiles
from opensymphony.agents.openhands.pages import FIELD_CHARS_MAX, Page, read_page


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {
        "kind": "MessageEvent",
        "source": "agent",
        "llm_message": {"content": [{"type": "text", "text": text}]},
        **fields,
    }


def place(conversation: Path, seq: int) -> Path:
    (conversation / "events").mkdir(exist_ok=True)
    return conversation / "events" / f"event-{seq:05d}-{seq:08x}-0000-4000-8000-000000000000.json"


def write(conversation: Path, *events: object, first: int = 0) -> None:
    for seq, event in enumerate(events, first):
        place(conversation, seq).write_bytes(event if isinstance(event, bytes) else json.dumps(event).encode())


def seqs(page: Page) -> list[int]:
    return [entry.seq for entry in page.entries]


def test_pages_go_back_to_the_beginning_and_on_to_the_end(tmp_path: Path) -> None:
    """Without gaps or doubles, whatever bookkeeping lies between; the numbers stay."""
    note = {"kind": "ConversationStateUpdateEvent", "key": "stats", "value": {}}
    write(tmp_path, *(said(str(seq)) if seq % 3 == 0 else note for seq in range(31)))
    newest = read_page(tmp_path, limit=4)
    assert (seqs(newest), newest.after) == ([21, 24, 27, 30], 30)
    back, before = seqs(newest), newest.before
    while before is not None:
        page = read_page(tmp_path, limit=4, before=before)
        back, before = seqs(page) + back, page.before
    assert back == list(range(0, 31, 3))
    on, after = list[int](), -1
    while True:
        page = read_page(tmp_path, limit=4, after=after)
        if not page.entries and page.after == after:
            break
        on, after = on + seqs(page), page.after
    assert (on, after) == (back, 30)
    write(tmp_path, said("new"), first=31)
    assert [(entry.seq, entry.text) for entry in read_page(tmp_path, limit=4, after=after).entries] == [(31, "new")]


def test_what_an_event_tells_stays_together(tmp_path: Path) -> None:
    """A thought and its call have one number: a page has both or none."""
    call = {"kind": "ActionEvent", "tool_name": "terminal", "thought": [{"type": "text", "text": "Hm."}], "action": {}}
    write(tmp_path, said("a"), call, said("b"))
    assert seqs(read_page(tmp_path, limit=2)) == [2]
    assert [(entry.seq, entry.kind) for entry in read_page(tmp_path, limit=1, before=2).entries] == [
        (1, "thought"),
        (1, "call"),
    ]


def test_an_empty_or_missing_log_is_an_empty_page(tmp_path: Path) -> None:
    assert read_page(tmp_path / "none", limit=5) == Page(entries=(), before=None, after=-1)
    assert read_page(tmp_path / "none", limit=5, after=7) == Page(entries=(), before=None, after=7)
    write(tmp_path, said("a"))
    assert read_page(tmp_path, limit=5, before=0) == Page(entries=(), before=None, after=-1)
    assert read_page(tmp_path, limit=5, after=9) == Page(entries=(), before=10, after=9)


@pytest.mark.parametrize("cut", [b"", b'{"kind": "Mess', b"{}"[:1]])
def test_what_is_being_written_comes_later(cut: bytes, tmp_path: Path) -> None:
    """The last event is awaited; one in the middle that was never written to its end is told as such."""
    write(tmp_path, said("a"), cut, said("b"), cut)
    page = read_page(tmp_path, limit=10)
    assert [(entry.seq, entry.kind) for entry in page.entries] == [(0, "message"), (1, "other"), (2, "message")]
    assert page.after == 2
    assert read_page(tmp_path, limit=10, after=2) == Page(entries=(), before=3, after=2)
    write(tmp_path, said("whole"), first=3)
    assert [entry.text for entry in read_page(tmp_path, limit=10, after=2).entries] == ["whole"]


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x00" * 100 + b"}",
        b'{"kind": "MessageEvent", "llm_message": {"content": [{"type": "text", "text": "\\ud800"}]}}',
        b'{"kind": "\xff\xfe"}',
        b'{"kind": 7}',
        b"[]}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"kind": "ActionEvent", "action": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
        b'{"kind": "ObservationEvent", "observation": {"content": [{"text": "' + b"\\u0000" * 50_000 + b'"}]}}',
    ],
)
def test_a_hostile_event_is_an_entry_like_others(hostile: bytes, tmp_path: Path) -> None:
    """Nothing is raised, and those around it are there."""
    write(tmp_path, said("a"), hostile, said("b"))
    page = read_page(tmp_path, limit=10)
    assert [entry.text for entry in page.entries if entry.seq != 1] == ["a", "b"]
    json.dumps([entry.text for entry in page.entries]).encode()


def test_links_and_what_is_no_file_are_not_followed(tmp_path: Path) -> None:
    """Neither in the place of an event, nor of the directory; nobody waits for a pipe."""
    secret = tmp_path / "secret"
    write_to = tmp_path / "conversation"
    write_to.mkdir()
    secret.mkdir()
    write(secret, said("of another conversation"))
    write(write_to, said("a"))
    place(write_to, 1).symlink_to(place(secret, 0))
    os.mkfifo(place(write_to, 2))
    place(write_to, 3).mkdir()
    write(write_to, said("b"), first=4)
    page = read_page(write_to, limit=10)
    assert [entry.text for entry in page.entries if entry.kind == "message"] == ["a", "b"]
    assert "another" not in str(page.entries)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "events").symlink_to(secret / "events")
    assert read_page(linked, limit=10).entries == ()
    assert EventFiles(linked).numbers() == []


def test_a_page_is_bounded_however_long_the_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text keeps its beginning and its end; a page of many ends sooner and says where."""
    write(tmp_path, *(said(f"begin{'x' * 100_000}end") for _ in range(8)))
    page = read_page(tmp_path, limit=500)
    assert len(page.entries) == 8
    for entry in page.entries:
        assert entry.text.startswith("begin") and entry.text.endswith("end")
        assert "[... 80,008 characters left out ...]" in entry.text
        assert len(entry.text) < FIELD_CHARS_MAX + 100
    monkeypatch.setattr(pages, "_PAGE_CHARS_MAX", 50_000)
    page = read_page(tmp_path, limit=500)
    assert (seqs(page), page.before) == ([6, 7], 6)
    page = read_page(tmp_path, limit=500, after=-1)
    assert (seqs(page), page.after) == ([0, 1], 1)
    monkeypatch.setattr(pages, "_READ_BYTES_MAX", 1)
    assert seqs(read_page(tmp_path, limit=500)) == [7], "one at least"
    monkeypatch.setattr(pages, "_EVENTS_MAX", 0)
    assert seqs(read_page(tmp_path, limit=500, before=7)) == [6]


def test_secrets_are_taken_out_before_a_text_is_cut(tmp_path: Path) -> None:
    """Else half of one could be left."""
    write(tmp_path, said("x" * (FIELD_CHARS_MAX * 3 // 4 - 4) + "sesame-open" + "y" * FIELD_CHARS_MAX))
    [entry] = read_page(tmp_path, limit=1, clean=lambda text: text.replace("sesame-open", "[redacted]")).entries
    assert "sesa" not in entry.text


def test_only_what_a_page_needs_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many events those of the page; the others are names in a directory."""
    (tmp_path / "events").mkdir()
    for seq in range(20_000):
        os.mknod(place(tmp_path, seq))
    write(tmp_path, *(said("hello") for _ in range(300)), first=20_000)
    read: list[str] = []
    content = EventFiles.content
    monkeypatch.setattr(EventFiles, "content", lambda self, name: (read.append(name), content(self, name))[1])
    page = read_page(tmp_path, limit=200)
    assert (len(page.entries), page.before, page.after) == (200, 20_100, 20_299)
    assert len(read) <= 201
