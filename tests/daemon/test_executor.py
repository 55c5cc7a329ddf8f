"""Commands become effects, in order where it matters, and everything that happens becomes an event."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from structlog.testing import capture_logs

from opensymphony.clock import Clock
from opensymphony.daemon.executor import Executor
from opensymphony.daemon.notification import Notifier
from opensymphony.errors import AgentServerError, ConfigurationError, Problem, RateLimited, Refused
from opensymphony.interfaces import Tracker, Workspaces
from opensymphony.model import Claim, ClaimAnswer, CommandKey, ConversationId, Ticket, TicketId, TransitionAnswer
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.state import Entry, State
from opensymphony.workflow.policy import AgentPolicy
from tests.daemon.world import GOOD, HOLDS, World, view
from tests.fakes.scripted_runtime import ScriptedAgents, ScriptedRuntime, Step

CLAIM = Claim(instance="one", generation=1, heartbeat_ms=1)
TALK = ConversationId("conversation")


class SlowTracker:
    """Writes take as long as the test lets them; each is noted when it begins and when it ends."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.gates: dict[str, anyio.Event] = {}
        self.trouble: Exception | None = None

    async def _write(self, what: str) -> None:
        self.log.append(f"begin {what}")
        gate = self.gates.get(what)
        if gate is not None:
            await gate.wait()
        if self.trouble is not None:
            raise self.trouble
        self.log.append(f"end {what}")

    async def fetch_tickets(self, ids: Sequence[TicketId]) -> tuple[Ticket, ...]:
        await self._write(f"read {ids[0]}")
        return ()

    claim_settle_ms = 0

    async def claim(self, ticket_id: TicketId, claim: Claim, *, replacing: Claim | None) -> ClaimAnswer:
        await self._write(f"claim {ticket_id}")
        return ClaimAnswer(granted=True)

    async def release(self, ticket_id: TicketId, claim: Claim) -> None:
        await self._write(f"release {ticket_id}")

    async def upsert_comment(self, ticket_id: TicketId, marker: str, body: str) -> str:
        await self._write(f"{body} {ticket_id}")
        return "1"

    async def transition(self, ticket_id: TicketId, *, from_states: Sequence[str], to_state: str) -> TransitionAnswer:
        await self._write(f"move {ticket_id}")
        return TransitionAnswer(moved=True, state=to_state)


class Bench:
    """An executor with everything around it in the test's hands."""

    def __init__(self, executor: Executor, tracker: SlowTracker, agents: ScriptedAgents, events: list[e.Event]) -> None:
        self.executor = executor
        self.tracker = tracker
        self.agents = agents
        self.events = events
        self._keys = 0

    def start(self, kind: type[c.Effect], ticket: str = "T", *, recovered: bool = False, **fields: Any) -> CommandKey:
        self._keys += 1
        key = CommandKey(f"{ticket}#1/{self._keys}/x")
        command = kind(key=key, ticket_id=TicketId(ticket), generation=1, **fields)
        self.executor.start(cast(c.Command, command), recovered=recovered)
        return key

    async def outcome(self, key: CommandKey) -> Any:
        with anyio.fail_after(10):
            while True:
                for event in self.events:
                    if isinstance(event, e.CommandOutcome) and event.key == key:
                        return event
                await anyio.sleep(0.005)

    async def until_logged(self, line: str) -> None:
        with anyio.fail_after(10):
            while line not in self.tracker.log:
                await anyio.sleep(0.005)


@asynccontextmanager
async def bench(directory: Path, steps: Sequence[Step] = (GOOD,)) -> AsyncIterator[Bench]:
    tracker, agents = SlowTracker(), ScriptedAgents({"T": steps})
    state = State()
    for name in ("T", "U"):
        ticket = Ticket(id=TicketId(name), identifier=name, title="t", state="Todo")
        state.entries[ticket.id] = Entry(ticket=ticket)
    events: list[e.Event] = []

    async def post(event: e.Event) -> None:
        events.append(event)

    async with anyio.create_task_group() as tasks:
        executor = Executor(
            tasks,
            post,
            state,
            Clock(),
            cast(Tracker, tracker),
            cast(Workspaces, None),
            ScriptedRuntime(agents),
            Notifier(str(directory), "nonce-of-the-bench"),
        )
        yield Bench(executor, tracker, agents, events)
        tasks.cancel_scope.cancel()


