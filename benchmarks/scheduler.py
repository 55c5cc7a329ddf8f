"""Events a second through `decide` and `evolve`, at several numbers of tickets.

The floor is what the same events cost when they only replace an item of a dictionary and are written as JSON: no decision.
Goal (docs/architecture.md): more than 100,000 events a second at 1,000 tickets; cost grows at most logarithmically.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from opensymphony.model import TurnProgress, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler import step
from opensymphony.scheduler.state import State
from opensymphony.workflow.policy import AgentPolicy
from tests.scheduler.playbook import outcome, policy, ticket

EVENTS = 40_000


def main() -> None:
    print(f"{'tickets':>8} {'progress/s':>12} {'changes/s':>12} {'outcomes/s':>12} {'floor/s':>12}")
    for tickets in (10, 1_000, 10_000):
        state = board(tickets)
        outcomes = run_to_work(state)
        running = list(state.running)
        progress = [
            e.TurnProgressed(
                at_ms=3,
                ticket_id=running[index % len(running)],
                generation=1,
                progress=TurnProgress(status="running", usage=Usage(prompt_tokens=index)),
            )
            for index in range(EVENTS)
        ]
        changes = [
            e.TicketChanged(at_ms=3, ticket=ticket(f"T-{index % tickets}", priority=1, description=str(index)))
            for index in range(EVENTS)
        ]
        rates = (rate(state, progress), rate(state, changes), outcomes, floor(progress))
        print(f"{tickets:>8} " + " ".join(f"{figure:>12,.0f}" for figure in rates))


def board(tickets: int) -> State:
    state = State()
    step(state, e.DaemonStarted(at_ms=1, instance="one", version="bench"))
    for index in range(tickets):
        step(state, e.TicketChanged(at_ms=1, ticket=ticket(f"T-{index}", priority=index % 4 + 1)))
    step(state, e.PolicyLoaded(at_ms=1, policy=policy(agent=AgentPolicy(max_concurrent_agents=50))))
    for index in range(tickets):
        step(state, e.TicketChanged(at_ms=1, ticket=ticket(f"T-{index}", priority=index % 4 + 1)))
    return state


def run_to_work(state: State) -> float:
    """Take every started ticket to its first turn; returns outcomes a second."""
    began, count = time.perf_counter(), 0
    while True:
        waiting = [command for command in state.pending.values() if not isinstance(command, c.AwaitTurn)]
        if not waiting:
            return count / (time.perf_counter() - began)
        for command in waiting:
            step(state, outcome(command, state.entries[command.ticket_id].ticket, 2))
            count += 1


def rate(state: State, events: Sequence[e.Event]) -> float:
    began = time.perf_counter()
    for event in events:
        step(state, event)
    return len(events) / (time.perf_counter() - began)


def floor(events: Sequence[e.TurnProgressed]) -> float:
    table: dict[str, object] = {}
    encode = msgspec.json.Encoder().encode
    began = time.perf_counter()
    for event in events:
        table[event.ticket_id] = event
        encode(event)
    return len(events) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
