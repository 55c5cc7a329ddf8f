"""The poller reads a board and posts what is different."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from opensymphony.clock import Clock
from opensymphony.daemon.poller import Poller
from opensymphony.errors import RateLimited, ServiceError
from opensymphony.interfaces import Tracker
from opensymphony.model import Claim, CommandKey, Ticket, TicketId, TicketPage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler import step
from opensymphony.scheduler.state import State
from opensymphony.workflow.policy import Policy, PollingPolicy, TrackerPolicy
from tests.fakes.shifted_clock import Shifted
from tests.scheduler.playbook import ticket
from tests.services.files.world import FilesWorld


class Watch:
    """A poller on a real board; what it posts is noted and taken by the scheduler, as the loop would."""

    def __init__(self, tracker: Tracker, interval_ms: int = 600_000, clock: Clock | None = None) -> None:
        self.state = State()
        self.tracker = tracker
        self.seen: list[e.Event] = []
        self.clock = clock or Clock()
        step(self.state, e.DaemonStarted(at_ms=1, instance="one", version="test"))
        self.use(PollingPolicy(interval_ms=interval_ms))
        self.poller = Poller(tracker, self.state, self.clock, self.post)

    def use(self, polling: PollingPolicy) -> None:
        policy = Policy(tracker=TrackerPolicy(kind="files", required_labels=("none has this",)), polling=polling)
        step(self.state, e.PolicyLoaded(at_ms=1, policy=policy))

    @property
    def wait_ms(self) -> int:
        """Until the next look."""
        return self.poller.next_ms - self.clock.now_ms()

    async def post(self, event: e.Event) -> None:
        self.seen.append(event)
        step(self.state, event)

    async def poll(self) -> list[str]:
        """What one poll posts, by name."""
        self.seen.clear()
        await self.poller.poll()
        return [type(event).__name__ for event in self.seen]


class Board:
    """A tracker that has its answers ready."""

    def __init__(self, tickets: tuple[Ticket, ...]) -> None:
        self.tickets = tickets

    async def fetch_candidates(self, states: Sequence[str]) -> TicketPage:
        return TicketPage(tickets=self.tickets)


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


def limited(retry_after_ms: int | None) -> Callable[[Sequence[str]], Awaitable[TicketPage]]:
    async def fetch(states: Sequence[str]) -> TicketPage:
        raise RateLimited("board", "too many requests", retry_after_ms=retry_after_ms)

    return fetch


async def test_a_pause_that_the_tracker_asks_for_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked before it is over, whoever wants it; a person is told why and until when."""
    world = FilesWorld(tmp_path)
    async with world.open() as tracker:
        watch = Watch(tracker)
        monkeypatch.setattr(tracker, "fetch_candidates", limited(3_600_000))
        before_ms = watch.clock.now_ms()
        assert await watch.poll() == ["PollFailed"]
        assert watch.poller.next_ms - before_ms >= 3_600_000
        with pytest.raises(ServiceError, match="it asked for a pause"):
            await watch.poller.look_at([TicketId("T-0001")])
        monkeypatch.undo()
        said = watch.poller.refresh()
        assert said is not None and said.startswith("the tracker asked for a pause: it is looked at at 20")
        assert await watch.poll() == []
        assert watch.state.poll_error == "board: too many requests"


