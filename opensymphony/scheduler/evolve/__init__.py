"""Applies one decision to the state. Small, total, and free of judgement: recovery is this, over the journal.

Rules: nothing is decided here; nothing outside is read; the state given is changed in place (the loop owns it, copying a
thousand tickets for each event would be its only cost) and is consistent again when the call returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.evolve import reviews, runs, tickets, whole
from opensymphony.scheduler.state import State


def evolve(state: State, decision: d.Decision) -> None:
    """Apply a decision. Raises `KeyError` when it speaks of a ticket the state does not know: a corrupt journal."""
    APPLY[type(decision)](state, decision)


APPLY: dict[type, Callable[[State, Any], None]] = {
    d.BootNoted: whole.boot_noted,
    d.PolicyAdopted: whole.policy_adopted,
    d.PolicyErrorNoted: whole.policy_error_noted,
    d.PollNoted: whole.poll_noted,
    d.DayTurned: whole.day_turned,
    d.StorageErrorNoted: whole.storage_error_noted,
    d.RequestNoted: whole.request_noted,
    d.PauseSet: whole.pause_set,
    d.MessageQueued: tickets.message_queued,
    d.MessagesTaken: tickets.messages_taken,
    d.PullRequestNoted: reviews.pull_request_noted,
    d.PullRequestTied: reviews.pull_request_tied,
    d.ReviewHeard: reviews.review_heard,
    d.RoundsCounted: reviews.rounds_counted,
    d.ThreadsSettled: reviews.threads_settled,
    d.ThreadDone: reviews.thread_done,
    d.MergeAwaited: reviews.merge_awaited,
    d.CommentHeard: tickets.comment_heard,
    d.CommentDeferred: tickets.comment_deferred,
    d.BudgetGranted: tickets.budget_granted,
    d.DrainBegun: whole.drain_begun,
    d.TimersTaken: whole.timers_taken,
    d.TimerSet: whole.timer_set,
    d.TicketTracked: tickets.ticket_tracked,
    d.TicketForgotten: tickets.ticket_forgotten,
    d.TicketWoken: tickets.ticket_woken,
    d.RunStarted: runs.run_started,
    d.StageEntered: runs.stage_entered,
    d.StageDelayed: runs.stage_delayed,
    d.StagePlanned: runs.stage_planned,
    d.CommandIssued: tickets.command_issued,
    d.CommandSettled: tickets.command_settled,
    d.ClaimHeld: tickets.claim_held,
    d.ClaimLost: tickets.claim_lost,
    d.ServerGivenUp: whole.server_given_up,
    d.MarkTaken: tickets.mark_taken,
    d.TicketParked: tickets.ticket_parked,
    d.WorkspaceAssigned: runs.workspace_assigned,
    d.WorkspaceRemoved: tickets.workspace_removed,
    d.ConversationAssigned: runs.conversation_assigned,
    d.RehydrationWanted: tickets.rehydration_wanted,
    d.PersonAsked: tickets.person_asked,
    d.AskSettled: tickets.ask_settled,
    d.TurnBegun: runs.turn_begun,
    d.ProgressNoted: runs.progress_noted,
    d.SilenceExcused: runs.silence_excused,
    d.WorkspaceMarked: runs.workspace_marked,
    d.InFlightCounted: runs.in_flight_counted,
    d.UsageSettled: runs.usage_settled,
    d.TurnSettled: runs.turn_settled,
    d.WorkNoted: runs.work_noted,
    d.VerificationNoted: runs.verification_noted,
    d.CommitDelivered: runs.commit_delivered,
    d.ContinuationCounted: runs.continuation_counted,
    d.StopBegun: runs.stop_begun,
    d.EndingChosen: runs.ending_chosen,
    d.EndingAmended: runs.ending_amended,
    d.RunEnded: runs.run_ended,
    d.TicketClosed: tickets.ticket_closed,
    d.RunAbandoned: runs.run_abandoned,
}
