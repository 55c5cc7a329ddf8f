"""Event, decision, journal, command: in this order and no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from opensymphony.clock import Clock
from opensymphony.daemon import loop as module
from opensymphony.daemon.loop import Loop, still_wanted
from opensymphony.daemon.recovery import recover
from opensymphony.errors import StoreError
from opensymphony.model import CommandKey, TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import FORMAT, encode_state
from opensymphony.scheduler.state import State
from opensymphony.store.marks import Marks
from opensymphony.store.sqlite import Journal
from opensymphony.workflow.policy import AgentPolicy
from tests.scheduler.playbook import Playbook, policy, ticket


class Rig:
    """A loop on a real journal; commands are noted, with what was durable when they began."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.loop = Loop(State(), 0, journal, Clock())
        self.started: list[c.Command] = []

    async def boot(self) -> None:
        at_ms = self.loop.clock.now_ms()
        await self.loop.post(e.DaemonStarted(at_ms=at_ms, instance="one", version="test"))
        await self.loop.post(e.PolicyLoaded(at_ms=at_ms, policy=policy()))

    async def shows(self, name: str) -> None:
        await self.loop.post(e.TicketChanged(at_ms=self.loop.clock.now_ms(), ticket=ticket(name)))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    journal = await Journal.open(tmp_path / "journal.db", format_number=FORMAT)
    made = Rig(journal)
    yield made
    made.loop.close()
    await journal.close()


async def test_a_command_starts_only_when_it_is_on_record(rig: Rig) -> None:
    """When it begins, another reader of the file already finds the record that wants it."""
    missing: list[str] = []

    def start(command: c.Command) -> None:
        rig.started.append(command)
        rows = rig.journal._connection.execute("SELECT body FROM records").fetchall()
        if not any(command.key.encode() in row[0] for row in rows):
            missing.append(command.key)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.loop.run, start)
        await rig.boot()
        await rig.shows("A-1")
        await rig.shows("A-2")
        with anyio.fail_after(10):
            await rig.loop.settled()
        tasks.cancel_scope.cancel()
    assert [type(command) for command in rig.started] == [c.RereadTicket, c.RereadTicket]
    assert missing == []


async def test_without_a_record_nothing_starts(rig: Rig) -> None:
    """A journal that cannot be written ends the loop with its error, before the command."""
    rig.journal._connection.execute("DROP TABLE records")
    with pytest.raises(StoreError):
        await rig.boot()
        await rig.shows("A-1")
        await rig.loop.run(rig.started.append)
    assert rig.started == []


