"""Applies one decision to the state. Small, total, and free of judgement: recovery is this, over the journal.

Rules: nothing is decided here; nothing outside is read; the state given is changed in place (the loop owns it, copying a
thousand tickets for each event would be its only cost) and is consistent again when the call returns.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop
from typing import Any

from opensymphony.model import Phase, TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.eligibility import moved_mark, resting_mark
from opensymphony.scheduler.outcomes import OUTCOMES
from opensymphony.scheduler.places import occupy, refresh_ready, set_timer, trim_ready
from opensymphony.scheduler.state import Ending, Entry, Run, State, is_live_timer


def evolve(state: State, decision: d.Decision) -> None:
    """Apply a decision. Raises `KeyError` when it speaks of a ticket the state does not know: a corrupt journal."""
    APPLY[type(decision)](state, decision)


def _entry(state: State, ticket_id: TicketId) -> Entry:
    return state.entries[ticket_id]


def _run(state: State, ticket_id: TicketId) -> Run:
    run = state.entries[ticket_id].run
    if run is None:
        raise KeyError(f"ticket {ticket_id} has no run")
    return run


def _boot_noted(state: State, decision: d.BootNoted) -> None:
    state.instance = decision.instance
    state.draining = False
    state.server_error = None
    state.polled_ms = None
    state.now_ms = decision.at_ms
    for ticket_id in state.running:
        run = _run(state, ticket_id)
        run.last_activity_ms = decision.at_ms


def _policy_adopted(state: State, decision: d.PolicyAdopted) -> None:
    state.policy = decision.policy
    state.policy_error = None
    state.ready = {}
    for entry in state.entries.values():
        refresh_ready(state, entry)
        occupy(state, entry)


def _policy_error_noted(state: State, decision: d.PolicyErrorNoted) -> None:
    state.policy_error = decision.error


def _poll_noted(state: State, decision: d.PollNoted) -> None:
    since_ms = state.poll_error_since_ms or decision.at_ms
    state.poll_error, state.poll_error_since_ms = decision.error, since_ms if decision.error else None
    if decision.error is None:
        state.polled_ms = decision.at_ms
        state.problems = decision.problems


def _drain_begun(state: State, decision: d.DrainBegun) -> None:
    state.draining = True


def _timers_taken(state: State, decision: d.TimersTaken) -> None:
    state.now_ms = max(state.now_ms, decision.until_ms)
    while state.timers and (state.timers[0][0] <= decision.until_ms or not is_live_timer(state, state.timers[0])):
        heappop(state.timers)


def _timer_set(state: State, decision: d.TimerSet) -> None:
    set_timer(state, decision.kind, decision.ticket_id, decision.generation, decision.due_ms)


def _ticket_tracked(state: State, decision: d.TicketTracked) -> None:
    ticket = decision.ticket
    entry = state.entries.get(ticket.id)
    if entry is None:
        known = state.generations.pop(ticket.id, 0)
        entry = state.entries[ticket.id] = Entry(ticket=ticket, since_ms=decision.at_ms, generation=known)
    entry.ticket = ticket
    entry.read_ms = max(entry.read_ms, decision.at_ms)
    if decision.ours and entry.resting_mark is not None:
        entry.resting_mark = moved_mark(entry.resting_mark, ticket.state)
    occupy(state, entry)
    refresh_ready(state, entry)


def _ticket_forgotten(state: State, decision: d.TicketForgotten) -> None:
    entry = state.entries.pop(decision.ticket_id, None)
    if entry is not None and entry.generation:
        state.generations[decision.ticket_id] = entry.generation
    state.running.pop(decision.ticket_id, None)


def _ticket_woken(state: State, decision: d.TicketWoken) -> None:
    entry = _entry(state, decision.ticket_id)
    entry.phase = "waiting_to_start"
    entry.since_ms = decision.at_ms
    entry.due_ms = None
    entry.resting_mark = None
    entry.reason = ""
    if not decision.keep_failures:
        entry.failures = 0
    refresh_ready(state, entry)


def _run_started(state: State, decision: d.RunStarted) -> None:
    entry = _entry(state, decision.ticket_id)
    entry.phase = "running"
    entry.since_ms = decision.at_ms
    entry.generation = decision.generation
    entry.step = 0
    entry.due_ms = None
    entry.ready_stamp = 0
    entry.resting_mark = None
    entry.reason = ""
    entry.outcome = None
    entry.started_ms = decision.at_ms if entry.started_ms is None else entry.started_ms
    entry.ended_ms = None
    entry.run = Run(
        generation=decision.generation,
        started_ms=decision.at_ms,
        stage_ms=decision.at_ms,
        last_activity_ms=decision.at_ms,
    )
    occupy(state, entry)
    trim_ready(state)


def _stage_entered(state: State, decision: d.StageEntered) -> None:
    entry, run = _entry(state, decision.ticket_id), _run(state, decision.ticket_id)
    if run.stage != decision.stage:
        run.tries = 0
    run.stage = decision.stage
    run.stage_ms = decision.at_ms
    run.key = decision.command.key
    run.command = decision.command
    run.last_activity_ms = decision.at_ms
    run.prepared = run.prepared or decision.stage in ("before_run", "opening")
    if isinstance(decision.command, c.VerifyWork):
        run.verify_command = decision.command.command
    entry.step += 1
    state.pending[decision.command.key] = decision.command
    occupy(state, entry)


def _stage_delayed(state: State, decision: d.StageDelayed) -> None:
    run = _run(state, decision.ticket_id)
    run.key = None
    run.tries += 1
    run.activity = decision.error
    set_timer(state, "stage_retry", decision.ticket_id, run.generation, decision.due_ms)


def _command_issued(state: State, decision: d.CommandIssued) -> None:
    command = decision.command
    entry = _entry(state, command.ticket_id)
    entry.step += 1
    state.pending[command.key] = command
    if isinstance(command, c.WriteComment):
        entry.comment_key = command.key
        entry.comment = command.body


def _command_settled(state: State, decision: d.CommandSettled) -> None:
    command = state.pending.pop(decision.key)
    entry = state.entries.get(command.ticket_id)
    if entry is None:
        return
    if entry.comment_key == decision.key:
        entry.comment_key = None
    if isinstance(command, c.ReleaseClaim):
        entry.claim = None


def _claim_held(state: State, decision: d.ClaimHeld) -> None:
    entry = _entry(state, decision.ticket_id)
    entry.claim = decision.claim
    entry.abandoned = 0
    if entry.run is not None and decision.sure:
        entry.run.claimed = True


def _claim_lost(state: State, decision: d.ClaimLost) -> None:
    _entry(state, decision.ticket_id).claim = None
    _run(state, decision.ticket_id).claimed = False


def _server_given_up(state: State, decision: d.ServerGivenUp) -> None:
    state.server_error = decision.error


def _mark_taken(state: State, decision: d.MarkTaken) -> None:
    entry = _entry(state, decision.ticket_id)
    entry.resting_mark = resting_mark(entry.ticket)


def _ticket_parked(state: State, decision: d.TicketParked) -> None:
    _entry(state, decision.ticket_id).outcome = "needs_input"
    _put_down(state, decision, "needs_person")


def _put_down(state: State, decision: d.TicketParked | d.TicketClosed, phase: Phase) -> None:
    entry = _entry(state, decision.ticket_id)
    entry.phase = phase
    entry.since_ms = decision.at_ms
    entry.due_ms = None
    entry.reason = decision.reason
    entry.resting_mark = resting_mark(entry.ticket)
    refresh_ready(state, entry)


def _workspace_assigned(state: State, decision: d.WorkspaceAssigned) -> None:
    entry, run = _entry(state, decision.ticket_id), _run(state, decision.ticket_id)
    entry.workspace = run.workspace = decision.workspace
    entry.note = ""


def _workspace_removed(state: State, decision: d.WorkspaceRemoved) -> None:
    entry = _entry(state, decision.ticket_id)
    entry.note = decision.note
    if not decision.note:
        entry.workspace = None


def _conversation_assigned(state: State, decision: d.ConversationAssigned) -> None:
    entry, run = _entry(state, decision.ticket_id), _run(state, decision.ticket_id)
    entry.conversation_id = run.conversation_id = decision.conversation_id
    if decision.created:
        entry.prompted = False
    run.usage_before = run.usage_now = decision.usage


def _turn_begun(state: State, decision: d.TurnBegun) -> None:
    entry, run = _entry(state, decision.ticket_id), _run(state, decision.ticket_id)
    entry.prompted = True
    run.turns += 1
    run.message_key = decision.message_key
    run.last_activity_ms = decision.at_ms
    run.tool_open = False
    run.status = "running"


def _progress_noted(state: State, decision: d.ProgressNoted) -> None:
    run = _run(state, decision.ticket_id)
    run.status = decision.status
    run.tool_open = decision.tool_open
    run.last_activity_ms = decision.at_ms
    if decision.summary:
        run.activity = decision.summary
    if decision.usage is not None:
        run.usage_now = decision.usage


def _turn_settled(state: State, decision: d.TurnSettled) -> None:
    run = _run(state, decision.ticket_id)
    run.usage_now = decision.usage
    run.final_text = decision.final_text
    run.tool_open = False


def _work_noted(state: State, decision: d.WorkNoted) -> None:
    _run(state, decision.ticket_id).work = decision.work


def _verification_noted(state: State, decision: d.VerificationNoted) -> None:
    entry, run = _entry(state, decision.ticket_id), _run(state, decision.ticket_id)
    run.verification = decision.verification
    run.verifications += 1
    entry.verified = decision.verification.passed


def _commit_delivered(state: State, decision: d.CommitDelivered) -> None:
    _entry(state, decision.ticket_id).commit = decision.commit
    _run(state, decision.ticket_id).delivered = True


def _continuation_counted(state: State, decision: d.ContinuationCounted) -> None:
    _run(state, decision.ticket_id).continuations += 1


def _stop_begun(state: State, decision: d.StopBegun) -> None:
    run = _run(state, decision.ticket_id)
    run.stopping = Ending(outcome=decision.outcome, reason=decision.reason, clean=decision.clean)
    entry = _entry(state, decision.ticket_id)
    entry.resting_mark = resting_mark(entry.ticket)


def _ending_chosen(state: State, decision: d.EndingChosen) -> None:
    entry, run = _entry(state, decision.ticket_id), _run(state, decision.ticket_id)
    run.ending = Ending(
        outcome=decision.outcome,
        reason=decision.reason,
        clean=decision.clean,
        retry_after_ms=decision.retry_after_ms,
    )
    run.tool_open = False
    entry.reason = decision.reason
    if run.stopping is None:
        # A person's change from now on, while the last stages run, is an answer to this ending.
        entry.resting_mark = resting_mark(entry.ticket)


def _ending_amended(state: State, decision: d.EndingAmended) -> None:
    run = _run(state, decision.ticket_id)
    if run.ending is not None:
        run.ending.reason = decision.reason


def _close_run(entry: Entry, run: Run, at_ms: int) -> None:
    entry.usage = entry.usage + run.usage
    entry.turns += run.turns
    entry.verifications += run.verifications
    entry.final_text = run.final_text or entry.final_text
    entry.ended_ms = at_ms
    entry.since_ms = at_ms
    entry.run = None


def _run_ended(state: State, decision: d.RunEnded) -> None:
    entry, run = _entry(state, decision.ticket_id), _run(state, decision.ticket_id)
    _close_run(entry, run, decision.at_ms)
    state.running.pop(decision.ticket_id, None)
    entry.phase = OUTCOMES[decision.outcome].phase
    entry.outcome = decision.outcome
    entry.reason = entry.last_end = decision.reason
    entry.failures = decision.failures
    entry.due_ms = decision.due_ms
    if entry.phase not in ("in_review", "needs_person", "closed"):
        entry.resting_mark = None
    if decision.due_ms is not None:
        set_timer(state, "retry", decision.ticket_id, entry.generation, decision.due_ms)
    refresh_ready(state, entry)


def _ticket_closed(state: State, decision: d.TicketClosed) -> None:
    _put_down(state, decision, "closed")


def _run_abandoned(state: State, decision: d.RunAbandoned) -> None:
    entry, run = _entry(state, decision.ticket_id), _run(state, decision.ticket_id)
    _close_run(entry, run, decision.at_ms)
    state.running.pop(decision.ticket_id, None)
    entry.phase = "retrying" if decision.due_ms is not None else "waiting_to_start"
    entry.abandoned += 1
    entry.reason = decision.reason
    entry.due_ms = decision.due_ms
    if decision.due_ms is not None:
        set_timer(state, "retry", decision.ticket_id, entry.generation, decision.due_ms)
    refresh_ready(state, entry)


APPLY: dict[type, Callable[[State, Any], None]] = {
    d.BootNoted: _boot_noted,
    d.PolicyAdopted: _policy_adopted,
    d.PolicyErrorNoted: _policy_error_noted,
    d.PollNoted: _poll_noted,
    d.DrainBegun: _drain_begun,
    d.TimersTaken: _timers_taken,
    d.TimerSet: _timer_set,
    d.TicketTracked: _ticket_tracked,
    d.TicketForgotten: _ticket_forgotten,
    d.TicketWoken: _ticket_woken,
    d.RunStarted: _run_started,
    d.StageEntered: _stage_entered,
    d.StageDelayed: _stage_delayed,
    d.CommandIssued: _command_issued,
    d.CommandSettled: _command_settled,
    d.ClaimHeld: _claim_held,
    d.ClaimLost: _claim_lost,
    d.ServerGivenUp: _server_given_up,
    d.MarkTaken: _mark_taken,
    d.TicketParked: _ticket_parked,
    d.WorkspaceAssigned: _workspace_assigned,
    d.WorkspaceRemoved: _workspace_removed,
    d.ConversationAssigned: _conversation_assigned,
    d.TurnBegun: _turn_begun,
    d.ProgressNoted: _progress_noted,
    d.TurnSettled: _turn_settled,
    d.WorkNoted: _work_noted,
    d.VerificationNoted: _verification_noted,
    d.CommitDelivered: _commit_delivered,
    d.ContinuationCounted: _continuation_counted,
    d.StopBegun: _stop_begun,
    d.EndingChosen: _ending_chosen,
    d.EndingAmended: _ending_amended,
    d.RunEnded: _run_ended,
    d.TicketClosed: _ticket_closed,
    d.RunAbandoned: _run_abandoned,
}
