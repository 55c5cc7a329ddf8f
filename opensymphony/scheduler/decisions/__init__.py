"""What we concluded, and what we want done. The counterpart is `events.py`.

A decision changes the state through `evolve` and nothing else does. Some carry a command (`commands.py`).
"""

from __future__ import annotations

from opensymphony.scheduler.commands import Command
from opensymphony.scheduler.decisions.reviews import (
    MergeAwaited,
    PullRequestNoted,
    PullRequestTied,
    ReviewHeard,
    RoundsCounted,
    ThreadDone,
    ThreadsSettled,
)
from opensymphony.scheduler.decisions.runs import (
    CommitDelivered,
    ContinuationCounted,
    ConversationAssigned,
    EndingAmended,
    EndingChosen,
    InFlightCounted,
    ProgressNoted,
    RunAbandoned,
    RunEnded,
    RunStarted,
    SilenceExcused,
    StageDelayed,
    StageEntered,
    StagePlanned,
    StopBegun,
    TurnBegun,
    TurnSettled,
    UsageSettled,
    VerificationNoted,
    WorkNoted,
    WorkspaceAssigned,
    WorkspaceMarked,
)
from opensymphony.scheduler.decisions.tickets import (
    AskSettled,
    BudgetGranted,
    ClaimHeld,
    ClaimLost,
    CommandIssued,
    CommandSettled,
    CommentDeferred,
    CommentHeard,
    MarkTaken,
    MessageQueued,
    MessagesTaken,
    PersonAsked,
    RehydrationWanted,
    TicketClosed,
    TicketForgotten,
    TicketParked,
    TicketTracked,
    TicketWoken,
    WorkspaceRemoved,
)
from opensymphony.scheduler.decisions.whole import (
    BootNoted,
    DayTurned,
    DrainBegun,
    PauseSet,
    PolicyAdopted,
    PolicyErrorNoted,
    PollNoted,
    RequestNoted,
    ServerGivenUp,
    StorageErrorNoted,
    TimerSet,
    TimersTaken,
)

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
    | PullRequestNoted
    | PullRequestTied
    | ReviewHeard
    | RoundsCounted
    | ThreadsSettled
    | ThreadDone
    | MergeAwaited
    | CommentHeard
    | CommentDeferred
    | BudgetGranted
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
    | RehydrationWanted
    | PersonAsked
    | AskSettled
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