async def test_events_that_wait_together_share_a_transaction(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst costs few writes and keeps its order."""
    sizes: list[int] = []
    original = rig.journal.append

    async def counted(records: list[tuple[int, bytes]], marks: list[Marks]) -> None:
        sizes.append(len(records))
        await original(records, marks)

    monkeypatch.setattr(rig.journal, "append", counted)
    await rig.boot()
    for number in range(500):
        await rig.shows(f"A-{number:03}")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.loop.run, rig.started.append)
        with anyio.fail_after(20):
            await rig.loop.settled()
        tasks.cancel_scope.cancel()
    assert len(sizes) == 2
    assert sum(sizes) == rig.loop.sequence == 502
    assert list(rig.loop.state.entries) == [f"A-{number:03}" for number in range(500)]


async def test_what_changes_nothing_is_not_recorded(rig: Rig) -> None:
    """The same ticket again, or an outcome that nobody waits for, costs no write."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.loop.run, rig.started.append)
        await rig.boot()
        await rig.shows("A-1")
        await rig.loop.settled()
        before = rig.loop.sequence
        await rig.shows("A-1")
        await rig.loop.post(e.CommentWritten(at_ms=rig.loop.clock.now_ms(), key=CommandKey("x#1/1/y")))
        with anyio.fail_after(10):
            await rig.loop.settled()
        assert rig.loop.sequence == before
        tasks.cancel_scope.cancel()


async def test_what_is_due_happens_by_itself(rig: Rig) -> None:
    """Nobody posts anything: the loop looks at the clock."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.loop.run, rig.started.append)
        await rig.boot()
        await rig.shows("A-1")
        await rig.loop.settled()
        [reread] = rig.started
        short = e.CommandFailed(at_ms=rig.loop.clock.now_ms(), key=reread.key, error="away", error_class="retry")
        quick = policy(agent=AgentPolicy(retry_backoff_ms=20))
        await rig.loop.post(e.PolicyLoaded(at_ms=rig.loop.clock.now_ms(), policy=quick))
        await rig.loop.post(short)
        with anyio.fail_after(10):
            while len(rig.started) < 2:
                await rig.loop.changed()
        assert rig.started[1].generation == 2
        tasks.cancel_scope.cancel()


async def test_watchers_are_told_what_is_durable(rig: Rig) -> None:
    """Decisions and their time, after the journal has them; whoever waits for a change is woken."""
    told: list[tuple[str, int]] = []

    def watcher(decisions: tuple[d.Decision, ...], at_ms: int) -> None:
        rows = rig.journal._connection.execute("SELECT count(*) FROM records").fetchone()[0]
        told.append((type(decisions[0]).__name__, rows))

    rig.loop.watch(watcher)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.loop.run, rig.started.append)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(rig.loop.changed)
                await anyio.wait_all_tasks_blocked()
                await rig.boot()
            await rig.loop.settled()
        tasks.cancel_scope.cancel()
    assert [name for name, _ in told] == ["BootNoted", "PolicyAdopted"]
    assert all(rows for _, rows in told)


async def test_a_checkpoint_is_written_now_and_then(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recovery reads it and the few records after it, and comes to the living state."""
    monkeypatch.setattr(module, "_CHECKPOINT_EVERY", 3)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.loop.run, rig.started.append)
        await rig.boot()
        for name in ("A-1", "A-2"):
            await rig.shows(name)
            await rig.loop.settled()
        tasks.cancel_scope.cancel()
    checkpoint, rows = await rig.journal.load()
    assert checkpoint is not None
    assert 0 < checkpoint[0] <= rig.loop.sequence
    assert len(rows) == rig.loop.sequence - checkpoint[0]
    state, sequence = await recover(rig.journal)
    assert (sequence, encode_state(state)) == (rig.loop.sequence, encode_state(rig.loop.state))


async def test_whoever_posts_to_an_ended_loop_is_told(rig: Rig) -> None:
    """Nobody waits for ever on a queue that nobody empties."""
    rig.loop.close()
    with pytest.raises(anyio.ClosedResourceError):
        await rig.loop.post(e.TicketVanished(at_ms=1, ticket_id=TicketId("A-1")))


class FullDisk:
    """A disk without room for the journal, until there is."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_WRITE_AGAIN_S", 0.01)
        self._connection = rig.journal._connection
        self._connection.execute("PRAGMA max_page_count = 1")  # as many as there are

    def free(self) -> None:
        self._connection.execute("PRAGMA max_page_count = 1000000")


@pytest.fixture
async def full(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    return FullDisk(rig, monkeypatch)


async def told(rig: Rig, wanted: bool) -> None:
    with anyio.fail_after(20):
        while (rig.loop.storage_error is not None) is not wanted:
            await rig.loop.changed()


async def many(rig: Rig, first: int, count: int) -> None:
    """More than fits into the pages that are there."""
    for number in range(first, first + count):
        await rig.shows(f"A-{number:03}")


async def test_on_a_full_disk_nothing_starts_and_nothing_is_lost(rig: Rig, full: FullDisk) -> None:
    """The loop waits with what it could not write; with room, all of it is done once, and in order."""
    await rig.boot()
    await many(rig, 0, 40)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.loop.run, rig.started.append)
        await told(rig, True)
        assert rig.loop.storage_error == (
            f"the journal {rig.journal.path} cannot be written (database or disk is full): free space on its disk"
        )
        assert (rig.loop.sequence, rig.started) == (0, [])
        await many(rig, 40, 10)
        full.free()
        await told(rig, False)
        with anyio.fail_after(20):
            await rig.loop.settled()
        tasks.cancel_scope.cancel()
    _, rows = await rig.journal.load()
    assert [number for number, _ in rows] == list(range(1, 53))
    assert list(rig.loop.state.entries) == [f"A-{number:03}" for number in range(50)]
    assert len(rig.started) == len({command.key for command in rig.started}) == 4
    state, sequence = await recover(rig.journal)
    assert (sequence, encode_state(state)) == (rig.loop.sequence, encode_state(rig.loop.state))


async def test_events_wait_while_the_disk_is_full(rig: Rig, full: FullDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue has its limit: whoever posts to a full one waits too, and goes on with the others."""
    rig.loop.close()
    monkeypatch.setattr(module, "_QUEUE_MAX", 5)
    rig.loop = Loop(State(), 0, rig.journal, Clock())
    posted = 0

    async def post_all() -> None:
        nonlocal posted
        await rig.boot()
        for number in range(60):
            await rig.shows(f"A-{number:03}")
            posted = number + 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.loop.run, rig.started.append)
        tasks.start_soon(post_all)
        await told(rig, True)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert posted < 60
        full.free()
        with anyio.fail_after(20):
            while posted < 60:
                await rig.loop.changed()
            await rig.loop.settled()
        tasks.cancel_scope.cancel()
    assert len(rig.loop.state.entries) == 60


