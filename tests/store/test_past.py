"""The past is read beside the writer, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opensymphony.errors import StoreError
from opensymphony.store import past as past_module
from opensymphony.store.marks import Marks, RunRow
from opensymphony.store.past import open_past
from opensymphony.store.sqlite import Journal


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """Thirty records, every third about A-1, the others about other tickets."""
    opened = await Journal.open(tmp_path / "a ?#%.db", format_number=1)
    rows = [(number, b"%d" % number) for number in range(1, 31)]
    marks = [
        Marks(sequence=number, about=(("timeline", "A-1" if number % 3 == 0 else f"B-{number}"),)) for number, _ in rows
    ]
    await opened.append(rows, marks)
    yield opened
    await opened.close()


async def test_pages_go_back_to_the_beginning(journal: Journal) -> None:
    """Newest first, without gaps or doubles, and the last one says that it is."""
    seen: list[int] = []
    before: int | None = None
    with open_past(journal.path) as past:
        for _ in range(4):
            rows, more = past.about("A-1", "timeline", before=before, limit=3)
            seen += [int(body) for _, body in rows]
            before = rows[-1][0]
        assert not more
        assert past.about("A-1", "timeline", before=3, limit=3) == ([], False)
        assert past.about("A-1", "verifications", limit=3) == ([], False)
        assert past.about("nobody", "timeline", limit=3) == ([], False)
    assert seen == list(range(30, 0, -3))


async def test_a_page_is_bounded_in_bytes(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """One record at least is in it, however big."""
    monkeypatch.setattr(past_module, "_BYTES_MAX", 3)
    with open_past(journal.path) as past:
        rows, more = past.about("A-1", "timeline", limit=10)
        assert ([number for number, _ in rows], more) == ([30], True)


async def test_only_the_records_of_a_page_are_read(journal: Journal) -> None:
    """By an index, whatever else the journal holds."""
    with open_past(journal.path) as past:
        plan = past._connection.execute(
            f"EXPLAIN QUERY PLAN {past_module.ABOUT}", ("A-1", "timeline", 100, 3)
        ).fetchall()
    told = " ".join(str(row[3]) for row in plan)
    assert "SCAN" not in told and "TEMP B-TREE" not in told
    assert "subjects_of_tickets" in told


async def test_it_is_of_one_moment_and_nobody_waits(journal: Journal) -> None:
    """What is written meanwhile is not in it; the writer goes on."""
    with open_past(journal.path) as past:
        assert past.about("A-1", "timeline", limit=1)[0] == [(30, b"30")]
        await journal.append([(31, b"31")], [Marks(sequence=31, about=(("timeline", "A-1"),))])
        assert past.about("A-1", "timeline", limit=1)[0] == [(30, b"30")]
    with open_past(journal.path) as past:
        assert past.about("A-1", "timeline", limit=1)[0] == [(31, b"31")]


async def test_days_and_runs_are_counted(journal: Journal) -> None:
    """The newest first; a day that was turned to twice is there twice."""
    rows = [
        RunRow(ticket_id="A-1", generation=n, day=f"2026-11-2{n}", succeeded=n > 2, body=b"%d" % n) for n in range(1, 5)
    ]
    marks = [Marks(sequence=n, runs=(row,), days=(("2026-11-21", b"%d" % n),)) for n, row in enumerate(rows, 1)]
    await journal.mark(marks, 30)
    with open_past(journal.path) as past:
        assert past.runs("2026-11-22", 2) == [b"4", b"3"]
        counts = past.counts("2026-11-22")
        assert {day: (count.runs, count.succeeded) for day, count in counts.items()} == {
            "2026-11-22": (1, 0),
            "2026-11-23": (1, 1),
            "2026-11-24": (1, 1),
        }
        assert len(past.days("2026-11-21")) == 4
        assert past.days("2026-11-22") == []


async def test_a_journal_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """In one line, also when that shows only in the middle."""
    with pytest.raises(StoreError, match="cannot be used"), open_past(tmp_path / "none.db"):
        pass
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    with pytest.raises(StoreError) as told, open_past(broken) as past:
        past.runs("2026-11-22", 2)
    assert "\n" not in str(told.value)
