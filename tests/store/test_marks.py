"""Marks are there with their record or not at all, and figures outlive it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from opensymphony.errors import StoreError
from opensymphony.store.marks import Marks, RunRow
from opensymphony.store.past import open_past
from opensymphony.store.sqlite import Journal


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / "journal.db", format_number=1)
    yield opened
    await opened.close()


def run(generation: int, day: str = "2026-11-27", ticket_id: str = "A-1") -> RunRow:
    body = f"{ticket_id}/{generation}".encode()
    return RunRow(ticket_id=ticket_id, generation=generation, day=day, succeeded=generation % 2 == 0, body=body)


def about(sequence: int, *tickets: str) -> Marks:
    return Marks(sequence=sequence, about=tuple(("timeline", ticket) for ticket in tickets))


def found(journal: Journal, ticket: str) -> list[int]:
    with open_past(journal.path) as past:
        return [sequence for sequence, _ in past.about(ticket, "timeline", limit=1_000)[0]]


async def test_they_come_and_fail_with_their_records(journal: Journal) -> None:
    """Also the marks of a record that could have been written are not there when its neighbour could not be."""
    await journal.append([(1, b"1"), (2, b"2")], [about(1, "A-1", "B-1"), about(2, "A-1")])
    with pytest.raises(StoreError, match="UNIQUE"):
        await journal.append([(3, b"3"), (1, b"again")], [about(3, "A-1")])
    assert (found(journal, "A-1"), found(journal, "B-1")) == ([2, 1], [1])


async def test_they_can_be_written_again(journal: Journal) -> None:
    """As a start does that is not certain of them."""
    marks = Marks(sequence=1, about=(("timeline", "A-1"),), runs=(run(1),), days=(("2026-11-26", b"{}"),))
    await journal.append([(1, b"1")], [marks])
    await journal.mark([marks], 1)
    with open_past(journal.path) as past:
        assert past.runs("2026-01-01", 10) == [b"A-1/1"]
        assert past.days("2026-01-01") == [("2026-11-26", b"{}")]
    assert found(journal, "A-1") == [1]


async def test_it_is_known_up_to_where_everything_is_marked(journal: Journal) -> None:
    """A checkpoint says so. What an older release has appended behind it is not marked, and seen to be so."""
    assert await journal.marked() == 0
    await journal.append([(number, b"x") for number in range(1, 6)])
    await journal.write_checkpoint(3, b"{}")
    assert await journal.marked() == 3
    await journal.mark([], 5)
    assert await journal.marked() == 5
    for value in ("0:5", "nonsense", ""):  # of other rules, or damaged
        journal._connection.execute("UPDATE facts SET value = ? WHERE name = 'marked'", (value,))
        assert await journal.marked() == 0


async def test_a_record_that_is_taken_off_takes_its_marks_along(journal: Journal) -> None:
    """Its number is given again."""
    await journal.append([(1, b"1"), (2, b"2")], [about(1, "A-1"), Marks(sequence=2, runs=(run(1),))])
    await journal.append([(3, b"3")], [about(3, "A-1")])
    await journal.drop_last(2)  # it is not the last
    assert found(journal, "A-1") == [3, 1]
    await journal.drop_last(3)
    await journal.drop_last(2)
    with open_past(journal.path) as past:
        assert past.runs("2026-01-01", 10) == []
    await journal.append([(2, b"another")])
    assert found(journal, "A-1") == [1]


async def test_subjects_go_with_their_records_and_figures_stay(journal: Journal) -> None:
    """However many steps that takes; figures go when their day is long over."""
    marks = [
        Marks(
            sequence=number, about=(("timeline", "A-1"),), runs=(run(number),), days=((f"2026-11-{number:02}", b"{}"),)
        )
        for number in range(1, 21)
    ]
    await journal.append([(number, b"x") for number in range(1, 21)], marks)
    for sequence in (15, 20):
        await journal.write_checkpoint(sequence, b"{}")
    while await journal.forget(15, 4):
        left = [row[0] for row in journal._connection.execute("SELECT sequence FROM records ORDER BY sequence DESC")]
        assert [row[0] for row in journal._connection.execute("SELECT sequence FROM subjects ORDER BY 1 DESC")] == left
    assert found(journal, "A-1") == [20, 19, 18, 17, 16]
    with open_past(journal.path) as past:
        assert (len(past.runs("2026-01-01", 100)), len(past.days("2026-01-01"))) == (20, 20)
    await journal.forget_figures("2026-11-11")
    with open_past(journal.path) as past:
        assert (len(past.runs("2026-01-01", 100)), len(past.days("2026-01-01"))) == (20, 10)
    await journal.forget_figures("2026-11-28")
    with open_past(journal.path) as past:
        assert (past.runs("2026-01-01", 100), past.days("2026-01-01")) == ([], [])


async def test_a_journal_of_an_earlier_release_gets_the_tables(tmp_path: Path) -> None:
    """Opening it is enough; what it holds is as it was, and so is its format."""
    path = tmp_path / "old.db"
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE records (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL);"
        "CREATE TABLE checkpoints (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL);"
        "INSERT INTO facts VALUES ('format', '1'); INSERT INTO records VALUES (1, 'one');"
    )
    old.close()
    journal = await Journal.open(path, format_number=1)
    assert (await journal.marked(), await journal.load()) == (0, (None, [(1, b"one")]))
    await journal.append([(2, b"two")], [about(2, "A-1")])
    await journal.close()
    assert found(journal, "A-1") == [2]
    with closing(sqlite3.connect(path)) as again:
        assert again.execute("SELECT value FROM facts WHERE name = 'format'").fetchone() == ("1",)
