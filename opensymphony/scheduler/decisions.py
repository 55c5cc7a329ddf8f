"""What we concluded, and what we want done. The counterpart is `events.py`.

A decision changes the state through `evolve` and nothing else does. Some carry a command (`commands.py`).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from opensymphony.model import (
    AgentStatus,
    Claim,
    CommandKey,
    ConversationId,
    PersonMessage,
    Ticket,
    TicketId,
    Usage,
    Verification,
    Work,
    Workspace,
)
from opensymphony.scheduler.budget import BudgetScope
from opensymphony.scheduler.commands import Command
from opensymphony.scheduler.machine import Stage
from opensymphony.scheduler.outcomes import Outcome
from opensymphony.workflow.policy import Policy

TimerKind = Literal["retry", "stall", "stage_retry", "heartbeat", "clean", "wall"]


class Concluded(Struct, frozen=True, kw_only=True, tag=True):
    """Root of every decision."""


class BootNoted(Concluded, frozen=True, kw_only=True):
    at_ms: int
    instance: str


class PolicyAdopted(Concluded, frozen=True, kw_only=True):
    policy: Policy


class PolicyErrorNoted(Concluded, frozen=True, kw_only=True):
    error: str


class PollNoted(Concluded, frozen=True, kw_only=True):
    at_ms: int
    error: str | None = None
    problems: tuple[str, ...] = ()


class DayTurned(Concluded, frozen=True, kw_only=True):
    """What is spent from now on counts for this day."""

    day: str


class StorageErrorNoted(Concluded, frozen=True, kw_only=True):
    """None: the disk is well again."""

    error: str | None


class RequestNoted(Concluded, frozen=True, kw_only=True):
    """A person's request was taken up or refused; asked again, it gets this answer and changes nothing."""

    request_id: str
    accepted: bool
    answer: str


class PauseSet(Concluded, frozen=True, kw_only=True):
    """Nothing starts on the ticket, or at all where none is named, until an operator resumes it."""

    at_ms: int
    ticket_id: TicketId | None
    paused: bool


class MessageQueued(Concluded, frozen=True, kw_only=True):
    """The agent gets this with its next turn."""

    ticket_id: TicketId
    message: PersonMessage


class MessagesTaken(Concluded, frozen=True, kw_only=True):
    """So many of the oldest messages are in the message that is being sent."""

    ticket_id: TicketId
    count: int


class DrainBegun(Concluded, frozen=True, kw_only=True):
    pass


class TimersTaken(Concluded, frozen=True, kw_only=True):
    """Everything due until then was looked at."""

    until_ms: int


class TimerSet(Concluded, frozen=True, kw_only=True):
    kind: TimerKind
    ticket_id: TicketId
    generation: int
    due_ms: int


class TicketTracked(Concluded, frozen=True, kw_only=True):
    """This is how the ticket looks now."""

    at_ms: int
    """When it was read."""
    ticket: Ticket
    ours: bool = False
    """The state was changed by us, not by a person."""


class TicketForgotten(Concluded, frozen=True, kw_only=True):
    ticket_id: TicketId


class TicketWoken(Concluded, frozen=True, kw_only=True):
    """A ticket that rested may be worked on again."""

    at_ms: int
    ticket_id: TicketId
    keep_failures: bool = False


class RunStarted(Concluded, frozen=True, kw_only=True):
    at_ms: int
    ticket_id: TicketId
    generation: int


class StageEntered(Concluded, frozen=True, kw_only=True):
    """The run is in this stage now, and this command is wanted."""

    at_ms: int
    ticket_id: TicketId
    stage: Stage
    command: Command


class StageDelayed(Concluded, frozen=True, kw_only=True):
    """The stage's command failed for now and is tried again when due."""

    at_ms: int
    ticket_id: TicketId
    due_ms: int
    error: str


class StagePlanned(Concluded, frozen=True, kw_only=True):
    """The run is in this stage; its command is wanted when due, with a key of its own."""

    at_ms: int
    ticket_id: TicketId
    stage: Stage
    command: Command
    due_ms: int


class CommandIssued(Concluded, frozen=True, kw_only=True):
    """A command beside the run's stage: a comment, a heartbeat, a clean-up."""

    command: Command


class CommandSettled(Concluded, frozen=True, kw_only=True):
    """The command has its outcome; it is no longer pending."""

    key: CommandKey


class ClaimHeld(Concluded, frozen=True, kw_only=True):
    ticket_id: TicketId
    claim: Claim
    sure: bool = True
    """False: it may stand on the ticket, so it has to be taken off."""


class ClaimLost(Concluded, frozen=True, kw_only=True):
    """Another instance has the ticket; nothing more is written on it."""

    ticket_id: TicketId


class ServerGivenUp(Concluded, frozen=True, kw_only=True):
    """Nothing starts until the next boot."""

    error: str


class MarkTaken(Concluded, frozen=True, kw_only=True):
    """The ticket rests, and this is how it looks now."""

    ticket_id: TicketId


class TicketParked(Concluded, frozen=True, kw_only=True):
    """A ticket without a run waits for a person."""

    at_ms: int
    ticket_id: TicketId
    reason: str
    outcome: Outcome = "needs_input"
    scope: BudgetScope | None = None


