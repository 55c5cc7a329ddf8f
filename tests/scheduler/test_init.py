"""A seeded world of tickets, people, failures and crashes around the scheduler."""

import random

import pytest

from opensymphony.model import Claim, ClaimAnswer, Cleanup, TicketRef, TransitionAnswer, TurnEnd, Work
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.workflow.policy import AgentPolicy
from tests.scheduler.playbook import Playbook, outcome, policy, ticket

STATES = ("Todo", "In Progress", "In Review", "Backlog", "Done")


class World:
    """Pretends to be everything outside, by a seed."""

    def __init__(self, seed: int, tickets: int) -> None:
        self.random = random.Random(seed)
        self.book = Playbook(policy(agent=AgentPolicy(max_concurrent_agents=3, max_failures=3)))
        self.book.fold_every = 13
        self.names = [f"T-{number}" for number in range(tickets)]
        self.states: dict[str, str] = {}
        self.late: list[e.Event] = []

    def act(self) -> None:
        """One thing happens."""
        what = self.random.random()
        book = self.book
        pending = list(book.state.pending.values())
        if what < 0.62 and pending:
            self.settle(self.random.choice(pending))
        elif what < 0.75:
            self.person_edits(self.random.choice(self.names))
        elif what < 0.90:
            book.passes(self.random.choice([10, 1_000, 20_000, 400_000]))
        elif what < 0.93 and self.late:
            book.send(self.random.choice(self.late))
        elif what < 0.96:
            book.send(e.DaemonStarted(at_ms=book.now_ms, instance="one", version="again"))
        else:
            name = self.random.choice(self.names)
            if name in book.state.entries and self.random.random() < 0.5:
                book.send(e.TicketVanished(at_ms=book.now_ms, ticket_id=ticket(name).id))
                book.tickets.pop(ticket(name).id, None)
                self.states.pop(name, None)

    def person_edits(self, name: str) -> None:
        state = self.states[name] = self.random.choice(STATES)
        other = self.random.choice(self.names)
        blockers = ()
        if self.random.random() < 0.2 and other != name:
            reference = ticket(other)
            blockers = (TicketRef(id=reference.id, identifier=other, state=self.states.get(other)),)
        fields = {"priority": self.random.choice([1, 2, None]), "blocked_by": blockers}
        shown = ticket(name, state, description=str(self.random.random()), **fields)
        self.book.tickets[shown.id] = shown
        self.book.send(e.TicketChanged(at_ms=self.book.now_ms, ticket=shown))

    def settle(self, command: c.Command) -> None:
        book, draw = self.book, self.random.random()
        book.now_ms += 1
        if draw < 0.12:
            kind = self.random.choice(["retry", "retry", "person", "final"])
            event: e.Event = e.CommandFailed(
                at_ms=book.now_ms, key=command.key, error="no", error_class=kind, jitter=self.random.random()
            )
        else:
            event = outcome(command, book.tickets.get(command.ticket_id), book.now_ms, **self.fields(command))
        book.send(event)
        if draw > 0.8:
            self.late.append(event)

    def fields(self, command: c.Command) -> dict[str, object]:
        draw = self.random.random()
        if isinstance(command, c.ClaimTicket) and draw < 0.1:
            return {"answer": ClaimAnswer(granted=False, holder=Claim(instance="two", generation=1, heartbeat_ms=1))}
        if isinstance(command, c.TransitionTicket) and draw < 0.2:
            return {"answer": TransitionAnswer(moved=False, state=self.random.choice(STATES))}
        if isinstance(command, c.AwaitTurn) and draw < 0.3:
            status = self.random.choice(["error", "stuck", "paused", "waiting_for_confirmation", "unknown"])
            return {"end": TurnEnd(status=status)}
        if isinstance(command, c.CollectWork) and draw < 0.3:
            return {
                "work": self.random.choice(
                    [Work(commit=None, commits_ahead=0), Work(commit="f" * 40, commits_ahead=1, uncommitted=("x",))]
                )
            }
        if isinstance(command, c.VerifyWork) and draw < 0.4:
            return {"passed": False}
        if isinstance(command, c.CleanWorkspace) and draw < 0.3:
            return {"cleanup": Cleanup(removed=False, reason="unpushed")}
        return {}

    def check(self) -> None:
        """What holds at every moment."""
        state = self.book.state
        for entry in state.entries.values():
            ours = [command for command in state.pending.values() if command.ticket_id == entry.ticket.id]
            stages = [command for command in ours if isinstance(command, c.AwaitTurn | c.SendMessage | c.VerifyWork)]
            stopping = any(isinstance(command, c.StopRun) for command in ours)
            assert len(stages) <= (2 if stopping else 1), f"{entry.ticket.identifier} does two things at once"
            if entry.phase == "retrying":
                live = [item for item in state.timers if item[2] == "retry" and item[3] == entry.ticket.id]
                assert any(item[0] == entry.due_ms for item in live), f"{entry.ticket.identifier} is never woken"
            if entry.run is not None and entry.run.key is None:
                assert "stage_retry" in entry.run.timers, f"{entry.ticket.identifier} waits for nothing"


@pytest.mark.parametrize("seed", range(8))
def test_a_day_of_trouble_keeps_every_promise(seed: int) -> None:
    """Late, doubled and failed outcomes, people, restarts: never two runs, never a stuck one, recovery equal."""
    world = World(seed, tickets=7)
    for _ in range(220):
        world.act()
        world.check()


@pytest.mark.parametrize("seed", range(4))
def test_after_the_trouble_everything_comes_to_rest(seed: int) -> None:
    """When the world behaves again no ticket is left running, pending or unwakeable."""
    world = World(1000 + seed, tickets=5)
    for _ in range(150):
        world.act()
    for _ in range(400):
        pending = list(world.book.state.pending.values())
        if pending:
            world.book.answer_command(pending[0])
        elif world.book.state.running or any(x.phase == "retrying" for x in world.book.state.entries.values()):
            world.book.passes(400_000)
        else:
            break
    state = world.book.state
    assert state.running == {}
    assert state.pending == {}
