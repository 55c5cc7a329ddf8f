"""Which tickets start now: the most urgent ready ones, as far as there are places and money."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge

from opensymphony.model import TicketId
from opensymphony.scheduler.budget import call_does_not_fit
from opensymphony.scheduler.commands import RereadTicket
from opensymphony.scheduler.decisions import Decision, RunStarted, TicketParked
from opensymphony.scheduler.eligibility import limits_of, places_of
from opensymphony.scheduler.heaps import in_order
from opensymphony.scheduler.overlaps import why_overlapping
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.state import ReadyItem, State


def nothing_starts(state: State) -> str | None:
    """Why no ticket at all starts, other than for want of places or money; None when one may."""
    if state.policy is None:
        return "no policy is in force yet"
    if state.server_error is not None:
        return f"the agent-server was given up: {state.server_error}; restart the daemon when it is mended"
    if state.draining:
        return "the daemon is stopping and starts nothing new"
    if state.paused:
        return "everything is paused by an operator: `opensymphony resume --all` goes on"
    if state.storage_error is not None:
        return f"nothing new starts: {state.storage_error}"
    return None


def fill(state: State, at_ms: int) -> tuple[Decision, ...]:
    """Fill free places. Looks at no more tickets than it starts, plus the dead items it passes."""
    policy = state.policy
    if policy is None or not state.ready:
        return ()
    free = policy.agent.max_concurrent_agents - len(state.running)
    if free <= 0 or nothing_starts(state) is not None:
        return ()
    places: dict[str, int] = {}
    for name in state.ready:
        for limit in limits_of(name):
            places[limit] = places_of(limit, policy) - state.occupied.get(limit, 0)
    decisions: list[Decision] = []
    live = len(state.running)
    for item, name in merge(*(_offers(heap, name, places) for name, heap in state.ready.items())):
        entry = state.entries.get(TicketId(item[3]))
        if entry is None or entry.ready_stamp != item[4]:
            continue
        if why_overlapping(state, entry) is not None:
            continue
        if any(places[limit] <= 0 for limit in limits_of(name)):
            continue  # another class took the last place since this one was offered
        if free <= 0 or call_does_not_fit(state, policy, None, live=live + 1) is not None:
            break
        breach = call_does_not_fit(state, policy, entry, live=live + 1)
        if breach is not None:
            decisions.append(
                TicketParked(
                    at_ms=at_ms,
                    ticket_id=entry.ticket.id,
                    reason=breach.text,
                    outcome="over_budget",
                    scope=breach.scope,
                )
            )
            continue
        plan = Plan(state, entry, at_ms, new_run=True)
        plan.add(RunStarted(at_ms=at_ms, ticket_id=plan.ticket.id, generation=plan.generation))
        plan.enter("rereading", RereadTicket)
        decisions.extend(plan.decisions)
        free -= 1
        live += 1
        for limit in limits_of(name):
            places[limit] -= 1
    return tuple(decisions)


def _offers(heap: list[ReadyItem], name: str, places: dict[str, int]) -> Iterator[tuple[ReadyItem, str]]:
    for item in in_order(heap):
        if any(places[limit] <= 0 for limit in limits_of(name)):
            return
        yield item, name
