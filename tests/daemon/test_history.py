"""The past of a journal: any record of it, from a store or from a file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opensymphony.daemon.history import exported, open_export, open_store, replayed
from opensymphony.errors import StoreError
from opensymphony.model import ServerState
from opensymphony.scheduler.evolve import evolve
from opensymphony.scheduler.records import FORMAT, decode_record, encode_state
from opensymphony.scheduler.state import State
from opensymphony.scheduler.view import snapshot
from opensymphony.store.sqlite import Journal
from tests.scheduler.playbook import Playbook


@pytest.fixture
def book() -> Playbook:
    """Two tickets, from their appearance to their review."""
    made = Playbook()
    made.fold_every = 100_000
    made.ticket("A-1", priority=2)
    made.ticket("A-2", priority=1)
    made.settle_all()
    return made


@pytest.fixture
async def journal(tmp_path: Path, book: Playbook) -> AsyncIterator[Journal]:
    """Their journal, with a checkpoint at every tenth record."""
    opened = await Journal.open(tmp_path / "journal.db", format_number=FORMAT)
    await opened.append(list(enumerate(book.records, 1)))
    for sequence in range(10, len(book.records) + 1, 10):
        await opened.write_checkpoint(sequence, encode_state(folded(book, sequence)))
    yield opened
    await opened.close()


def folded(book: Playbook, until: int) -> State:
    state = State()
    for data in book.records[:until]:
        record = decode_record(data)
        for decision in record.decisions:
            evolve(state, decision)
        state.now_ms = max(state.now_ms, record.event.at_ms)
    return state


def write(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


async def test_the_state_after_any_record_is_as_status_showed_it(journal: Journal, book: Playbook) -> None:
    """Folded from the checkpoint before it; while the daemon's own connection is open."""
    with open_store(journal.path.parent) as history:
        assert (history.first, history.last, history.beginnings) == (1, len(book.records), (0, 10, 20, 30))
        for number in (1, 9, 10, 17, len(book.records)):
            state = folded(book, number)
            assert replayed(history, number) == snapshot(
                state, sequence=number, at_ms=state.now_ms, server=ServerState(status="stopped"), status="stopped"
            )
        assert replayed(history, None).sequence == len(book.records)


async def test_what_retention_took_is_not_shown(journal: Journal, book: Playbook) -> None:
    """Replay begins with the oldest checkpoint that is left, and says so."""
    while await journal.forget(10, 100):
        pass
    with open_store(journal.path.parent) as history:
        assert history.beginnings == (10, 20, 30)
        assert replayed(history, 12).sequence == 12
        for number in (9, 0, -1, len(book.records) + 1):
            with pytest.raises(StoreError) as refused:
                replayed(history, number)
            assert str(refused.value) == (
                f"there is no record {number} to show in {journal.path}: it has 10 to {len(book.records)}"
            )


@pytest.mark.parametrize("since", [None, 5, 10, 11, 25])
async def test_an_exported_journal_folds_like_the_store(
    since: int | None, journal: Journal, book: Playbook, tmp_path: Path
) -> None:
    """From wherever it begins: phases, stages, counts and times of the tickets are those of the store."""
    with open_store(journal.path.parent) as history:
        lines = list(exported(history, since, None))
        there = replayed(history, None)
    header = json.loads(lines[0])
    begin = (since or 1) - 1
    assert (header["first"], header["last"], header["records"]) == (
        begin + 1,
        len(book.records),
        len(book.records) - begin,
    )
    assert (header["format"], header["tickets"], header["checkpoint"]) == (FORMAT, 2, begin or None)
    with open_export(write(tmp_path / "export.jsonl", lines)) as history:
        here = replayed(history, None)
        assert history.state_after(len(book.records)).pending == {}
    kept = ("phase", "stage", "since_ms", "due_ms", "priority", "generation", "attempts", "turns", "usage", "outcome")
    assert [[getattr(view, name) for name in kept] for view in here.tickets] == [
        [getattr(view, name) for name in kept] for view in there.tickets
    ]
    assert [view.identifier for view in here.tickets] == ["KEY-0002", "KEY-0001"]


async def test_an_export_of_a_part(journal: Journal, book: Playbook, tmp_path: Path) -> None:
    """Any record of the part can be shown, and none outside."""
    with open_store(journal.path.parent) as history:
        path = write(tmp_path / "part.jsonl", list(exported(history, 12, 20)))
        for since, until in ((0, None), (21, 20), (99, None)):
            with pytest.raises(StoreError, match=f"there is no record {since} to begin with"):
                list(exported(history, since, until))
    with open_export(path) as history:
        assert [replayed(history, number).sequence for number in (11, 12, 20)] == [11, 12, 20]
        for number in (10, 21):
            with pytest.raises(StoreError, match="it has 11 to 20"):
                replayed(history, number)


