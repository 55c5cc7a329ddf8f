"""The picture that the doors are given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest

from opensymphony.daemon.control import DaemonControl
from opensymphony.daemon.loop import Loop
from opensymphony.daemon.recovery import recover
from opensymphony.errors import InstanceError
from opensymphony.model import ServerState, TicketId, TrackerState
from opensymphony.scheduler import events as e
from opensymphony.scheduler import step
from opensymphony.scheduler.records import FORMAT
from opensymphony.scheduler.state import State
from opensymphony.store.sqlite import Journal
from opensymphony.views import ActionAnswer
from tests.fakes.shifted_clock import Shifted
from tests.scheduler.playbook import policy, ticket


class Desk:
    """A control over a loop, with a server and a tracker that the test plays."""

    def __init__(self, journal: Journal, state: State | None = None, sequence: int = 0) -> None:
        self.journal = journal
        self.clock = Shifted()
        self.loop = Loop(state or State(), sequence, journal, self.clock)
        self.server = ServerState(status="starting")
        self.refreshed = 0
        self.stops = 0
        self.next_poll_ms: int | None = None
        self.control = DaemonControl(
            self.loop,
            lambda: self.server,
            self._refresh,
            self._stop,
            next_poll_ms=lambda: self.next_poll_ms,
            policy_error_since_ms=lambda: 7,
        )

    def _refresh(self) -> str | None:
        self.refreshed += 1
        return "later"

    def _stop(self) -> None:
        self.stops += 1

    def take(self, event: e.Event) -> None:
        """As the loop does once the record is durable."""
        step(self.loop.state, event)
        self.loop.sequence += 1


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    journal = await Journal.open(tmp_path / "journal.db", format_number=FORMAT)
    made = Desk(journal)
    yield made
    made.loop.close()
    await journal.close()


async def test_the_picture_is_as_of_the_last_record(desk: Desk) -> None:
    """It is made once for each change of the state, of the server or of the daemon itself."""
    first = desk.control.snapshot()
    assert (first.sequence, first.status, first.server.status, first.tickets) == (0, "starting", "starting", ())
    assert desk.control.snapshot() is first
    desk.take(e.PolicyLoaded(at_ms=1, policy=policy()))
    desk.take(e.TicketChanged(at_ms=1, ticket=ticket("A-1")))
    second = desk.control.snapshot()
    assert (second.sequence, [view.identifier for view in second.tickets]) == (2, ["A-1"])
    desk.server = ServerState(status="ready")
    assert desk.control.snapshot().server.status == "ready"
    desk.control.status = "running"
    assert desk.control.snapshot().status == "running"


async def test_what_only_the_shell_knows_is_in_the_picture(desk: Desk) -> None:
    """When the next look is due, and since when a bad WORKFLOW.md is not in force; without one, nothing."""
    desk.next_poll_ms = 5
    first = desk.control.snapshot()
    assert (first.next_poll_ms, first.policy_error_since_ms) == (5, None)
    assert desk.control.snapshot() is first
    desk.next_poll_ms = 6
    desk.take(e.PolicyRejected(at_ms=1, error="bad"))
    second = desk.control.snapshot()
    assert (second.next_poll_ms, second.policy_error_since_ms) == (6, 7)


async def test_a_picture_has_the_time_of_the_question(desk: Desk) -> None:
    """Also when nothing was recorded since the last one: how long something lasts is told from it."""
    first = desk.control.snapshot()
    desk.clock.shift_ms += 60_000
    assert desk.control.snapshot().at_ms - first.at_ms >= 60_000


async def test_a_journal_that_cannot_be_written_shows(desk: Desk) -> None:
    """As soon as it is so and as long as it is so, whatever the state says about the disk; no record is needed for it."""
    desk.take(e.StorageNoted(at_ms=1, error="the disk is nearly full"))
    assert desk.control.snapshot().storage_error == "the disk is nearly full"
    desk.loop.storage_error = "the journal cannot be written"
    first = desk.control.snapshot()
    assert first.storage_error == "the journal cannot be written"
    assert desk.control.snapshot() is first
    desk.loop.storage_error = None
    assert desk.control.snapshot().storage_error == "the disk is nearly full"


async def test_a_drain_shows_until_it_is_over(desk: Desk) -> None:
    """A stopped daemon is stopped, not draining; nor is one that has yet to begin anew."""
    desk.control.status = "running"
    desk.take(e.ShutdownRequested(at_ms=1))
    assert desk.control.snapshot().status == "draining"
    desk.control.status = "stopped"
    assert desk.control.snapshot().status == "stopped"
    desk.control.status = "starting"
    assert desk.control.snapshot().status == "starting"


async def test_a_refresh_reaches_the_poller(desk: Desk) -> None:
    """It only asks; nothing is waited for. What the poller says comes back."""
    assert desk.control.refresh() == "later"
    assert desk.refreshed == 1


async def test_whoever_waits_for_a_change_is_woken(desk: Desk) -> None:
    """By the next thing that the loop takes."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.loop.run, lambda command: None)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(desk.control.changed)
                await anyio.wait_all_tasks_blocked()
                await desk.loop.post(e.DaemonStarted(at_ms=1, instance="one", version="test"))
        assert desk.control.snapshot().instance == "one"
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def at_work(desk: Desk) -> AsyncIterator[None]:
    """The loop consumes what is posted, with a ticket on the board; commands are not carried out."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.loop.run, lambda command: None)
        await desk.loop.post(e.DaemonStarted(at_ms=1, instance="one", version="test"))
        await desk.loop.post(e.PolicyLoaded(at_ms=1, policy=policy()))
        await desk.loop.post(e.TicketChanged(at_ms=1, ticket=ticket("A-1")))
        await desk.loop.settled()
        with anyio.fail_after(20):
            yield
        tasks.cancel_scope.cancel()


async def recovered(desk: Desk) -> State:
    """What a daemon would know that starts now."""
    return (await recover(desk.journal))[0]


async def test_a_ticket_is_found_by_its_name_or_its_id(desk: Desk) -> None:
    """The exact name counts most, then the id, then the only name that is the same without case."""
    desk.take(e.PolicyLoaded(at_ms=1, policy=policy()))
    for ticket_id, name in [("1", "A-1"), ("2", "B-1"), ("3", "b-1"), ("4", "2"), ("A-1", "other")]:
        found = msgspec.structs.replace(ticket(name), id=TicketId(ticket_id))
        desk.take(e.TicketChanged(at_ms=1, ticket=found))

    def id_of(name: str) -> str | None:
        explained = desk.control.explain(name)
        return explained.ticket.id if explained is not None else None

    wanted = {"A-1": "1", "a-1": "1", "1": "1", "B-1": "2", "b-1": "3", "2": "4", "3": "3", "OTHER": "A-1"}
    assert {name: id_of(name) for name in wanted} == wanted
    assert [id_of(name) for name in ("A", "", "A-1 ", "a-9")] == [None] * 4
    desk.take(e.TicketChanged(at_ms=1, ticket=msgspec.structs.replace(ticket("C-1"), id=TicketId("5"))))
    desk.take(e.TicketChanged(at_ms=1, ticket=msgspec.structs.replace(ticket("c-1"), id=TicketId("6"))))
    assert id_of("C-1") == "5"
    desk.take(e.TicketChanged(at_ms=1, ticket=msgspec.structs.replace(ticket("Straße"), id=TicketId("7"))))
    assert id_of("STRASSE") == "7"


async def test_what_two_names_could_mean_is_unknown(desk: Desk) -> None:
    """Nothing is stopped on a guess."""
    desk.take(e.PolicyLoaded(at_ms=1, policy=policy()))
    for name in ("Ab-1", "aB-1"):
        desk.take(e.TicketChanged(at_ms=1, ticket=ticket(name)))
    assert desk.control.explain("AB-1") is None
    assert await desk.control.act("stop", "AB-1", request_id="k") is None


async def test_an_answer_is_durable_and_given_once(desk: Desk) -> None:
    """As soon as there is an answer the journal has it; asked again, it is the same and changes nothing."""
    async with at_work(desk):
        answer = await desk.control.act("pause", "a-1", request_id="k", text="because", author="ana", finish=True)
        assert answer == ActionAnswer(request_id="k", accepted=True, answer="it does not start before `resume`")
        known = await recovered(desk)
        assert known.requests == {"k": (True, "it does not start before `resume`", "pause A-1")}
        assert known.entries[TicketId("A-1")].paused
        before = desk.loop.sequence
        for action, name in [("pause", "A-1"), ("stop", "no such ticket")]:
            assert await desk.control.act(action, name, request_id="k") == answer
        for action, name in [("resume", "A-1"), ("resume", None)]:
            other = await desk.control.act(action, name, request_id="k")
            assert other is not None
            assert not other.accepted
            assert "used for something else before (pause A-1)" in other.answer
        assert desk.loop.sequence == before


async def test_an_answer_outlives_the_daemon(desk: Desk) -> None:
    """A script that asks again after a crash gets the answer of before."""
    async with at_work(desk):
        first = await desk.control.act("pause", None, request_id="k")
        refused = await desk.control.act("retry", "A-1", request_id="l")
    assert first is not None and first.accepted
    assert refused is not None and not refused.accepted
    again = Desk(desk.journal, *await recover(desk.journal))
    async with at_work(again):
        assert await again.control.act("pause", None, request_id="k") == first
        assert await again.control.act("retry", "A-1", request_id="l") == refused
        assert again.loop.state.paused
    again.loop.close()


async def test_the_same_request_many_times_at_once_is_one(desk: Desk) -> None:
    """However they race, one is carried out and all get its answer."""
    answers: list[ActionAnswer | None] = []

    async def ask() -> None:
        answers.append(await desk.control.act("pause", "A-1", request_id="k", finish=True))

    async with at_work(desk):
        async with anyio.create_task_group() as asking:
            for _ in range(20):
                asking.start_soon(ask)
        assert [answer.accepted for answer in answers if answer is not None] == [True] * 20
        assert len({answer.answer for answer in answers if answer is not None}) == 1


async def test_an_unknown_ticket_is_no_request(desk: Desk) -> None:
    """Nothing is written; once the ticket is there, the same id may be used."""
    async with at_work(desk):
        before = desk.loop.sequence
        assert await desk.control.act("stop", "A-9", request_id="k") is None
        assert desk.loop.sequence == before
        await desk.loop.post(e.TicketChanged(at_ms=2, ticket=ticket("A-9")))
        await desk.loop.settled()
        assert (await desk.control.act("stop", "A-9", request_id="k")) is not None


async def test_text_that_is_no_text_is_taken_all_the_same(desk: Desk) -> None:
    """A half of a surrogate pair cannot be written; what it stood in still reaches the agent."""
    async with at_work(desk):
        answer = await desk.control.act("message", "A-1", request_id="k", text="see \ud800", author="\udcff")
        assert answer is not None and answer.accepted
        [message] = (await recovered(desk)).entries[TicketId("A-1")].messages
        assert (message.text, message.author) == ("see \ufffd", "\ufffd")


async def test_without_a_journal_there_is_no_answer(desk: Desk) -> None:
    """A request that is not durable yet is not answered: who asked is told how to ask again."""
    control = DaemonControl(desk.loop, lambda: desk.server, desk._refresh, desk._stop, answer_s=0.01)
    with pytest.raises(InstanceError, match="ask again with the request id k"):
        await control.act("pause", None, request_id="k")  # nobody runs the loop


async def test_what_cannot_be_written_is_not_taken(desk: Desk) -> None:
    """While the disk is full a request is refused with the reason, and not carried out later; `explain` says so too."""
    async with at_work(desk):
        desk.loop.storage_error = "the journal cannot be written"
        with pytest.raises(InstanceError, match="not taken: the journal cannot be written"):
            await desk.control.act("pause", None, request_id="k")
        explained = desk.control.explain("A-1")
        assert explained is not None
        assert explained.sentence == "nothing goes on: the journal cannot be written"
        assert [rule.name for rule in explained.rules if not rule.holds] == ["daemon"]
        desk.loop.storage_error = None
        await desk.loop.settled()
        assert not desk.loop.state.paused
        answer = await desk.control.act("pause", None, request_id="k")
        assert answer is not None and answer.accepted


async def test_readiness_names_the_first_thing_in_the_way(desk: Desk) -> None:
    """Before the first look at the tracker, when the disk or the agent-server is in trouble, and at the end."""
    desk.control.status = "running"
    assert desk.control.not_ready() == "the tracker has not been read yet"
    desk.take(e.PolicyLoaded(at_ms=1, policy=policy()))
    desk.take(e.PollFailed(at_ms=1, error="https://user:canary@tracker: no route"))
    assert desk.control.not_ready() == "the tracker cannot be read"
    desk.take(e.PollCompleted(at_ms=2))
    assert desk.control.not_ready() is None
    desk.take(e.PollFailed(at_ms=3, error="no route"))
    assert desk.control.not_ready() is None, "an outage later on keeps agents at work"
    desk.server = ServerState(status="failed", detail="canary")
    assert desk.control.not_ready() == "the agent-server was given up"
    desk.server = ServerState(status="ready")
    desk.take(e.StorageNoted(at_ms=4, error="canary: no space"))
    assert desk.control.not_ready() == "the daemon's disk is in trouble"
    desk.take(e.StorageNoted(at_ms=5, error=None))
    desk.take(e.ShutdownRequested(at_ms=6))
    assert desk.control.not_ready() == "the daemon is stopping"


async def test_a_shutdown_reaches_the_daemon(desk: Desk) -> None:
    """It only asks; the daemon drains by itself."""
    desk.control.shutdown()
    assert desk.stops == 1


async def test_trouble_with_the_code_host_is_shown_until_it_is_over(desk: Desk) -> None:
    """With what it was asked, although nothing is journaled about it."""
    assert desk.control.snapshot().code_host is None
    desk.control.code_host = lambda: (TrackerState(requests=5), "bitbucket: it does not answer")
    shown = desk.control.snapshot()
    assert shown.code_host == TrackerState(requests=5) and shown.code_host_error == "bitbucket: it does not answer"
    desk.control.code_host = lambda: (TrackerState(requests=6), "")
    assert desk.control.snapshot().code_host_error is None
