"""Keeps what `fill` and the loop look at: ready tickets, places that runs take, and timers. Only `evolve` calls this."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from opensymphony.model import TicketId
from opensymphony.scheduler.decisions import TimerKind
from opensymphony.scheduler.eligibility import (
    capacity_class,
    start_order,
    starting_class,
    why_not_ours,
    why_not_yet,
)
from opensymphony.scheduler.state import Entry, ReadyItem, State

_DEAD_ITEMS_MAX = 64
"""A ready heap with more dead items than this, and than live ones, is made anew."""


def refresh_ready(state: State, entry: Entry) -> None:
    """Put the ticket into the heap of its capacity class, or let its item there die."""
    policy = state.policy
    entry.ready_stamp = 0
    if policy is None or entry.phase != "waiting_to_start":
        return
    if why_not_ours(entry.ticket, policy) or why_not_yet(entry.ticket, policy):
        return
    state.serial += 1
    entry.ready_stamp = state.serial
    heap = state.ready.setdefault(capacity_class(entry.ticket, policy), [])
    heappush(heap, (*start_order(entry.ticket), entry.ticket.id, entry.ready_stamp))
    _trim(state, heap)


def occupy(state: State, entry: Entry) -> None:
    """Note the capacity class that the ticket's run takes a place of; nothing for a ticket without one."""
    run, policy = entry.run, state.policy
    if run is None:
        return
    if policy is None:
        state.running[entry.ticket.id] = ""
    elif run.stage in ("rereading", "claiming", "announcing"):
        state.running[entry.ticket.id] = starting_class(entry.ticket, policy)
    else:
        state.running[entry.ticket.id] = capacity_class(entry.ticket, policy)


def trim_ready(state: State) -> None:
    """Drop dead items from the tops of the heaps."""
    for heap in state.ready.values():
        _trim(state, heap)


def _trim(state: State, heap: list[ReadyItem]) -> None:
    def dead(item: ReadyItem) -> bool:
        entry = state.entries.get(TicketId(item[3]))
        return entry is None or entry.ready_stamp != item[4]

    while heap and dead(heap[0]):
        heappop(heap)
    if len(heap) > _DEAD_ITEMS_MAX and len(heap) > 2 * len(state.entries):
        heap[:] = [item for item in heap if not dead(item)]
        heapify(heap)


def set_timer(state: State, kind: TimerKind, ticket_id: TicketId, generation: int, due_ms: int) -> None:
    state.serial += 1
    heappush(state.timers, (due_ms, state.serial, kind, ticket_id, generation))
    run = state.entries[ticket_id].run
    if run is not None:
        run.timers[kind] = due_ms