async def test_a_store_without_a_past_says_so(tmp_path: Path) -> None:
    """No journal, and one in which nothing has happened."""
    with pytest.raises(StoreError, match="there is no journal at"), open_store(tmp_path):
        pass
    await (await Journal.open(tmp_path / "journal.db", format_number=FORMAT)).close()
    with pytest.raises(StoreError, match="is empty: nothing has happened yet"), open_store(tmp_path):
        pass


@pytest.mark.parametrize(
    ("damage", "until", "said"),
    [
        ("DELETE FROM records WHERE sequence = 5", 7, "lacks record 5: restore a backup"),
        ("UPDATE records SET body = x'00' WHERE sequence = 5", 7, "record 5: .* cannot be read.*: restore a backup"),
        ("UPDATE checkpoints SET body = x'00' WHERE sequence = 10", 12, "the checkpoint after record 10"),
        ("DELETE FROM records WHERE sequence > 35", 36, "lacks record 36|no record 36"),
        ("DELETE FROM records WHERE sequence < 3; DELETE FROM checkpoints", 7, "holds no record that can be folded"),
    ],
)
async def test_a_damaged_journal_is_told_in_one_line(damage: str, until: int, said: str, journal: Journal) -> None:
    """Which part, and what to do."""
    journal._connection.executescript(damage)
    with open_store(journal.path.parent) as history, pytest.raises(StoreError, match=said) as refused:
        replayed(history, until)
    assert "\n" not in str(refused.value)


async def test_a_torn_last_record_can_be_passed_over(journal: Journal, book: Playbook) -> None:
    """Until the daemon drops it, everything before it can be shown."""
    last = len(book.records)
    journal._connection.execute("UPDATE records SET body = substr(body, 1, 9) WHERE sequence = ?", (last,))
    with open_store(journal.path.parent) as history:
        with pytest.raises(StoreError, match=f"record {last}, the last, is cut short: .* use --until {last - 1}"):
            replayed(history, None)
        assert replayed(history, last - 1).sequence == last - 1


HEADER = b'{"kind":"opensymphony-journal","format":1,"version":"0","first":1,"last":2,"records":2,"tickets":0}'
RECORD = b'{"format":1,"sequence":%d,"event":{"type":"PollFailed","at_ms":1,"error":""},"decisions":[]}'


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "is not an exported journal: make one with `opensymphony journal export`"),
        ([b"# A page of Markdown"], "is not an exported journal"),
        ([b"\xff\xfe"], "is not an exported journal"),
        ([HEADER.replace(b"opensymphony-journal", b"diary")], "is not an exported journal"),
        (
            [HEADER.replace(b'"format":1', b'"format":99')],
            "has format 99, this release reads up to .*: use the release",
        ),
        ([HEADER, RECORD % 1], "ends before record 2: export it again"),
        ([HEADER, RECORD % 1, RECORD % 3], "line 3 holds record 3, not 2: export it again"),
        ([HEADER, RECORD % 1, b"{"], "line 3: a journal record cannot be read"),
        ([HEADER[:-1] + b',"checkpoint":1}', b"{}", RECORD % 2], "line 2: the journal's checkpoint cannot be read"),
        ([HEADER[:-1] + b',"checkpoint":7}'], "is not an exported journal"),
    ],
)
def test_what_is_no_exported_journal_is_refused(lines: list[bytes], said: str, tmp_path: Path) -> None:
    """In one line that names the place and what to do."""
    path = write(tmp_path / "file", lines)
    with pytest.raises(StoreError, match=said) as refused, open_export(path) as history:
        replayed(history, None)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """None there, and a directory in its place."""
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(StoreError, match=r"cannot be read .*: give a file"), open_export(path):
            pass


def test_a_record_that_does_not_fit_is_told(tmp_path: Path) -> None:
    """About a ticket that no earlier record named."""
    decision = b'[{"type":"TicketWoken","at_ms":1,"ticket_id":"id-0001"}]'
    lines = [HEADER, RECORD % 1, (RECORD % 2).replace(b"[]", decision)]
    with (
        open_export(write(tmp_path / "file", lines)) as history,
        pytest.raises(StoreError, match="record 2: it does not fit the records before it"),
    ):
        replayed(history, None)
