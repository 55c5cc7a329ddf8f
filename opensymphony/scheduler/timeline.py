"""What happened with a ticket and was decided about it, for people: a record goes in, sentences come out.

Every kind of decision is told (`TELLERS`) or named as bookkeeping (`BOOKKEEPING`); a test finds one that is neither. Texts of
agents, people and trackers stand in the sentences, cleaned, shortened and on one line: untrusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from opensymphony.model import TicketId
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler import sentences as s
from opensymphony.scheduler.records import Record
from opensymphony.views import TimelineEntry

Teller = Callable[[Record, Any], s.Said | None]


_FAILURES = (d.StageDelayed, d.MergeAwaited)
"""They tell themselves what has failed."""


def entries(record: Record, clean: s.Clean = str) -> Iterator[tuple[TicketId, TimelineEntry]]:
    """What a record tells, in order, each with its ticket. The decisions of one event can be about several.

    `clean` is given every text whole; what is shortened or on one line already would hide from it.
    """
    event = record.event
    if isinstance(event, e.CommandFailed) and not any(isinstance(one, _FAILURES) for one in record.decisions):
        yield _entry(record, TicketId(event.key.rpartition("#")[0]), s.command_failed(event), None, clean)
    for decision in record.decisions:
        teller = TELLERS.get(type(decision))
        if teller is None:
            continue
        ticket_id = _ticket(event, decision)
        said = teller(record, decision) if ticket_id is not None else None
        if ticket_id is not None and said is not None:
            yield _entry(record, ticket_id, said, decision, clean)


def _entry(
    record: Record, ticket_id: TicketId, said: s.Said, decision: d.Decision | None, clean: s.Clean
) -> tuple[TicketId, TimelineEntry]:
    entry = TimelineEntry(
        sequence=record.sequence,
        at_ms=record.event.at_ms,
        kind=said.kind,
        text=said.line(clean),
        generation=_generation(record.event, decision, ticket_id),
        failed=said.failed,
    )
    return ticket_id, entry


def _ticket(event: e.Event, decision: d.Decision) -> TicketId | None:
    if isinstance(decision, d.TicketTracked):
        return decision.ticket.id
    found = getattr(decision, "ticket_id", None)
    if found is None and isinstance(decision, d.RequestNoted):
        found = getattr(event, "ticket_id", None)
    return found


def _generation(event: e.Event, decision: d.Decision | None, ticket_id: TicketId) -> int | None:
    """The run that it is about, where decision or event tell."""
    if isinstance(decision, d.RunStarted):
        return decision.generation
    if isinstance(decision, d.StageEntered | d.StagePlanned):
        return decision.command.generation
    if isinstance(decision, d.RunEnded) and decision.totals is not None:
        return decision.totals.generation
    if isinstance(event, e.TurnProgressed) and event.ticket_id == ticket_id:
        return event.generation
    if isinstance(event, e.CommandOutcome):
        of, _, rest = event.key.rpartition("#")
        number = rest.partition("/")[0]
        if of == ticket_id and number.isdecimal():
            return int(number) or None
    return None


TELLERS: dict[type, Teller] = {
    d.RunStarted: s.run_started,
    d.StageEntered: s.stage_entered,
    d.StageDelayed: s.stage_delayed,
    d.StagePlanned: s.stage_planned,
    d.TurnBegun: s.turn_begun,
    d.TurnSettled: s.turn_settled,
    d.WorkspaceAssigned: s.workspace_assigned,
    d.WorkspaceRemoved: s.workspace_removed,
    d.ConversationAssigned: s.conversation_assigned,
    d.WorkNoted: s.work_noted,
    d.VerificationNoted: s.verification_noted,
    d.CommitDelivered: s.commit_delivered,
    d.ContinuationCounted: s.continuation,
    d.StopBegun: s.stop_begun,
    d.EndingAmended: s.ending_amended,
    d.RunEnded: s.run_ended,
    d.RunAbandoned: s.run_abandoned,
    d.SilenceExcused: s.silence_excused,
    d.MessageQueued: s.message_queued,
    d.BudgetGranted: s.budget_granted,
    d.PersonAsked: s.person_asked,
    d.AskSettled: s.ask_settled,
    d.RehydrationWanted: s.rehydration_wanted,
    d.TicketTracked: s.ticket_tracked,
    d.TicketWoken: s.ticket_woken,
    d.ClaimLost: s.claim_lost,
    d.TicketParked: s.ticket_parked,
    d.TicketClosed: s.ticket_closed,
    d.RequestNoted: s.request_noted,
    d.PauseSet: s.pause_set,
    d.PullRequestNoted: s.pull_request_noted,
    d.RoundsCounted: s.rounds_counted,
    d.ThreadsSettled: s.threads_settled,
    d.MergeAwaited: s.merge_awaited,
}
"""How each kind is told; some of a kind say nothing."""

BOOKKEEPING: frozenset[type] = frozenset(
    {
        # About everything, not about one ticket.
        d.BootNoted,
        d.PolicyAdopted,
        d.PolicyErrorNoted,
        d.PollNoted,
        d.DayTurned,
        d.StorageErrorNoted,
        d.DrainBegun,
        d.ServerGivenUp,
        d.TimersTaken,
        # Counted, remembered or prepared; what follows from it is told.
        d.TimerSet,
        d.TicketForgotten,
        d.CommandIssued,
        d.CommandSettled,
        d.ClaimHeld,
        d.MarkTaken,
        d.ProgressNoted,
        d.WorkspaceMarked,
        d.InFlightCounted,
        d.UsageSettled,
        d.EndingChosen,
        d.MessagesTaken,
        d.CommentHeard,
        d.CommentDeferred,
        d.ReviewHeard,
        d.ThreadDone,
        d.PullRequestTied,
    }
)
"""Kinds that a person is not told of."""
