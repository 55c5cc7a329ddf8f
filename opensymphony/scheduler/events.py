"""Facts that reach the scheduler. Each carries its time; jitter and ids come inside, so that replay needs no luck.

The counterpart is `decisions.py`: what we concluded from them and want done.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from opensymphony.errors import ErrorClass
from opensymphony.model import (
    ClaimAnswer,
    Cleanup,
    CommandKey,
    Conversation,
    HookResult,
    Liveness,
    PullRequest,
    PullRequestReading,
    Ticket,
    TicketComment,
    TicketId,
    TransitionAnswer,
    TurnEnd,
    TurnProgress,
    Usage,
    Verification,
    Work,
    Workspace,
)
from opensymphony.workflow.policy import Policy

OperatorAction = Literal["stop", "retry", "pause", "resume", "message", "rehydrate", "approve", "reject", "budget"]


class Happened(Struct, frozen=True, kw_only=True, tag=True):
    """Root of every event."""

    at_ms: int
    """On the daemon's own clock, which never runs backwards."""


class DaemonStarted(Happened, frozen=True, kw_only=True):
    """The first event of every boot, before anything else is decided."""

    instance: str
    version: str


class PolicyLoaded(Happened, frozen=True, kw_only=True):
    """A WORKFLOW.md was read and is good."""

    policy: Policy


class PolicyRejected(Happened, frozen=True, kw_only=True):
    """A WORKFLOW.md was read and is not good; the last good policy stays."""

    error: str


class TicketChanged(Happened, frozen=True, kw_only=True):
    """A ticket is new to us or differs from our last reading."""

    ticket: Ticket
    read_ms: int | None = None
    """When the reading began, where that is earlier than `at_ms`: what we did since then is not in it."""


class TicketVanished(Happened, frozen=True, kw_only=True):
    """A ticket that we knew is gone from the tracker."""

    ticket_id: TicketId


class PullRequestObserved(Happened, frozen=True, kw_only=True):
    """A ticket's pull request differs from our last reading, or somebody said something about it.

    What was heard before may be left out; it changes nothing.
    """

    ticket_id: TicketId
    reading: PullRequestReading


class TicketCommented(Happened, frozen=True, kw_only=True):
    """Somebody has said something on a ticket. A comment that was heard before changes nothing."""

    ticket_id: TicketId
    comment: TicketComment


class PollCompleted(Happened, frozen=True, kw_only=True):
    """The tracker was read; every difference was posted before this."""

    problems: tuple[str, ...] = ()


class PollFailed(Happened, frozen=True, kw_only=True):
    """The tracker could not be read; nothing is concluded about any ticket."""

    error: str


class TimePassed(Happened, frozen=True, kw_only=True):
    """Something is due."""

    jitter: float = 0.0
    """In [0, 1)."""


class ShutdownRequested(Happened, frozen=True, kw_only=True):
    """No new work; what runs is stopped and will go on at the next start."""


class OperatorAsked(Happened, frozen=True, kw_only=True):
    """A person asked for something. A request id that was seen before changes nothing."""

    request_id: str
    ticket_id: TicketId | None
    """None: everything, for `pause` and `resume`."""
    action: OperatorAction
    text: str = ""
    """Of a message; of any other action, why."""
    author: str = ""
    digest: str = ""
    """Of an approval or a rejection: the beginning of the digest that is meant; empty: whatever is waited for."""
    finish: bool = False
    """Of a pause: what runs may come to its end."""


class DayBegan(Happened, frozen=True, kw_only=True):
    """A day of the budget's time zone began, or the daemon looked at the calendar for the first time."""

    day: str
    """`YYYY-MM-DD`."""


class StorageNoted(Happened, frozen=True, kw_only=True):
    """The disk was looked at. With an error nothing new starts; what runs goes on."""

    error: str | None


class WorkspaceExpired(Happened, frozen=True, kw_only=True):
    """A workspace at rest is older, or all together are bigger, than the policy keeps."""

    ticket_id: TicketId


