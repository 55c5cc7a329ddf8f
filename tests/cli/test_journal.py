"""`opensymphony journal export` and `replay`."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import anyio
import msgspec
import pytest

from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.records import FORMAT, decode_record, encode_record
from opensymphony.store.sqlite import Journal
from opensymphony.views import Snapshot
from tests.cli.program import call, write_workflow
from tests.scheduler.playbook import Playbook


@pytest.fixture
def store(here: Path) -> Path:
    """A store whose daemon has seen one ticket from its appearance to its review."""
    write_workflow(here)
    (here / "opensymphony.toml").write_text('[store]\ndirectory = "store"\n')
    book = Playbook()
    book.ticket("A-1", description="Xanthippe wants it blue")
    book.settle_all()

    async def write() -> None:
        journal = await Journal.open(here / "store" / "journal.db", format_number=FORMAT)
        await journal.append(list(enumerate(book.records, 1)))
        await journal.close()

    anyio.run(write)
    return here / "store"


def test_export_and_replay_work_as_a_person_would_use_them(store: Path, here: Path) -> None:
    """Export to a private file, send it away, look at it there, at its end and in its middle, and decide it anew."""
    said = call("journal", "export", "--output", "bug.jsonl")
    assert (said.code, said.out, said.lines) == (0, "", ["wrote bug.jsonl: read it before you give it away"])
    assert stat.S_IMODE((here / "bug.jsonl").stat().st_mode) == 0o600
    exported = (here / "bug.jsonl").read_text()
    assert "xanthippe" not in exported.lower()
    assert call("journal", "export").out == exported
    shown = call("journal", "replay", "bug.jsonl")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[1].startswith("KEY-0001     in review")
    middle = call("journal", "replay", "bug.jsonl", "--until", "5")
    assert middle.out.splitlines()[1].startswith("KEY-0001     running")
    anew = call("journal", "replay", "bug.jsonl", "--redecide")
    assert (anew.code, anew.out) == (0, f"{len(exported.splitlines()) - 1} records decided anew, 0 differ\n")


def test_replay_shows_the_store_as_status_would(store: Path) -> None:
    """With its own words, as text and as one document."""
    shown = call("journal", "replay")
    assert shown.out.splitlines()[1].startswith("A-1          in review         In Review    ready for review; turns 1")
    document = call("journal", "replay", "--json", "--until", "3")
    snapshot = msgspec.convert(json.loads(document.out), Snapshot)
    assert (snapshot.sequence, snapshot.status, snapshot.tickets[0].stage) == (3, "stopped", "rereading")


def test_a_part_can_be_exported(store: Path, here: Path) -> None:
    """From a record to a record, with the state before it."""
    said = call("journal", "export", "--since", "5", "--until", "9", "-o", "part.jsonl")
    assert said.code == 0
    header = json.loads((here / "part.jsonl").read_text().splitlines()[0])
    assert (header["first"], header["last"], header["checkpoint"]) == (5, 9, 4)
    assert call("journal", "replay", "part.jsonl", "--until", "7").code == 0


async def test_differences_are_shown_and_end_with_1(store: Path, here: Path) -> None:
    """Record, event and ticket, then what is missing and what is added; as one document with --json."""
    journal = await Journal.open(store / "journal.db", format_number=FORMAT)
    _, rows = await journal.load()
    number = next(n for n, body in rows if any(isinstance(one, d.RunEnded) for one in decode_record(body).decisions))
    record = decode_record(rows[number - 1][1])
    other = tuple(
        msgspec.structs.replace(one, failures=3) if isinstance(one, d.RunEnded) else one for one in record.decisions
    )
    changed = encode_record(msgspec.structs.replace(record, decisions=other))
    journal._connection.execute("UPDATE records SET body = ? WHERE sequence = ?", (changed, number))
    await journal.close()
    said = call("journal", "replay", "--redecide")
    assert said.code == 1
    assert said.out.splitlines() == [
        f"record {number} ClaimReleased A-1",
        '  - RunEnded {"ticket_id":"A-1","failures":3}',
        '  + RunEnded {"ticket_id":"A-1","failures":0}',
        f"{len(rows)} records decided anew, 1 differ",
    ]
    document = call("journal", "replay", "--redecide", "--json")
    assert document.code == 1
    found = json.loads(document.out)
    assert (found["records"], [one["record"] for one in found["differences"]]) == (len(rows), [number])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("export", "--output", "nowhere/x"),
            "nowhere/x cannot be written (No such file or directory): name another file",
        ),
        (("export", "--output", "."), ". cannot be written"),
        (("export", "--since", "99"), "there is no record 99 to begin with in "),
        (("export", "--until", "99"), "there is no record 99 to show in "),
        (("replay", "--until", "0"), "there is no record 0 to show in "),
        (("replay", "--until", "-7", "--redecide"), "there is no record -7 to show in "),
        (
            ("replay", "WORKFLOW.md"),
            "WORKFLOW.md is not an exported journal: make one with `opensymphony journal export`",
        ),
        (("replay", "none.jsonl"), "none.jsonl cannot be read (No such file or directory)"),
        (("replay", "--workflow", "other/WORKFLOW.md"), "there is no journal at "),
    ],
)
def test_nonsense_is_answered_in_one_line(arguments: tuple[str, ...], said: str, store: Path) -> None:
    """Exit code 1, nothing on standard output, no traceback."""
    done = call("journal", *arguments)
    assert (done.code, done.out, len(done.lines)) == (1, "", 1)
    assert done.lines[0].startswith(f"opensymphony: {said}")


def test_a_part_that_ends_before_it_begins_is_refused(store: Path) -> None:
    """A usage error, and not a word about records that are not there."""
    done = call("journal", "export", "--since", "5", "--until", "3")
    assert (done.code, done.out) == (2, "")
    assert done.lines == ["opensymphony: --since 5 is after --until 3: give a first record that comes before the last"]


def test_a_damaged_store_is_told(store: Path) -> None:
    """By both commands, with what to do."""
    (store / "journal.db").write_bytes(b"no journal" * 500)
    for command in ("export", "replay"):
        done = call("journal", command)
        assert (done.code, len(done.lines)) == (1, 1)
        assert done.lines[0].endswith("restore a backup, or move the journal away to start anew")