async def test_writes_to_one_ticket_keep_their_order(tmp_path: Path) -> None:
    """A later write waits for the earlier one, whatever kind it is; another ticket's does not, nor does a read."""
    async with bench(tmp_path) as made:
        made.tracker.gates["claim T"] = anyio.Event()
        first = made.start(c.ClaimTicket, claim=CLAIM, stale_after_ms=1)
        second = made.start(c.WriteComment, body="comment")
        third = made.start(c.TransitionTicket, from_states=("Todo",), to_state="Done")
        fourth = made.start(c.ReleaseClaim, claim=CLAIM)
        await made.outcome(made.start(c.WriteComment, "U", body="comment"))
        await made.outcome(made.start(c.RereadTicket))
        assert [line for line in made.tracker.log if line.endswith(" T") and "read" not in line] == ["begin claim T"]
        made.tracker.gates["claim T"].set()
        for key in (first, second, third, fourth):
            await made.outcome(key)
        assert [line for line in made.tracker.log if line.endswith(" T") and "read" not in line] == [
            f"{edge} {what} T" for what in ("claim", "comment", "move", "release") for edge in ("begin", "end")
        ]


async def test_a_pause_that_a_service_asks_for_is_passed_on(tmp_path: Path) -> None:
    """Whoever reads the same tracker learns of it, in milliseconds; other trouble says nothing."""
    async with bench(tmp_path) as made:
        told: list[int] = []
        made.executor.told_to_pause = told.append
        for trouble in (RateLimited("board", "slow down", retry_after_ms=7_000), RateLimited("board", "slow down")):
            made.tracker.trouble = trouble
            await made.outcome(made.start(c.WriteComment, body="comment"))
        assert told == [7_000]


async def test_a_write_that_fails_lets_the_next_one_through(tmp_path: Path) -> None:
    """The lane of a ticket is never blocked by trouble."""
    async with bench(tmp_path) as made:
        made.tracker.gates["comment T"] = anyio.Event()
        failing = made.start(c.WriteComment, body="comment")
        after = made.start(c.ReleaseClaim, claim=CLAIM)
        await made.until_logged("begin comment T")
        made.tracker.trouble = Refused("tracker", "no permission")
        made.tracker.gates["comment T"].set()
        assert isinstance(await made.outcome(failing), e.CommandFailed)
        assert isinstance(await made.outcome(after), e.CommandFailed)
        assert made.tracker.log[-1] == "begin release T"


@pytest.mark.parametrize(
    ("trouble", "error", "error_class", "retry_after_ms"),
    [
        (Refused("tracker", "no permission"), "tracker: no permission", "person", None),
        (RateLimited("tracker", "slow down", retry_after_ms=5_000), "tracker: slow down", "retry", 5_000),
        (AgentServerError("agent-server: away"), "agent-server: away", "retry", None),
        (ConfigurationError([Problem(file="W", line=3, message="bad")]), "W:3: bad", "person", None),
        (ValueError("two\nlines  of it"), "two lines of it", "retry", None),
        (KeyError(), "KeyError", "retry", None),
        (ValueError("no journal holds \ud83d"), "no journal holds \ufffd", "retry", None),
    ],
)
async def test_whatever_goes_wrong_is_an_outcome(
    trouble: Exception, error: str, error_class: str, retry_after_ms: int | None, tmp_path: Path
) -> None:
    """Expected or a defect of ours: the command has failed, in one line, and nothing else has."""
    # The log is not shown: a report of half a character could not travel between processes.
    with capture_logs():
        async with bench(tmp_path) as made:
            made.tracker.trouble = trouble
            failed = await made.outcome(made.start(c.RereadTicket))
            assert isinstance(failed, e.CommandFailed)
            assert (failed.error, failed.error_class, failed.retry_after_ms) == (error, error_class, retry_after_ms)
            made.tracker.trouble = None
            assert isinstance(await made.outcome(made.start(c.RereadTicket, "U")), e.TicketReread)


async def test_a_command_about_a_forgotten_ticket_fails_alone(tmp_path: Path) -> None:
    """Its ticket has gone from the state meanwhile; the executor goes on."""
    async with bench(tmp_path) as made:
        failed = await made.outcome(made.start(c.RunHook, "gone", workspace=None, name="after_run"))
        assert isinstance(failed, e.CommandFailed)
        assert isinstance(await made.outcome(made.start(c.RereadTicket)), e.TicketReread)


async def test_a_stop_waits_for_what_it_stops(tmp_path: Path) -> None:
    """The task of the target has ended before the agent is interrupted, and it reports no outcome of its own."""
    async with bench(tmp_path, [HOLDS]) as made:
        opened = made.start(c.OpenConversation, conversation_id=TALK, working_dir=str(tmp_path), title="T: t")
        await made.outcome(opened)
        sent = made.start(c.SendMessage, conversation_id=TALK, text="go")
        await made.outcome(sent)
        turn = made.start(c.AwaitTurn, conversation_id=TALK, message_key=sent)
        with anyio.fail_after(10):
            while not any(isinstance(event, e.TurnProgressed) for event in made.events):
                await anyio.sleep(0.005)
        stopped = await made.outcome(made.start(c.StopRun, target_key=turn, conversation_id=TALK))
        assert isinstance(stopped, e.RunStopped)
        assert made.agents.stops == 1
        assert not made.agents.talks[TALK].running
        assert [event for event in made.events if isinstance(event, e.TurnEnded)] == []


