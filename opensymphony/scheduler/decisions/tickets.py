"""Conclusions about a ticket, with or without a run."""

from __future__ import annotations

from opensymphony.model import Asked, Claim, CommandKey, PersonMessage, Ticket
from opensymphony.scheduler.budget import BudgetScope
from opensymphony.scheduler.commands import Command
from opensymphony.scheduler.decisions.roots import Concluded, OfTicket
from opensymphony.scheduler.outcomes import Outcome


class MessageQueued(OfTicket, frozen=True, kw_only=True):
    """The agent gets this with its next turn."""

    message: PersonMessage


class MessagesTaken(OfTicket, frozen=True, kw_only=True):
    """So many of the oldest messages are in the message that is being sent."""

    count: int


class BudgetGranted(OfTicket, frozen=True, kw_only=True):
    """The ticket may spend its own budget once more."""


class CommentDeferred(OfTicket, frozen=True, kw_only=True):
    """The status comment is to say this, but not before `due_ms`; 0: it is not said at all."""

    body: str
    due_ms: int


class CommentHeard(OfTicket, frozen=True, kw_only=True):
    """A comment of the ticket was taken in, whatever followed from it."""

    comment_id: str


class PersonAsked(OfTicket, frozen=True, kw_only=True):
    """The agent wants an answer or an approval, and stands still until then."""

    at_ms: int
    asked: Asked
    expires_ms: int


class AskSettled(OfTicket, frozen=True, kw_only=True):
    """It was answered, approved, rejected, or is over without that."""

    granted: str = ""
    """The digest that was approved; good for once."""
    reason: str | None = None
    """What the ticket waits for instead; None leaves that as it is."""


class RehydrationWanted(OfTicket, frozen=True, kw_only=True):
    """The next conversation of this ticket is another one, which is told what was done in the one of now."""

    at_ms: int
    reason: str
    overflow: bool = False
    """Its history was too much for its model."""


class TicketTracked(Concluded, frozen=True, kw_only=True):
    """This is how the ticket looks now."""

    at_ms: int
    """When it was read."""
    ticket: Ticket
    ours: bool = False
    """The state was changed by us, not by a person."""
    was: str | None = None
    """Its state as known before; None for a new ticket, and in records of earlier releases."""


class TicketForgotten(OfTicket, frozen=True, kw_only=True):
    pass


class TicketWoken(OfTicket, frozen=True, kw_only=True):
    """A ticket that rested may be worked on again."""

    at_ms: int
    keep_failures: bool = False


class CommandIssued(Concluded, frozen=True, kw_only=True):
    """A command beside the run's stage: a comment, a heartbeat, a clean-up."""

    at_ms: int = 0
    """0 in journals of earlier releases."""
    command: Command


class CommandSettled(Concluded, frozen=True, kw_only=True):
    """The command has its outcome; it is no longer pending."""

    key: CommandKey


class ClaimHeld(OfTicket, frozen=True, kw_only=True):
    claim: Claim
    sure: bool = True
    """False: it may stand on the ticket, so it has to be taken off."""


class ClaimLost(OfTicket, frozen=True, kw_only=True):
    """Another instance has the ticket; nothing more is written on it."""


class MarkTaken(OfTicket, frozen=True, kw_only=True):
    """The ticket rests, and this is how it looks now."""


class TicketParked(OfTicket, frozen=True, kw_only=True):
    """A ticket without a run waits for a person."""

    at_ms: int
    reason: str
    outcome: Outcome = "needs_input"
    scope: BudgetScope | None = None
    told: bool = False
    """Whether somebody is to be notified, who has not asked for it."""


class WorkspaceRemoved(OfTicket, frozen=True, kw_only=True):
    note: str = ""
    """Why it was kept; empty when it is gone."""


class TicketClosed(OfTicket, frozen=True, kw_only=True):
    """A ticket without a run is over, or out of our sight."""

    at_ms: int
    reason: str