async def test_a_daemon_that_ends_on_a_full_disk_ends(rig: Rig, full: FullDisk) -> None:
    """What could not be written was not acted on: the next start goes on from what is on record, as after a crash."""
    await rig.boot()
    await many(rig, 0, 40)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.loop.run, rig.started.append)
        await told(rig, True)
        tasks.cancel_scope.cancel()
    await rig.loop.write_checkpoint()
    assert await rig.journal.load() == (None, [])
    full.free()
    await rig.loop.write_checkpoint()
    state, sequence = await recover(rig.journal)
    assert (sequence, encode_state(state)) == (rig.loop.sequence, encode_state(rig.loop.state))
    assert rig.started == []
    assert len(state.pending) == 4, "they are begun by the next start"


async def test_a_checkpoint_without_room_is_put_off(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records say the same."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.loop.run, rig.started.append)
        await rig.boot()
        await many(rig, 0, 40)
        await rig.loop.settled()
        full = FullDisk(rig, monkeypatch)
        await rig.loop.write_checkpoint()
        full.free()
        await many(rig, 40, 2)
        await rig.loop.settled()
        tasks.cancel_scope.cancel()
    assert (await rig.journal.load())[0] is None
    assert (await recover(rig.journal))[1] == rig.loop.sequence == 44


async def test_a_sign_of_life_that_waited_counts_before_the_time_that_passed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due is looked at after the events that were reported before: a slow disk is not an agent's silence."""
    seen: list[str] = []
    rig.loop.watch(lambda decisions, at_ms: seen.append(type(decisions[0]).__name__))
    held, go_on = anyio.Event(), anyio.Event()
    append = rig.journal.append

    async def slow(records: list[tuple[int, bytes]], marks: list[Marks]) -> None:
        held.set()
        await go_on.wait()
        await append(records, marks)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.loop.run, rig.started.append)
        await rig.boot()
        quick = policy(agent=AgentPolicy(retry_backoff_ms=1))
        await rig.loop.post(e.PolicyLoaded(at_ms=rig.loop.clock.now_ms(), policy=quick))
        await rig.shows("A-1")
        await rig.loop.settled()
        monkeypatch.setattr(rig.journal, "append", slow)
        at_ms = rig.loop.clock.now_ms()
        await rig.loop.post(e.CommandFailed(at_ms=at_ms, key=rig.started[0].key, error="away", error_class="retry"))
        with anyio.fail_after(10):
            await held.wait()
            await rig.loop.post(e.PollFailed(at_ms=at_ms, error="away"))
            while rig.loop.clock.now_ms() <= rig.loop.state.timers[0][0]:
                await anyio.sleep(0)
            go_on.set()
            while "TimersTaken" not in seen:
                await rig.loop.changed()
        tasks.cancel_scope.cancel()
    assert seen[-3:] == ["CommandSettled", "PollNoted", "TimersTaken"]


def test_what_the_same_batch_stops_is_not_begun() -> None:
    """A turn ends and the ticket is closed at the same moment: the check of its work is not started to be ended."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.CollectWork)
    decided = [*book.answer(c.CollectWork)]
    checked = book.pending(c.VerifyWork)
    assert still_wanted(decided, book.state) == [checked]
    book.tickets.clear()
    decided += book.send(e.TicketVanished(at_ms=book.now_ms, ticket_id=checked.ticket_id))
    assert [type(command) for command in still_wanted(decided, book.state)] == [c.StopRun]
    book.answer(c.StopRun)
    assert checked.key not in book.state.pending
