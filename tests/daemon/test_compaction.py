"""The journal grows no bigger and no older than the policy wants."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import msgspec
import pytest
from structlog.testing import capture_logs

from opensymphony.clock import Clock, iso
from opensymphony.daemon import compaction, loop
from opensymphony.daemon.compaction import compact, keep_small
from opensymphony.daemon.recovery import recover
from opensymphony.errors import StoreError
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import FORMAT, Record, encode_record, encode_state
from opensymphony.scheduler.state import State
from opensymphony.store.marks import Marks
from opensymphony.store.past import open_past
from opensymphony.store.sqlite import Journal
from opensymphony.workflow.policy import RetentionPolicy
from tests.daemon.world import World

DAY_MS = 86_400_000
TODAY_MS = 100 * DAY_MS
KEEP_ALL = RetentionPolicy(journal_days=0, journal_bytes=0)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """Ten records a day for ninety days until today, a checkpoint each ten days, two kilobytes a record."""
    opened = await Journal.open(tmp_path / "journal.db", format_number=FORMAT)
    rows: list[tuple[int, bytes]] = []
    for number in range(1, 901):
        at_ms = 10 * DAY_MS + (number - 1) * DAY_MS // 10
        event = e.PollFailed(at_ms=at_ms, error=os.urandom(1_000).hex())
        rows.append((number, encode_record(Record(sequence=number, event=event, decisions=()))))
    await opened.append(rows)
    for sequence in range(100, 901, 100):
        await opened.write_checkpoint(sequence, encode_state(State(now_ms=10 * DAY_MS + sequence * DAY_MS // 10)))
    opened._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    yield opened
    await opened.close()


async def first(journal: Journal) -> int:
    return journal._connection.execute("SELECT min(sequence) FROM records").fetchone()[0]


def keep(**limits: int) -> RetentionPolicy:
    return msgspec.structs.replace(KEEP_ALL, **limits)


async def test_without_limits_everything_is_kept(journal: Journal) -> None:
    """0 is no limit."""
    assert await compact(journal, KEEP_ALL, TODAY_MS) == 0
    assert await first(journal) == 1


async def test_old_records_go(journal: Journal) -> None:
    """Up to the youngest checkpoint before which everything is older; what is left begins with it."""
    kept = await journal.checkpoints()
    deleted = await compact(journal, keep(journal_days=45), TODAY_MS)
    cut = max(one for one in kept if 10 * DAY_MS + (one - 1) * DAY_MS // 10 < TODAY_MS - 45 * DAY_MS)
    assert (deleted, await first(journal)) == (cut, cut + 1)
    assert await journal.checkpoints() == [one for one in kept if one >= cut]
    assert await compact(journal, keep(journal_days=45), TODAY_MS) == 0


async def test_a_big_journal_loses_its_oldest_records(journal: Journal) -> None:
    """And the file really is smaller afterwards."""
    before = journal.path.stat().st_size
    assert before > 1_800_000
    assert await compact(journal, keep(journal_bytes=1_000_000), TODAY_MS) > 300
    assert await journal.size() <= 1_000_000
    assert journal.path.stat().st_size <= 1_000_000


async def test_what_a_start_needs_stays_whatever_the_limits_say(journal: Journal) -> None:
    """A journal of a single byte and no day: the two newest checkpoints and the records after the older one are left."""
    whole = await recover(journal)
    assert await compact(journal, keep(journal_days=1, journal_bytes=1), TODAY_MS + 900 * DAY_MS) == 800
    assert (await journal.checkpoints(), await first(journal)) == ([800, 900], 801)
    assert await recover(journal) == whole
    journal._connection.execute("DELETE FROM checkpoints WHERE sequence = 900")
    assert (await recover(journal))[1] == 900


async def test_a_damaged_old_record_does_not_keep_the_others(journal: Journal) -> None:
    """Its age is told by the next."""
    journal._connection.execute("UPDATE records SET body = x'00' WHERE sequence = 100")
    assert await compact(journal, keep(journal_bytes=1_000_000), TODAY_MS) > 0


async def test_the_loops_writes_go_on_between_two_steps(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is to be deleted, an append waits for one step only."""
    monkeypatch.setattr(compaction, "_RECORDS_A_STEP", 40)
    monkeypatch.setattr(compaction, "_PAGES_A_STEP", 100)
    left: list[int] = []

    async def append() -> None:
        for number in range(901, 921):
            await journal.append([(number, b"{}")])
            left.append(await first(journal))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append)
        assert await compact(journal, keep(journal_bytes=1), TODAY_MS) == 800
    assert len(set(left)) > 5, "it was deleted in steps, and records were written in between"


async def test_trouble_is_told_and_tried_again(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk has no room to delete in either; the daemon goes on."""
    looked = anyio.Event()
    looks = 0

    async def failing(*given: object) -> int:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise StoreError("the journal cannot be written: free space")
        looked.set()
        return 7

    monkeypatch.setattr(compaction, "compact", failing)
    monkeypatch.setattr(compaction, "_LOOK_EVERY_S", 0.001)
    with capture_logs() as told:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_small, journal, lambda: KEEP_ALL, Clock())
            with anyio.fail_after(10):
                await looked.wait()
            tasks.cancel_scope.cancel()
    assert told[0]["event"] == "the journal was not made smaller"


async def test_figures_are_kept_for_a_year_and_a_month(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than the records that they were made of; then they go too."""
    monkeypatch.setattr(compaction, "_LOOK_EVERY_S", 0.001)
    clock = Clock()
    days = [iso(clock.now_ms() - back * DAY_MS)[:10] for back in (0, 399, 402)]
    await journal.mark([Marks(sequence=n, days=((day, b"{}"),)) for n, day in enumerate(days)], 1)

    async def left() -> list[str]:
        with open_past(journal.path) as past:
            return sorted(day for day, _ in past.days(""))

    assert len(await left()) == 3
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_small, journal, lambda: KEEP_ALL, clock)
        with anyio.fail_after(10):
            while len(await left()) == 3:
                await anyio.sleep(0.001)
        tasks.cancel_scope.cancel()
    assert await left() == sorted(days[:2])


async def test_a_daemon_keeps_its_own_journal_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it works; the next one starts from what is left."""
    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", 4)
    monkeypatch.setattr(compaction, "_LOOK_EVERY_S", 0.01)
    world = World(tmp_path / "world")
    world.ticket("A-1")
    policy = world.policy(retention=keep(journal_bytes=1))
    first_life = await world.once(policy)
    opened = await Journal.open(world.store / "journal.db", format_number=FORMAT)
    kept = opened._connection.execute("SELECT count(*), min(sequence), max(sequence) FROM records").fetchone()
    await opened.close()
    assert kept[1] > 8
    assert kept[2] - kept[1] + 1 == kept[0]
    again = await world.once(policy)
    assert [view.outcome for view in again.tickets] == [view.outcome for view in first_life.tickets] == ["succeeded"]