class TurnProgressed(Happened, frozen=True, kw_only=True):
    """A sign of life of a turn."""

    ticket_id: TicketId
    generation: int
    progress: TurnProgress


class CommandOutcome(Happened, frozen=True, kw_only=True):
    """Root of the events that settle a command; one whose key is not pending changes nothing."""

    key: CommandKey
    jitter: float = 0.0
    """In [0, 1)."""


class TicketReread(CommandOutcome, frozen=True, kw_only=True):
    ticket: Ticket | None
    """None: it is gone."""


class ClaimSettled(CommandOutcome, frozen=True, kw_only=True):
    answer: ClaimAnswer


class WorkspacePrepared(CommandOutcome, frozen=True, kw_only=True):
    workspace: Workspace


class HookRan(CommandOutcome, frozen=True, kw_only=True):
    result: HookResult


class ConversationOpened(CommandOutcome, frozen=True, kw_only=True):
    conversation: Conversation


class MessageSent(CommandOutcome, frozen=True, kw_only=True):
    pass


class TurnEnded(CommandOutcome, frozen=True, kw_only=True):
    end: TurnEnd


class WorkCollected(CommandOutcome, frozen=True, kw_only=True):
    work: Work


class WorkVerified(CommandOutcome, frozen=True, kw_only=True):
    verification: Verification


class CommitPushed(CommandOutcome, frozen=True, kw_only=True):
    pass


class PullRequestPublished(CommandOutcome, frozen=True, kw_only=True):
    pull_request: PullRequest


class PullRequestLinked(CommandOutcome, frozen=True, kw_only=True):
    pass


class ThreadAnswered(CommandOutcome, frozen=True, kw_only=True):
    pass


class PullRequestMerged(CommandOutcome, frozen=True, kw_only=True):
    pull_request: PullRequest


class TicketTransitioned(CommandOutcome, frozen=True, kw_only=True):
    answer: TransitionAnswer


class CommentWritten(CommandOutcome, frozen=True, kw_only=True):
    pass


class ClaimReleased(CommandOutcome, frozen=True, kw_only=True):
    pass


class RunStopped(CommandOutcome, frozen=True, kw_only=True):
    """Confirmed: nothing of the run is running any more."""

    usage: Usage | None = None
    """The conversation's totals as of its end; None when they cannot be had."""


class WorkspaceCleaned(CommandOutcome, frozen=True, kw_only=True):
    cleanup: Cleanup


class AgentProbed(CommandOutcome, frozen=True, kw_only=True):
    liveness: Liveness


class WorkspaceFingerprinted(CommandOutcome, frozen=True, kw_only=True):
    fingerprint: str
    """Empty when it cannot be told."""


class PersonNotified(CommandOutcome, frozen=True, kw_only=True):
    pass


class CommandFailed(CommandOutcome, frozen=True, kw_only=True):
    """A command could not be carried out."""

    error: str
    error_class: ErrorClass = "retry"
    retry_after_ms: int | None = None


Event = (
    DaemonStarted
    | PolicyLoaded
    | PolicyRejected
    | TicketChanged
    | TicketVanished
    | TicketCommented
    | PullRequestObserved
    | PollCompleted
    | PollFailed
    | TimePassed
    | ShutdownRequested
    | OperatorAsked
    | DayBegan
    | StorageNoted
    | WorkspaceExpired
    | TurnProgressed
    | TicketReread
    | ClaimSettled
    | WorkspacePrepared
    | HookRan
    | ConversationOpened
    | MessageSent
    | TurnEnded
    | WorkCollected
    | WorkVerified
    | CommitPushed
    | PullRequestPublished
    | PullRequestLinked
    | ThreadAnswered
    | PullRequestMerged
    | TicketTransitioned
    | CommentWritten
    | ClaimReleased
    | RunStopped
    | WorkspaceCleaned
    | AgentProbed
    | WorkspaceFingerprinted
    | PersonNotified
    | CommandFailed
)


def jitter_of(event: Event) -> float:
    """The random number that came with the event; 0 for one that carries none."""
    return event.jitter if isinstance(event, CommandOutcome | TimePassed) else 0.0
