"""What a decision about a ticket changes, with or without a run."""

from __future__ import annotations

from opensymphony.model import Phase
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.eligibility import moved_mark, resting_mark
from opensymphony.scheduler.places import leave, occupy, refresh_ready, set_timer
from opensymphony.scheduler.state import Entry, State, entry_of, run_of

_HEARD_MAX = 200
"""Far more than a reading of a ticket shows at once."""


def ticket_tracked(state: State, decision: d.TicketTracked) -> None:
    ticket = decision.ticket
    entry = state.entries.get(ticket.id)
    if entry is None:
        known = state.generations.pop(ticket.id, 0)
        entry = state.entries[ticket.id] = Entry(ticket=ticket, since_ms=decision.at_ms, generation=known)
        entry.heard = tuple(comment.id for comment in ticket.comments)
        entry.heard_from = min((comment.number for comment in ticket.comments), default=0)
    entry.ticket = ticket
    if ticket.claim is not None and ticket.claim.instance != state.instance:
        state.others_ms = max(state.others_ms, decision.at_ms)
    entry.read_ms = max(entry.read_ms, decision.at_ms)
    if decision.ours and entry.resting_mark is not None:
        entry.resting_mark = moved_mark(entry.resting_mark, ticket.state)
    occupy(state, entry)
    refresh_ready(state, entry)


def ticket_forgotten(state: State, decision: d.TicketForgotten) -> None:
    entry = state.entries.pop(decision.ticket_id, None)
    if entry is not None and entry.generation:
        state.generations[decision.ticket_id] = entry.generation
    leave(state, decision.ticket_id)


def ticket_woken(state: State, decision: d.TicketWoken) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.phase = "waiting_to_start"
    entry.since_ms = decision.at_ms
    entry.due_ms = None
    entry.move_ms = 0
    entry.resting_mark = None
    entry.reason = ""
    entry.scope = None
    if not decision.keep_failures:
        entry.failures = 0
    refresh_ready(state, entry)


def ticket_parked(state: State, decision: d.TicketParked) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.outcome = decision.outcome
    entry.scope = decision.scope
    _put_down(state, decision, "needs_person")


def _put_down(state: State, decision: d.TicketParked | d.TicketClosed, phase: Phase) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.phase = phase
    entry.since_ms = decision.at_ms
    entry.due_ms = None
    entry.move_ms = 0
    entry.reason = decision.reason
    entry.resting_mark = resting_mark(entry.ticket)
    refresh_ready(state, entry)


def ticket_closed(state: State, decision: d.TicketClosed) -> None:
    _put_down(state, decision, "closed")


def message_queued(state: State, decision: d.MessageQueued) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.messages = (*entry.messages, decision.message)


def comment_heard(state: State, decision: d.CommentHeard) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.heard = (*entry.heard, decision.comment_id)[-_HEARD_MAX:]


def comment_deferred(state: State, decision: d.CommentDeferred) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.comment = decision.body
    if decision.due_ms and decision.due_ms != entry.comment_due_ms:
        set_timer(state, "comment", decision.ticket_id, entry.generation, decision.due_ms)
    elif not decision.due_ms:
        entry.comment_due_ms = 0


def comment_wanted(entry: Entry, command: c.WriteComment, at_ms: int) -> None:
    """It takes the place of whatever has waited."""
    entry.comment = command.body
    entry.comment_ms = at_ms
    entry.comment_due_ms = 0


def budget_granted(state: State, decision: d.BudgetGranted) -> None:
    entry_of(state, decision.ticket_id).grants += 1


def messages_taken(state: State, decision: d.MessagesTaken) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    run.giving = entry.messages[: decision.count]
    if entry.pull is not None:
        given = (thread for message in run.giving for thread in message.threads)
        entry.pull.owed = tuple(dict.fromkeys((*entry.pull.owed, *given)))
    entry.messages = entry.messages[decision.count :]


def rehydration_wanted(state: State, decision: d.RehydrationWanted) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.rehydration = decision.reason
    entry.rehydrations += 1
    if entry.run is not None:
        entry.run.overflows += decision.overflow


def person_asked(state: State, decision: d.PersonAsked) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.asked = decision.asked
    entry.asked_ms = decision.at_ms
    set_timer(state, "ask", decision.ticket_id, entry.generation, decision.expires_ms)


def ask_settled(state: State, decision: d.AskSettled) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.asked = None
    if decision.granted and decision.granted not in entry.granted:
        entry.granted = (*entry.granted, decision.granted)
    if decision.reason is not None:
        entry.reason = decision.reason


def mark_taken(state: State, decision: d.MarkTaken) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.resting_mark = resting_mark(entry.ticket)


def workspace_removed(state: State, decision: d.WorkspaceRemoved) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.note = decision.note
    if not decision.note:
        entry.workspace = None


def command_issued(state: State, decision: d.CommandIssued) -> None:
    command = decision.command
    entry = entry_of(state, command.ticket_id)
    entry.step += 1
    state.pending[command.key] = command
    if isinstance(command, c.WriteComment):
        comment_wanted(entry, command, decision.at_ms)
    elif entry.run is not None and isinstance(command, c.ProbeAgent | c.FingerprintWorkspace):
        entry.run.look_key = command.key


def command_settled(state: State, decision: d.CommandSettled) -> None:
    command = state.pending.pop(decision.key)
    entry = state.entries.get(command.ticket_id)
    if entry is None:
        return
    if entry.run is not None and entry.run.look_key == decision.key:
        entry.run.look_key = None
    if isinstance(command, c.ReleaseClaim) and entry.claim is not None:
        # A late one of an earlier run leaves the present claim alone, here as at the tracker.
        entry.claim = entry.claim if entry.claim.generation > command.claim.generation else None


def claim_held(state: State, decision: d.ClaimHeld) -> None:
    entry = entry_of(state, decision.ticket_id)
    entry.claim = decision.claim
    entry.abandoned = 0
    if entry.run is not None and decision.sure:
        entry.run.claimed = True


def claim_lost(state: State, decision: d.ClaimLost) -> None:
    entry_of(state, decision.ticket_id).claim = None
    run_of(state, decision.ticket_id).claimed = False
