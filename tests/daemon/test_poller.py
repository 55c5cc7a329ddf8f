"""The poller reads a board and posts what is different."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from opensymphony.clock import Clock
from opensymphony.daemon.poller import Poller
from opensymphony.interfaces import Tracker
from opensymphony.model import Ticket, TicketId
from opensymphony.scheduler import events as e
from opensymphony.scheduler import step
from opensymphony.scheduler.state import State
from opensymphony.workflow.policy import Policy, PollingPolicy, TrackerPolicy
from tests.services.files.world import FilesWorld


class Watch:
    """A poller on a real board; what it posts is noted and taken by the scheduler, as the loop would."""

    def __init__(self, tracker: Tracker, interval_ms: int = 600_000) -> None:
        self.state = State()
        self.tracker = tracker
        self.seen: list[e.Event] = []
        policy = Policy(
            tracker=TrackerPolicy(kind="files", required_labels=("none has this",)),
            polling=PollingPolicy(interval_ms=interval_ms),
        )
        step(self.state, e.DaemonStarted(at_ms=1, instance="one", version="test"))
        step(self.state, e.PolicyLoaded(at_ms=1, policy=policy))
        self.poller = Poller(tracker, self.state, Clock(), self.post)

    async def post(self, event: e.Event) -> None:
        self.seen.append(event)
        step(self.state, event)

    async def poll(self) -> list[str]:
        """What one poll posts, by name."""
        self.seen.clear()
        await self.poller.poll()
        return [type(event).__name__ for event in self.seen]


async def test_only_differences_are_posted(tmp_path: Path) -> None:
    """New, changed and moved tickets once each; what stayed as it was not at all; the poll itself last."""
    world = FilesWorld(tmp_path)
    first = await world.create("One")
    await world.create("Two")
    async with world.open() as tracker:
        watch = Watch(tracker)
        assert await watch.poll() == ["TicketChanged", "TicketChanged", "PollCompleted"]
        assert await watch.poll() == ["PollCompleted"]
        await world.retitle(first, "One, again")
        assert await watch.poll() == ["TicketChanged", "PollCompleted"]
        [changed, _] = watch.seen
        assert isinstance(changed, e.TicketChanged)
        assert changed.ticket.title == "One, again"
        await world.move(first, "Backlog")
        assert await watch.poll() == ["TicketChanged", "PollCompleted"], "out of the search, read by id"
        assert await watch.poll() == ["PollCompleted"]


async def test_a_ticket_that_is_gone_is_told_once(tmp_path: Path) -> None:
    """Deleted from the board and forgotten by the scheduler."""
    world = FilesWorld(tmp_path)
    gone = await world.create("One")
    async with world.open() as tracker:
        watch = Watch(tracker)
        await watch.poll()
        await world.delete(gone)
        assert await watch.poll() == ["TicketVanished", "PollCompleted"]
        assert await watch.poll() == ["PollCompleted"]
        assert watch.state.entries == {}


async def test_trouble_is_noted_once_and_over_when_it_is_over(tmp_path: Path) -> None:
    """Nothing is concluded about any ticket meanwhile; the first good poll clears it."""
    world = FilesWorld(tmp_path)
    await world.create("One")
    async with world.open() as tracker:
        watch = Watch(tracker)
        await watch.poll()
        content = world.path(TicketId("T-0001")).read_text()
        await world.break_down()
        assert await watch.poll() == ["PollFailed"]
        error, since = watch.state.poll_error, watch.state.poll_error_since_ms
        assert error is not None
        assert watch.poller.trouble is not None
        assert str(watch.poller.trouble) == error
        assert await watch.poll() == ["PollFailed"]
        assert (watch.state.poll_error, watch.state.poll_error_since_ms) == (error, since)
        assert list(watch.state.entries) == ["T-0001"]
        world.folder.mkdir()
        world.path(TicketId("T-0001")).write_text(content)
        assert await watch.poll() == ["PollCompleted"]
        assert (watch.state.poll_error, watch.poller.trouble, watch.poller.polls) == (None, None, 4)


async def test_an_unreadable_ticket_is_a_problem_of_its_own(tmp_path: Path) -> None:
    """It is listed with the poll; it is not gone, and the others are read."""
    world = FilesWorld(tmp_path)
    bad = await world.create("One")
    await world.create("Two")
    async with world.open() as tracker:
        watch = Watch(tracker)
        await watch.poll()
        await world.spoil(bad)
        names = await watch.poll()
        assert "TicketVanished" not in names
        assert "T-0001.md" in (*watch.state.problems, watch.state.poll_error or "")[0]


async def test_a_defect_while_polling_is_trouble_with_the_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon and the agents at work go on."""
    world = FilesWorld(tmp_path)
    async with world.open() as tracker:
        watch = Watch(tracker)

        async def broken(states: Sequence[str]) -> None:
            raise ZeroDivisionError("a defect\nof ours")

        monkeypatch.setattr(tracker, "fetch_candidates", broken)
        assert await watch.poll() == ["PollFailed"]
        assert watch.state.poll_error == "tracker: a defect of ours"
        assert isinstance(watch.poller.trouble, Exception)


async def test_refreshes_are_asked_for_in_hundreds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the search no longer shows is read by id, at most a hundred at once, each once."""
    world = FilesWorld(tmp_path)
    for number in range(205):
        await world.create(f"Number {number}")
    async with world.open() as tracker:
        watch = Watch(tracker)
        await watch.poll()
        asked: list[int] = []
        original = tracker.fetch_tickets

        async def counted(ids: Sequence[TicketId]) -> tuple[Ticket, ...]:
            asked.append(len(ids))
            return await original(ids)

        monkeypatch.setattr(tracker, "fetch_tickets", counted)
        for path in world.folder.iterdir():
            path.write_text(path.read_text().replace("state: Todo", "state: Backlog"))
        assert await watch.poll() == ["TicketChanged"] * 205 + ["PollCompleted"]
        assert asked == [100, 100, 5]


async def test_before_a_policy_nothing_is_read(tmp_path: Path) -> None:
    """Nobody knows yet which tickets are ours."""
    world = FilesWorld(tmp_path)
    await world.create("One")
    async with world.open() as tracker:
        watch = Watch(tracker)
        watch.state.policy = None
        assert await watch.poll() == []


async def test_a_refresh_does_not_wait_for_the_interval(tmp_path: Path) -> None:
    """Several wishes before the next look are one look; a wish during a look is not lost."""
    world = FilesWorld(tmp_path)
    async with world.open() as tracker:
        watch = Watch(tracker)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.poller.run)
            with anyio.fail_after(10):
                for wanted in (1, 2, 3):
                    while watch.poller.polls < wanted:
                        await anyio.sleep(0.005)
                    watch.poller.refresh()
                    watch.poller.refresh()
                while watch.poller.polls < 4:
                    await anyio.sleep(0.005)
            await anyio.wait_all_tasks_blocked()
            assert watch.poller.polls == 4
            tasks.cancel_scope.cancel()


async def test_it_polls_by_itself(tmp_path: Path) -> None:
    """At the policy's interval."""
    world = FilesWorld(tmp_path)
    async with world.open() as tracker:
        watch = Watch(tracker, interval_ms=10)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.poller.run)
            with anyio.fail_after(10):
                while watch.poller.polls < 3:
                    await anyio.sleep(0.005)
            tasks.cancel_scope.cancel()