async def test_a_stop_waits_while_its_target_cannot_let_go(tmp_path: Path) -> None:
    """A write that is just being made is seen through before anything else happens."""
    async with bench(tmp_path) as made:
        seen: list[str] = []

        async def stubborn(ids: Sequence[TicketId]) -> tuple[Ticket, ...]:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    seen.append("asked to end")
                    await gate.wait()
                    seen.append("ended")

        gate = anyio.Event()
        made.tracker.fetch_tickets = stubborn  # type: ignore[method-assign]
        target = made.start(c.RereadTicket)
        await anyio.wait_all_tasks_blocked()
        stop = made.start(c.StopRun, target_key=target, conversation_id=TALK)
        await anyio.wait_all_tasks_blocked()
        assert (seen, made.agents.stops) == (["asked to end"], 0)
        gate.set()
        assert isinstance(await made.outcome(stop), e.RunStopped)
        assert (seen[-1], made.agents.stops) == ("ended", 1)


@pytest.mark.parametrize("target", [None, CommandKey("T#1/99/long-gone")])
async def test_a_stop_without_a_target_only_interrupts(target: CommandKey | None, tmp_path: Path) -> None:
    """After a crash there is no task to end, and before the conversation nothing to interrupt."""
    async with bench(tmp_path) as made:
        stop = made.start(c.StopRun, target_key=target, conversation_id=None)
        assert isinstance(await made.outcome(stop), e.RunStopped)
        assert made.agents.stops == 0


async def test_a_stop_that_cannot_be_confirmed_is_not_a_stop(tmp_path: Path) -> None:
    """A server that does not answer fails the command: stopped means confirmed stopped."""
    async with bench(tmp_path) as made:
        made.agents.unreachable = True
        stop = made.start(c.StopRun, target_key=None, conversation_id=TALK)
        assert isinstance(await made.outcome(stop), e.CommandFailed)


async def test_a_stopped_write_leaves_its_lane(tmp_path: Path) -> None:
    """What waited behind it goes on."""
    async with bench(tmp_path) as made:
        made.tracker.gates["move T"] = anyio.Event()
        moving = made.start(c.TransitionTicket, from_states=("Todo",), to_state="Done")
        waiting = made.start(c.WriteComment, body="comment")
        await made.until_logged("begin move T")
        await made.outcome(made.start(c.StopRun, target_key=moving, conversation_id=None))
        assert isinstance(await made.outcome(waiting), e.CommentWritten)
        assert made.tracker.log == ["begin move T", "begin comment T", "end comment T"]


async def test_only_a_recovered_wait_resumes(tmp_path: Path) -> None:
    """The runtime is told whether we were away."""
    async with bench(tmp_path, [Step(), Step()]) as made:
        await made.outcome(
            made.start(c.OpenConversation, conversation_id=TALK, working_dir=str(tmp_path), title="T: t")
        )
        for recovered in (False, True):
            sent = made.start(c.SendMessage, conversation_id=TALK, text="go")
            await made.outcome(sent)
            await made.outcome(made.start(c.AwaitTurn, conversation_id=TALK, message_key=sent, recovered=recovered))
            assert made.agents.resumed == ([sent] if recovered else [])


async def test_one_defect_leaves_the_other_tickets_working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a whole daemon: what breaks unexpectedly for one ticket is a failed run of that ticket alone."""
    world = World(tmp_path / "world", {"A-1": [GOOD], "B-1": [GOOD]})
    world.ticket("A-1")
    world.ticket("B-1")
    original = ScriptedRuntime.send

    async def broken(self: ScriptedRuntime, conversation_id: ConversationId, key: CommandKey, text: str) -> None:
        if key.startswith("A-1"):
            raise ZeroDivisionError("a defect of ours")
        await original(self, conversation_id, key, text)

    monkeypatch.setattr(ScriptedRuntime, "send", broken)
    agent = AgentPolicy(retry_backoff_ms=50, max_retry_backoff_ms=100, max_failures=2)
    daemon = world.make(world.policy(agent=agent), once=True)
    with anyio.fail_after(45):
        await daemon.run()
    broken_one, good_one = view(daemon, "A-1"), view(daemon, "B-1")
    assert broken_one is not None
    assert good_one is not None
    assert (good_one.phase, good_one.failures) == ("in_review", 0)
    assert broken_one.phase == "needs_person"
    assert "a defect of ours" in broken_one.reason