class WorkspaceAssigned(Concluded, frozen=True, kw_only=True):
    ticket_id: TicketId
    workspace: Workspace


class WorkspaceRemoved(Concluded, frozen=True, kw_only=True):
    ticket_id: TicketId
    note: str = ""
    """Why it was kept; empty when it is gone."""


class ConversationAssigned(Concluded, frozen=True, kw_only=True):
    ticket_id: TicketId
    conversation_id: ConversationId
    created: bool
    usage: Usage


class TurnBegun(Concluded, frozen=True, kw_only=True):
    """A message with this key was delivered."""

    at_ms: int
    ticket_id: TicketId
    message_key: CommandKey


class ProgressNoted(Concluded, frozen=True, kw_only=True):
    at_ms: int
    ticket_id: TicketId
    status: AgentStatus
    tool_open: bool
    summary: str
    usage: Usage | None
    actions: int = 0
    changes: int = 0
    repeats: int = 0


class SilenceExcused(Concluded, frozen=True, kw_only=True):
    """Nothing is heard, but something works."""

    at_ms: int
    ticket_id: TicketId
    detail: str


class WorkspaceMarked(Concluded, frozen=True, kw_only=True):
    """The agent's files looked like this."""

    ticket_id: TicketId
    fingerprint: str
    changed: bool
    """They looked different before: that is progress."""


class InFlightCounted(Concluded, frozen=True, kw_only=True):
    """A model call was in flight when the daemon died: it counts as the most that it can cost until the usage is known."""

    ticket_id: TicketId
    usage: Usage


class UsageSettled(Concluded, frozen=True, kw_only=True):
    """The conversation's totals, as known after the turn was cut short."""

    ticket_id: TicketId
    usage: Usage


class TurnSettled(Concluded, frozen=True, kw_only=True):
    at_ms: int
    ticket_id: TicketId
    usage: Usage
    final_text: str


class WorkNoted(Concluded, frozen=True, kw_only=True):
    ticket_id: TicketId
    work: Work


class VerificationNoted(Concluded, frozen=True, kw_only=True):
    ticket_id: TicketId
    verification: Verification


class CommitDelivered(Concluded, frozen=True, kw_only=True):
    ticket_id: TicketId
    commit: str


class ContinuationCounted(Concluded, frozen=True, kw_only=True):
    """The agent ended without what we need and is asked once more."""

    ticket_id: TicketId


class StopBegun(Concluded, frozen=True, kw_only=True):
    """The run is being stopped; it ends like this once the stop is confirmed."""

    ticket_id: TicketId
    outcome: Outcome
    reason: str
    clean: bool = False
    scope: BudgetScope | None = None
    """Whose limit was reached, of `over_budget`."""


class EndingChosen(Concluded, frozen=True, kw_only=True):
    """The run is over but for its last stages."""

    at_ms: int
    ticket_id: TicketId
    outcome: Outcome
    reason: str
    clean: bool = False
    """The ticket is closed: its workspace goes when it may."""
    retry_after_ms: int | None = None
    scope: BudgetScope | None = None


class EndingAmended(Concluded, frozen=True, kw_only=True):
    """One of the last stages failed for good; the reason says so."""

    ticket_id: TicketId
    reason: str


class RunEnded(Concluded, frozen=True, kw_only=True):
    """Nothing of the run is left in flight."""

    at_ms: int
    ticket_id: TicketId
    outcome: Outcome
    reason: str
    failures: int
    due_ms: int | None = None
    """When it is tried again; None: not by itself."""


class TicketClosed(Concluded, frozen=True, kw_only=True):
    """A ticket without a run is over, or out of our sight."""

    at_ms: int
    ticket_id: TicketId
    reason: str


class RunAbandoned(Concluded, frozen=True, kw_only=True):
    """A run that had not begun to change anything: the ticket was not ours after all."""

    at_ms: int
    ticket_id: TicketId
    reason: str
    due_ms: int | None = None


Decision = (
    BootNoted
    | PolicyAdopted
    | PolicyErrorNoted
    | PollNoted
    | DayTurned
    | StorageErrorNoted
    | RequestNoted
    | PauseSet
    | MessageQueued
    | MessagesTaken
    | DrainBegun
    | TimersTaken
    | TimerSet
    | TicketTracked
    | TicketForgotten
    | TicketWoken
    | RunStarted
    | StageEntered
    | StageDelayed
    | StagePlanned
    | CommandIssued
    | CommandSettled
    | ClaimHeld
    | ClaimLost
    | ServerGivenUp
    | MarkTaken
    | TicketParked
    | WorkspaceAssigned
    | WorkspaceRemoved
    | ConversationAssigned
    | TurnBegun
    | ProgressNoted
    | SilenceExcused
    | WorkspaceMarked
    | InFlightCounted
    | UsageSettled
    | TurnSettled
    | WorkNoted
    | VerificationNoted
    | CommitDelivered
    | ContinuationCounted
    | StopBegun
    | EndingChosen
    | EndingAmended
    | RunEnded
    | TicketClosed
    | RunAbandoned
)


def command_of(decision: Decision) -> Command | None:
    """The command that a decision carries, if any."""
    return decision.command if isinstance(decision, StageEntered | CommandIssued) else None
