"""Conclusions about a run, from its start to its end."""

from __future__ import annotations

from msgspec import Struct

from opensymphony.model import (
    AgentStatus,
    CommandKey,
    ConversationId,
    Launch,
    LogPosition,
    Usage,
    Verification,
    Work,
    Workspace,
)
from opensymphony.scheduler.budget import BudgetScope
from opensymphony.scheduler.commands import Command
from opensymphony.scheduler.decisions.roots import OfTicket
from opensymphony.scheduler.machine import Stage
from opensymphony.scheduler.outcomes import Outcome


class RunStarted(OfTicket, frozen=True, kw_only=True):
    at_ms: int
    generation: int


class StageEntered(OfTicket, frozen=True, kw_only=True):
    """The run is in this stage now, and this command is wanted."""

    at_ms: int
    stage: Stage
    command: Command


class StageDelayed(OfTicket, frozen=True, kw_only=True):
    """The stage's command failed for now and is tried again when due."""

    at_ms: int
    due_ms: int
    error: str


class StagePlanned(OfTicket, frozen=True, kw_only=True):
    """The run is in this stage; its command is wanted when due, with a key of its own."""

    at_ms: int
    stage: Stage
    command: Command
    due_ms: int


class WorkspaceAssigned(OfTicket, frozen=True, kw_only=True):
    workspace: Workspace


class ConversationAssigned(OfTicket, frozen=True, kw_only=True):
    conversation_id: ConversationId
    created: bool
    usage: Usage
    prompted: bool | None = None
    """Whether its log has a message of ours; None: nobody has looked."""
    server: str = ""
    server_version: str = ""
    store: str = ""
    launch: Launch | None = None


class TurnBegun(OfTicket, frozen=True, kw_only=True):
    """A message with this key was delivered."""

    at_ms: int
    message_key: CommandKey
    turn: int = 0
    """Of this run, from 1; 0 in records of earlier releases."""


class ProgressNoted(OfTicket, frozen=True, kw_only=True):
    at_ms: int
    status: AgentStatus
    tool_open: bool
    summary: str
    usage: Usage | None
    actions: int = 0
    changes: int = 0
    repeats: int = 0


class SilenceExcused(OfTicket, frozen=True, kw_only=True):
    """Nothing is heard, but something works."""

    at_ms: int
    detail: str


class WorkspaceMarked(OfTicket, frozen=True, kw_only=True):
    """The agent's files looked like this."""

    fingerprint: str
    changed: bool
    """They looked different before: that is progress."""


class InFlightCounted(OfTicket, frozen=True, kw_only=True):
    """A model call was in flight when the daemon died: it counts as the most that it can cost until the usage is known."""

    usage: Usage
    last: bool = False
    """The turn is not taken up again: no further call of it can be in flight."""


class UsageSettled(OfTicket, frozen=True, kw_only=True):
    """The conversation's totals, as known after the turn was cut short."""

    usage: Usage


class TurnSettled(OfTicket, frozen=True, kw_only=True):
    at_ms: int
    usage: Usage
    final_text: str
    position: LogPosition | None = None
    """The end of the turn in the conversation's log."""


class WorkNoted(OfTicket, frozen=True, kw_only=True):
    work: Work


class VerificationNoted(OfTicket, frozen=True, kw_only=True):
    verification: Verification
    attempt: int = 0
    """Of this run, from 1; 0 in records of earlier releases."""


class CommitDelivered(OfTicket, frozen=True, kw_only=True):
    commit: str


class ContinuationCounted(OfTicket, frozen=True, kw_only=True):
    """The agent ended without what we need and is asked once more."""


class StopBegun(OfTicket, frozen=True, kw_only=True):
    """The run is being stopped; it ends like this once the stop is confirmed."""

    at_ms: int = 0
    outcome: Outcome
    reason: str
    clean: bool = False
    scope: BudgetScope | None = None
    """Whose limit was reached, of `over_budget`."""


class EndingChosen(OfTicket, frozen=True, kw_only=True):
    """The run is over but for its last stages."""

    at_ms: int
    outcome: Outcome
    reason: str
    clean: bool = False
    """The ticket is closed: its workspace goes when it may."""
    retry_after_ms: int | None = None
    scope: BudgetScope | None = None


class EndingAmended(OfTicket, frozen=True, kw_only=True):
    """One of the last stages failed for good; the reason says so."""

    reason: str


class RunTotals(Struct, frozen=True, kw_only=True):
    """What a run took, as of its end."""

    identifier: str
    generation: int
    day: str
    """The budget's, in which it ended."""
    waited_ms: int
    """From being ready to its start."""
    started_ms: int
    usage: Usage


class RunEnded(OfTicket, frozen=True, kw_only=True):
    """Nothing of the run is left in flight."""

    at_ms: int
    outcome: Outcome
    reason: str
    failures: int
    due_ms: int | None = None
    """When it is tried again; None: not by itself."""
    totals: RunTotals | None = None
    """None in records of earlier releases."""


class RunAbandoned(OfTicket, frozen=True, kw_only=True):
    """A run that had not begun to change anything: the ticket was not ours after all."""

    at_ms: int
    reason: str
    due_ms: int | None = None
