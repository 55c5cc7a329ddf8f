"""Keeps what `fill` and the loop look at: ready tickets, places that runs take, and timers. Only `evolve` calls this."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from opensymphony.model import TicketId
from opensymphony.scheduler.decisions.roots import TimerKind
from opensymphony.scheduler.eligibility import capacity_class, hold_of, limits_of, start_order
from opensymphony.scheduler.state import Entry, ReadyItem, State, is_live_timer

_DEAD_ITEMS_MAX = 64
"""A heap with more dead items than this, and than live ones, is made anew."""

_TIMERS_EACH = 8
"""More than one ticket ever has alive: one of each kind."""


def refresh_ready(state: State, entry: Entry) -> None:
    """Put the ticket into the heap of its capacity class, or let its item there die; note what keeps it."""
    policy = state.policy
    entry.ready_stamp = 0
    if policy is None or entry.phase != "waiting_to_start":
        _hold(state, entry, "")
        return
    hold = ("paused", "") if entry.paused else hold_of(entry.ticket, policy)
    _hold(state, entry, hold[0] if hold else "")
    if hold is not None:
        return
    state.serial += 1
    entry.ready_stamp = state.serial
    heap = state.ready.setdefault(capacity_class(entry.ticket, policy, starting=True), [])
    heappush(heap, (*start_order(entry.ticket), entry.ticket.id, entry.ready_stamp))
    _trim(state, heap)


def _hold(state: State, entry: Entry, name: str) -> None:
    if name != entry.hold or not entry.hold_ms:
        entry.hold, entry.hold_ms = name, max(state.now_ms, entry.read_ms)


def occupy(state: State, entry: Entry) -> None:
    """Note the further limits that the ticket's run takes a place of; nothing for a ticket without one."""
    run, policy = entry.run, state.policy
    if run is None:
        return
    starting = run.stage in ("rereading", "claiming", "announcing")
    name = "" if policy is None else capacity_class(entry.ticket, policy, starting=starting)
    before = state.running.get(entry.ticket.id)
    if before == name:
        return
    _count(state, before or "", -1)
    state.running[entry.ticket.id] = name
    _count(state, name, 1)


def leave(state: State, ticket_id: TicketId) -> None:
    """Give back the places of a run that has ended."""
    _count(state, state.running.pop(ticket_id, ""), -1)


def recount(state: State) -> None:
    """Work out anew which limits the runs take places of: a boot or a policy may have changed what counts."""
    state.running, state.occupied = dict.fromkeys(state.running, ""), {}
    for ticket_id in state.running:
        occupy(state, state.entries[ticket_id])


def _count(state: State, name: str, by: int) -> None:
    for limit in limits_of(name):
        count = state.occupied.get(limit, 0) + by
        if count > 0:
            state.occupied[limit] = count
        else:
            state.occupied.pop(limit, None)


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
    entry = state.entries[ticket_id]
    if kind == "comment":
        entry.comment_due_ms = due_ms
    elif kind == "review" and entry.pull is not None:
        entry.pull.wake_ms = due_ms
    elif kind == "ask":
        entry.ask_expires_ms = due_ms
    elif kind in ("move", "settle"):
        entry.move_ms = due_ms
    elif kind == "retry":
        entry.due_ms = due_ms
    elif entry.run is not None:
        entry.run.timers[kind] = due_ms
    if len(state.timers) > _DEAD_ITEMS_MAX and len(state.timers) > _TIMERS_EACH * len(state.entries):
        state.timers[:] = [item for item in state.timers if is_live_timer(state, item)]
        heapify(state.timers)
