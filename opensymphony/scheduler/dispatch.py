"""Which tickets start now: the most urgent ready ones, as far as there are places."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge

from opensymphony.model import TicketId
from opensymphony.scheduler.commands import RereadTicket
from opensymphony.scheduler.decisions import Decision, RunStarted
from opensymphony.scheduler.eligibility import starting_class
from opensymphony.scheduler.heaps import in_order
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.state import ReadyItem, State


def fill(state: State, at_ms: int) -> tuple[Decision, ...]:
    """Fill free places. Looks at no more tickets than it starts, plus the dead items it passes."""
    policy = state.policy
    if policy is None or state.draining or state.server_error is not None:
        return ()
    free = policy.agent.max_concurrent_agents - len(state.running)
    if free <= 0 or not state.ready:
        return ()
    limits = policy.agent.max_concurrent_agents_by_state
    places = {name: limits.get(name, free) for name in (*state.ready, *limits)}
    for name in state.running.values():
        if name in limits:
            places[name] -= 1
    decisions: list[Decision] = []
    for item, name in merge(*(_offers(heap, name, places) for name, heap in state.ready.items())):
        if free <= 0:
            break
        entry = state.entries.get(TicketId(item[3]))
        if entry is None or entry.ready_stamp != item[4]:
            continue
        target = starting_class(entry.ticket, policy)
        if target != name:
            # It will be moved there at once, and count there.
            if places[target] <= 0:
                continue
            places[target] -= 1
        plan = Plan(state, entry, at_ms, new_run=True)
        plan.add(RunStarted(at_ms=at_ms, ticket_id=plan.ticket.id, generation=plan.generation))
        plan.enter("rereading", RereadTicket)
        decisions.extend(plan.decisions)
        free -= 1
        places[name] -= 1
    return tuple(decisions)


def _offers(heap: list[ReadyItem], name: str, places: dict[str, int]) -> Iterator[tuple[ReadyItem, str]]:
    for item in in_order(heap):
        if places[name] <= 0:
            return
        yield item, name
