"""Records the histories of this folder anew: `python -m tests.histories.record [NAME ...]`.

Each is a seeded story of the real scheduler with a pretend world around it, exported as `opensymphony journal export` does. To
be recorded anew only when decisions are meant to change: the difference in the summaries is what a reviewer looks at.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from opensymphony.daemon.history import History, exported, open_export, replayed
from opensymphony.model import (
    AgentFailure,
    Claim,
    ClaimAnswer,
    TicketId,
    TicketRef,
    TurnEnd,
    TurnProgress,
    Usage,
    Work,
)
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import Record, decode_record
from opensymphony.scheduler.state import State
from opensymphony.workflow.policy import AgentPolicy, BudgetLimit, BudgetPolicy, HooksPolicy, Policy
from tests.scheduler.playbook import GOOD_WORK, Playbook, policy

FOLDER = Path(__file__).parent
ANEW = "python -m tests.histories.record"
_ERROR_CLASSES = ("retry", "retry", "retry", "person", "final")


class Story:
    """A playbook whose world acts by a seeded die."""

    def __init__(self, seed: int, chosen: Policy) -> None:
        self.die = random.Random(seed)
        self.book = Playbook(chosen)
        self.book.fold_every = 100_000
        self.fails = 0.0
        """Share of commands that fail."""
        self.requests = 0
        self.used: dict[str, int] = {}

    def board(self, count: int) -> None:
        """Tickets of every kind: urgent, labelled, blocked, with children."""
        for number in range(1, count + 1):
            blockers = (self._ref(number - 2),) if number % 5 == 0 else ()
            children = (self._ref(number - 1),) if number % 7 == 0 else ()
            self.book.ticket(
                f"SHOP-{number}",
                priority=number % 4 + 1,
                labels=("database",) if number % 3 == 0 else (),
                created_ms=1_000 + number,
                description=f"What the customer wants is number {number}",
                blocked_by=blockers,
                children=children,
            )

    def _ref(self, number: int) -> TicketRef:
        name = f"SHOP-{number}"
        return TicketRef(id=TicketId(name), identifier=name, state=self.book.tickets[TicketId(name)].state)

    def day(self, steps: int, *also: Callable[[], None]) -> None:
        """So many things happen: mostly outcomes, some reports, now and then one of `also`."""
        for _ in range(steps):
            throw = self.die.random()
            pending = list(self.book.state.pending.values())
            if throw < 0.06 and also:
                self.die.choice(also)()
            elif throw < 0.25:
                self.report()
            elif pending and throw < 0.93:
                self.answer(self.die.choice(pending))
            else:
                self.book.passes(self.die.randrange(1_000, 60_000))

    def answer(self, command: c.Command) -> None:
        book = self.book
        if isinstance(command, c.AwaitTurn) and self.die.random() < 0.6:
            self.report(command.ticket_id)
            return
        book.now_ms += self.die.randrange(1, 3_000)
        if self.die.random() < self.fails:
            failed = e.CommandFailed(
                at_ms=book.now_ms,
                key=command.key,
                jitter=self.die.random(),
                error="the upstream of acme.example hung up",
                error_class=self.die.choice(_ERROR_CLASSES),
            )
            book.send(failed)
        else:
            name = book.entry(command.ticket_id).ticket.id
            book.answer(type(command), name, **self._said(command)) if self._alone(command) else None

    def _alone(self, command: c.Command) -> bool:
        same = [one for one in self.book.state.pending.values() if type(one) is type(command)]
        return sum(one.ticket_id == command.ticket_id for one in same) == 1

    def _said(self, command: c.Command) -> dict[str, Any]:
        lucky = self.die.random() >= self.fails
        if isinstance(command, c.AwaitTurn):
            used = self._use(command.ticket_id)
            if lucky:
                return {"end": TurnEnd(status="finished", final_text="I mended the basket.", usage=used)}
            failure = AgentFailure(code="LLMServiceUnavailable", detail="the model at acme.example is away")
            return {"end": TurnEnd(status=self.die.choice(("error", "stuck")), failure=failure, usage=used)}
        if isinstance(command, c.VerifyWork):
            return {"passed": lucky}
        if isinstance(command, c.CollectWork):
            left = Work(commit=None, commits_ahead=0, uncommitted=("basket.py",))
            return {"work": GOOD_WORK if lucky else left}
        if isinstance(command, c.ClaimTicket) and not lucky:
            other = Claim(instance="laptop-of-ada", generation=1, heartbeat_ms=self.book.now_ms)
            return {"answer": ClaimAnswer(granted=False, holder=other)}
        return {}

    def _use(self, ticket_id: str) -> Usage:
        calls = self.used[ticket_id] = self.used.get(ticket_id, 0) + 1
        return Usage(
            prompt_tokens=4_000 * calls, completion_tokens=300 * calls, cost_micros=20_000 * calls, model_calls=calls
        )

    def report(self, ticket_id: TicketId | None = None) -> None:
        """A sign of life of an agent at work."""
        working = [
            name for name, entry in self.book.state.entries.items() if entry.run and entry.run.stage == "working"
        ]
        if ticket_id is None:
            if not working:
                return
            ticket_id = self.die.choice(working)
        entry = self.book.state.entries[ticket_id]
        self.book.now_ms += self.die.randrange(1, 4_000)
        actions = (entry.run.actions if entry.run else 0) + 1
        progress = TurnProgress(
            status="running",
            usage=self._use(ticket_id),
            summary="edits basket.py",
            tool_open=self.die.random() < 0.3,
            actions=actions,
            changes=actions // 3,
            repeats=1,
        )
        self.book.send(
            e.TurnProgressed(
                at_ms=self.book.now_ms, ticket_id=ticket_id, generation=entry.generation, progress=progress
            )
        )

    # what people and machines do ---------------------------------------------------------------------------------

    def edit(self) -> None:
        """Somebody changes a ticket."""
        name = self.die.choice(sorted(self.book.tickets))
        shown = self.book.tickets[TicketId(name)]
        state = self.die.choice(("Todo", "In Progress", "In Review", "Done", "todo"))
        self.book.ticket(name, state, priority=shown.priority, labels=shown.labels, description="Ada wants it in blue")

    def vanish(self) -> None:
        name = self.die.choice(sorted(self.book.tickets))
        self.book.send(e.TicketVanished(at_ms=self.book.now_ms, ticket_id=TicketId(name)))

    def poll(self) -> None:
        away = self.die.random() < 0.5
        at_ms = self.book.now_ms
        self.book.send(
            e.PollFailed(at_ms=at_ms, error="the board is away") if away else e.PollCompleted(at_ms=at_ms, problems=())
        )

    def ask(self) -> None:
        """An operator."""
        self.requests += 1
        action = self.die.choice(("stop", "retry", "pause", "resume", "message"))
        name = self.die.choice(sorted(self.book.tickets))
        everything = action in ("pause", "resume") and self.die.random() < 0.4
        self.book.send(
            e.OperatorAsked(
                at_ms=self.book.now_ms,
                request_id=f"request-{self.requests}",
                ticket_id=None if everything else TicketId(name),
                action=action,
                text="use the blue one" if action == "message" else "lunch",
                author="ada",
                finish=self.die.random() < 0.3,
            )
        )

    def retry(self) -> None:
        """An operator starts everything again that waits for a person."""
        for ticket_id, entry in list(self.book.state.entries.items()):
            if entry.phase == "needs_person":
                self.requests += 1
                self.book.send(
                    e.OperatorAsked(
                        at_ms=self.book.now_ms,
                        request_id=f"request-{self.requests}",
                        ticket_id=ticket_id,
                        action="retry",
                    )
                )

    def disk(self) -> None:
        error = self.die.choice((None, "the disk of the store has 3 MB left"))
        self.book.send(e.StorageNoted(at_ms=self.book.now_ms, error=error))

    def restart(self) -> None:
        """The daemon is stopped, or dies, and starts again."""
        if self.die.random() < 0.5:
            self.book.send(e.ShutdownRequested(at_ms=self.book.now_ms))
            self.day(10)
        self.book.now_ms += 30_000
        self.book.send(e.DaemonStarted(at_ms=self.book.now_ms, instance="shop-server", version="test"))

    def rest(self) -> None:
        """Everything comes to its end, as far as it can."""
        self.fails = 0.0
        for _ in range(400):
            pending = list(self.book.state.pending.values())
            if pending:
                self.answer(pending[0])
            elif not self.book.planned_passes():
                return


def ordinary_day() -> Story:
    """Tickets of every kind are worked on, with limits by label; people edit some of them meanwhile."""
    limits = AgentPolicy(max_concurrent_agents=3, max_concurrent_agents_by_label={"database": 1})
    story = Story(1, policy(agent=limits, hooks=HooksPolicy(before_run="make ready", after_run="make tidy")))
    story.board(8)
    story.day(240, story.edit, story.poll)
    story.rest()
    return story


def failures_and_retries() -> Story:
    """Much goes wrong, in every class of error; checks fail; agents fall silent."""
    story = Story(2, policy(agent=AgentPolicy(max_concurrent_agents=3, max_failures=3)))
    story.board(6)
    story.fails = 0.15
    story.day(420, story.poll, story.retry, story.retry, lambda: story.book.passes(400_000) and None)
    story.rest()
    return story


def stops_and_restarts() -> Story:
    """The daemon is stopped and killed, tickets are closed and vanish while agents work on them."""
    story = Story(3, policy())
    story.board(7)
    story.fails = 0.05
    story.day(300, story.restart, story.restart, story.edit, story.vanish)
    story.rest()
    return story


def budget_and_pause() -> Story:
    """Money and tokens run out, days begin, limits are raised, operators ask for everything, the disk is full."""
    small = BudgetPolicy(run=BudgetLimit(cost=0.2), ticket=BudgetLimit(tokens=400_000), day=BudgetLimit(tokens=900_000))
    story = Story(4, policy(budget=small))
    story.board(6)
    begun = 0

    def day_begins() -> None:
        nonlocal begun
        begun += 1
        story.book.send(e.DayBegan(at_ms=story.book.now_ms, day=f"2026-03-{begun:02}"))

    def raise_limit() -> None:
        raised = msgspec.structs.replace(small, run=BudgetLimit(cost=0.2 + begun), ticket=BudgetLimit(tokens=2_000_000))
        story.book.send(e.PolicyLoaded(at_ms=story.book.now_ms, policy=policy(budget=raised)))

    def all_go_on() -> None:
        story.requests += 1
        at_ms, name = story.book.now_ms, f"request-{story.requests}"
        story.book.send(e.OperatorAsked(at_ms=at_ms, request_id=name, ticket_id=None, action="resume", author="ada"))
        story.book.send(e.StorageNoted(at_ms=at_ms, error=None))

    for _ in range(8):
        day_begins()
        all_go_on()
        story.day(40, story.ask, story.ask, story.ask, all_go_on, raise_limit, story.disk)
    story.rest()
    return story


STORIES: dict[str, Callable[[], Story]] = {
    one.__name__: one for one in (ordinary_day, failures_and_retries, stops_and_restarts, budget_and_pause)
}


def as_history(records: list[bytes]) -> History:
    """What a store would show of these records."""

    def read(after: int, until: int) -> Iterator[Record]:
        yield from map(decode_record, records[after:until])

    return History(
        path=Path("records"),
        first=1,
        last=len(records),
        redacted=False,
        beginnings=(0,),
        read_state=lambda sequence: State(),
        read_records=read,
    )


def summary(path: Path) -> str:
    """What a history comes to: facts of its last state, without the wording of today's `status`."""
    with open_export(path) as history:
        shown = replayed(history, None)
    lines = [
        f"{history.last} records, paused {shown.paused}, tokens {shown.usage.total_tokens}, day {shown.day or 'none'}"
    ]
    for view in shown.tickets:
        facts = {
            "phase": view.phase,
            "stage": view.stage,
            "outcome": view.outcome,
            "run": view.generation,
            "failures": view.failures,
            "turns": view.turns,
            "checks": view.attempts,
            "tokens": view.usage.total_tokens,
            "due": view.due_ms,
            "messages": view.messages,
            "verified": view.verified,
        }
        lines.append(" ".join([view.identifier, *(f"{name}={value}" for name, value in facts.items() if value)]))
    return "".join(f"{line}\n" for line in lines)


def main(names: list[str]) -> None:
    for name in names or STORIES:
        records = STORIES[name]().book.records
        path = FOLDER / f"{name}.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in exported(as_history(records), None, None)))
        (FOLDER / f"{name}.txt").write_text(summary(path))
        print(f"{name}: {len(records)} records")


if __name__ == "__main__":
    main(sys.argv[1:])