async def test_after_a_pause_the_tracker_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself, and one success is the end of the trouble."""
    world = FilesWorld(tmp_path)
    async with world.open() as tracker:
        watch = Watch(tracker)
        monkeypatch.setattr(tracker, "fetch_candidates", limited(1))
        await watch.poll()
        monkeypatch.undo()
        async with anyio.create_task_group() as tasks:
            assert watch.poller.refresh() is None or watch.poller.trouble is not None
            tasks.start_soon(watch.poller.run)
            with anyio.fail_after(10):
                while watch.state.poll_error is not None:
                    await anyio.sleep(0.005)
            tasks.cancel_scope.cancel()
        assert watch.poller.trouble is None


async def test_a_ticket_bad_in_search_and_refresh_is_told_once(tmp_path: Path) -> None:
    """The search reports it and the reading by id does too; a person needs one line, at every poll the same."""
    world = FilesWorld(tmp_path)
    bad = await world.create("One")
    other = await world.create("Two")
    async with world.open() as tracker:
        watch = Watch(tracker)
        await watch.poll()
        await world.spoil(bad)
        await world.retitle(other, "Two, again")
        assert await watch.poll() == ["TicketChanged", "PollCompleted"]
        [problem] = watch.state.problems
        assert "T-0001.md" in problem
        assert await watch.poll() == ["PollCompleted"]
        assert watch.state.problems == (problem,)
        await world.retitle(bad, "Mended")
        assert await watch.poll() == ["TicketChanged", "PollCompleted"]
        assert watch.state.problems == ()


async def test_what_happens_brings_the_next_look_forward(tmp_path: Path) -> None:
    """A change seen, our own words on a ticket, another policy; a renewed claim is nothing that happens."""
    world = FilesWorld(tmp_path)
    ticket_id = await world.create("One")
    clock = Shifted()
    async with world.open() as tracker:
        watch = Watch(tracker, clock=clock)
        await watch.poll()
        assert watch.wait_ms <= 220_000, "the board is new"
        clock.shift_ms += 100 * 600_000
        await watch.poll()
        assert watch.wait_ms >= 2_160_000, "nothing has happened for long"
        await tracker.claim(ticket_id, Claim(instance="x", generation=1, heartbeat_ms=1), replacing=None)
        assert await watch.poll() == ["TicketChanged", "PollCompleted"]
        assert watch.wait_ms >= 2_160_000
        comment = c.WriteComment(key=CommandKey("k"), ticket_id=ticket_id, generation=1, body="")
        watch.poller.watch((d.DrainBegun(), d.CommandIssued(command=comment)), 1)
        assert watch.wait_ms <= 220_000
        await watch.poll()
        assert watch.wait_ms <= 220_000, "and so it stays for a while"
        clock.shift_ms += 100 * 600_000
        await watch.poll()
        assert watch.wait_ms >= 2_160_000
        assert watch.state.policy is not None
        watch.poller.watch((d.PolicyAdopted(policy=watch.state.policy),), 1)
        assert watch.wait_ms <= 220_000


async def test_a_long_wait_ends_when_something_happens(tmp_path: Path) -> None:
    """What is told to the poller wakes it from a wait that was meant to be longer."""
    world = FilesWorld(tmp_path)
    async with world.open() as tracker:
        watch = Watch(tracker)
        watch.state.policy = None  # a wait of a second, which is the longest in this test
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.poller.run)
            await anyio.wait_all_tasks_blocked()
            watch.use(PollingPolicy(interval_ms=600_000, min_interval_ms=1))
            assert watch.state.policy is not None
            with anyio.fail_after(10):
                while watch.poller.polls < 2:
                    watch.poller.watch((d.PolicyAdopted(policy=watch.state.policy),), 1)
                    await anyio.sleep(0.005)
            tasks.cancel_scope.cancel()


async def test_two_looks_at_once_are_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run --once` and the schedule may both want one; a slow tracker is never asked twice at a time."""
    world = FilesWorld(tmp_path)
    async with world.open() as tracker:
        watch = Watch(tracker)
        at_once: list[int] = []
        inside = 0

        async def slow(states: Sequence[str]) -> TicketPage:
            nonlocal inside
            inside += 1
            at_once.append(inside)
            await anyio.lowlevel.checkpoint()
            inside -= 1
            return TicketPage(tickets=())

        monkeypatch.setattr(tracker, "fetch_candidates", slow)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(watch.poller.poll)
        assert at_once == [1, 1, 1]


async def test_a_big_board_is_compared_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """By time and not by number: whenever a slice has lasted long enough, the loop is given away."""
    tickets = tuple(ticket(f"T-{number:04}") for number in range(300))
    clock = Shifted()
    watch = Watch(Board(tickets), clock=clock)  # type: ignore[arg-type]
    await watch.poll()
    turns: list[int] = []

    async def others() -> None:
        while True:
            turns.append(len(turns))
            await anyio.lowlevel.checkpoint()

    for step_ms, low, high in ((0, 0, 6), (1, 100, 250)):
        clock.step_ms = step_ms  # every look at the clock takes this long
        turns.clear()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(others)
            assert await watch.poll() == ["PollCompleted"]
            tasks.cancel_scope.cancel()
        assert low <= len(turns) <= high


async def test_a_pause_that_a_write_was_told_holds_the_poll(tmp_path: Path) -> None:
    """The tracker is one, whoever asks it."""
    world = FilesWorld(tmp_path)
    clock = Shifted()
    async with world.open() as tracker:
        watch = Watch(tracker, clock=clock)
        watch.poller.hold(60_000)
        assert await watch.poll() == []
        clock.shift_ms += 60_000
        assert await watch.poll() == ["PollCompleted"]


async def test_single_tickets_are_looked_at_between_the_polls(tmp_path: Path) -> None:
    """What has changed is told, what is gone, and what is new and ours; a new one that is not ours stays unknown."""
    world = FilesWorld(tmp_path)
    known, gone = await world.create("Known"), await world.create("Gone")
    async with world.open() as tracker:
        watch = Watch(tracker)
        await watch.poll()
        await world.retitle(known, "Renamed")
        await world.delete(gone)
        new = await world.create("New", labels=["none has this"])
        other = await world.create("Not ours")
        watch.seen.clear()
        found = await watch.poller.look_at([known, gone, new, other, TicketId("T-9999")])
        assert sorted(ticket.title for ticket in found.values()) == ["New", "Not ours", "Renamed"]
        assert sorted(type(event).__name__ for event in watch.seen) == [
            "TicketChanged",
            "TicketChanged",
            "TicketVanished",
        ]
        assert set(watch.state.entries) == {known, new}


async def test_what_people_say_is_told_once(tmp_path: Path) -> None:
    """What was there at the first sight is not told at all."""
    world = FilesWorld(tmp_path)
    ticket = await world.create("One")
    await world.comment(ticket, "before us")
    async with world.open() as tracker:
        watch = Watch(tracker)
        assert await watch.poll() == ["TicketChanged", "PollCompleted"]
        await world.comment(ticket, "to us", "bob")
        assert await watch.poll() == ["TicketChanged", "TicketCommented", "PollCompleted"]
        [_, said, _] = watch.seen
        assert isinstance(said, e.TicketCommented)
        assert (said.comment.author, said.comment.text) == ("bob", "to us")
        assert await watch.poll() == ["PollCompleted"]
