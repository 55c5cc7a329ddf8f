"""What a decision about everything changes: boots, policies, polls, days, pauses, requests and timers."""

from __future__ import annotations

from heapq import heappop

from opensymphony.model import TicketId, Usage
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.places import recount, refresh_ready, set_timer
from opensymphony.scheduler.state import State, entry_of, is_live_timer, run_of

_REQUESTS_MAX = 1_000


def boot_noted(state: State, decision: d.BootNoted) -> None:
    state.instance = decision.instance
    state.draining = False
    state.server_error = None
    state.storage_error = None
    state.polled_ms = None
    state.now_ms = decision.at_ms
    for ticket_id in state.running:
        run_of(state, ticket_id).last_activity_ms = decision.at_ms
    _ask_again(state)
    recount(state)


def _ask_again(state: State) -> None:
    """What a code host refused it may take now: a token, or a permission, may be another one."""
    for entry in state.entries.values():
        if entry.pull is not None:
            entry.pull.refused = ""


def policy_adopted(state: State, decision: d.PolicyAdopted) -> None:
    state.policy = decision.policy
    state.policy_error = None
    _ask_again(state)
    state.ready = {}
    recount(state)
    for entry in state.entries.values():
        refresh_ready(state, entry)


def policy_error_noted(state: State, decision: d.PolicyErrorNoted) -> None:
    state.policy_error = decision.error


def poll_noted(state: State, decision: d.PollNoted) -> None:
    since_ms = state.poll_error_since_ms or decision.at_ms
    state.poll_error, state.poll_error_since_ms = decision.error, since_ms if decision.error else None
    if decision.error is None:
        state.polled_ms = decision.at_ms
        state.problems = decision.problems


def day_turned(state: State, decision: d.DayTurned) -> None:
    state.day = decision.day
    # What is not known yet may be spent today.
    state.spent_day = sum((run_of(state, ticket_id).unsettled for ticket_id in state.running), Usage())


def storage_error_noted(state: State, decision: d.StorageErrorNoted) -> None:
    state.storage_error = decision.error


def request_noted(state: State, decision: d.RequestNoted) -> None:
    state.requests[decision.request_id] = (decision.accepted, decision.answer, decision.subject)
    if len(state.requests) > _REQUESTS_MAX:
        del state.requests[next(iter(state.requests))]


def pause_set(state: State, decision: d.PauseSet) -> None:
    if decision.ticket_id is None:
        state.paused, state.paused_ms = decision.paused, decision.at_ms
        return
    entry = entry_of(state, decision.ticket_id)
    entry.paused, entry.paused_ms = decision.paused, decision.at_ms
    refresh_ready(state, entry)


def drain_begun(state: State, decision: d.DrainBegun) -> None:
    state.draining = True


def timers_taken(state: State, decision: d.TimersTaken) -> None:
    state.now_ms = max(state.now_ms, decision.until_ms)
    while state.timers and (state.timers[0][0] <= decision.until_ms or not is_live_timer(state, state.timers[0])):
        due_ms, _, kind, ticket_id, _ = heappop(state.timers)
        entry = state.entries.get(TicketId(ticket_id))
        if kind in ("move", "settle") and entry is not None and entry.move_ms == due_ms:
            entry.move_ms = 0


def timer_set(state: State, decision: d.TimerSet) -> None:
    set_timer(state, decision.kind, decision.ticket_id, decision.generation, decision.due_ms)


def server_given_up(state: State, decision: d.ServerGivenUp) -> None:
    state.server_error = decision.error
