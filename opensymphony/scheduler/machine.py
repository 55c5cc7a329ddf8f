"""The state machine as two tables: the stages of a run, and the phases of a ticket.

Rules:

1. A run is in one stage, and a stage is one command in flight or the wait before its next try. The command's outcome leads on;
   which outcome that is, and where it can lead, is `STAGES`.
2. Every stage before the last ones may instead lead to `stopping`, and from there, or directly when nothing is in flight, to
   the last stages. These are entered in their order, each only when it has something to do. `stopping` is left by a confirmed
   stop and by nothing else.
3. A failed command leads to its own next try, or to an ending; never to another stage.
4. A ticket is in one phase; `PHASES` says what it means and what leads out of it. Only a ticket in `running` (shown as
   `stopping` while its run is being stopped) has a run.
5. An outcome of a kind that its command cannot have is illegal: an error that names the state and the event, and no change.

docs/architecture.md shows both tables, generated from here.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from opensymphony.model import Phase
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e

Stage = Literal[
    "rereading",
    "claiming",
    "announcing",
    "preparing",
    "before_run",
    "opening",
    "sending",
    "working",
    "collecting",
    "verifying",
    "pushing",
    "publishing",
    "stopping",
    "after_run",
    "transitioning",
    "reporting",
    "cleaning",
    "releasing",
]
"""Where a run is. Each stage is one command in flight, or the wait before its next try."""

LAST_STAGES: tuple[Stage, ...] = ("after_run", "transitioning", "reporting", "cleaning", "releasing")
"""Of every run that has claimed its ticket, however it ends, in this order."""


class StageRule(Struct, frozen=True, kw_only=True):
    """One row of the machine."""

    command: type[c.Effect]
    outcome: type[e.CommandOutcome]
    leads_to: tuple[Stage, ...] = ()
    """Besides its own next try, `stopping` and the last stages."""
    meaning: str


STAGES: dict[Stage, StageRule] = {
    "rereading": StageRule(
        command=c.RereadTicket,
        outcome=e.TicketReread,
        leads_to=("claiming",),
        meaning="the ticket is read again by its id",
    ),
    "claiming": StageRule(
        command=c.ClaimTicket,
        outcome=e.ClaimSettled,
        leads_to=("announcing", "preparing"),
        meaning="our claim is written on the ticket",
    ),
    "announcing": StageRule(
        command=c.TransitionTicket,
        outcome=e.TicketTransitioned,
        leads_to=("preparing",),
        meaning="the ticket is moved to where work is going on",
    ),
    "preparing": StageRule(
        command=c.PrepareWorkspace,
        outcome=e.WorkspacePrepared,
        leads_to=("before_run", "opening"),
        meaning="the workspace is made or found",
    ),
    "before_run": StageRule(
        command=c.RunHook, outcome=e.HookRan, leads_to=("opening",), meaning="the hook before_run runs"
    ),
    "opening": StageRule(
        command=c.OpenConversation,
        outcome=e.ConversationOpened,
        leads_to=("sending",),
        meaning="the conversation is made or found",
    ),
    "sending": StageRule(
        command=c.SendMessage, outcome=e.MessageSent, leads_to=("working",), meaning="the agent is told what to do"
    ),
    "working": StageRule(
        command=c.AwaitTurn,
        outcome=e.TurnEnded,
        leads_to=("collecting", "verifying", "sending", "opening"),
        meaning="the agent works",
    ),
    "collecting": StageRule(
        command=c.CollectWork,
        outcome=e.WorkCollected,
        leads_to=("verifying", "pushing", "publishing", "sending"),
        meaning="what it committed is fetched and looked at",
    ),
    "verifying": StageRule(
        command=c.VerifyWork, outcome=e.WorkVerified, leads_to=("pushing", "sending"), meaning="our check runs"
    ),
    "pushing": StageRule(
        command=c.PushCommit,
        outcome=e.CommitPushed,
        leads_to=("publishing", "sending"),
        meaning="the checked commit is pushed",
    ),
    "publishing": StageRule(
        command=c.PublishPullRequest,
        outcome=e.PullRequestPublished,
        leads_to=("sending",),
        meaning="the pull request is opened, or says what is new",
    ),
    "stopping": StageRule(
        command=c.StopRun, outcome=e.RunStopped, meaning="what is in flight is interrupted, and that is confirmed"
    ),
    "after_run": StageRule(command=c.RunHook, outcome=e.HookRan, meaning="the hook after_run runs"),
    "transitioning": StageRule(
        command=c.TransitionTicket, outcome=e.TicketTransitioned, meaning="the ticket is moved to where it belongs now"
    ),
    "reporting": StageRule(
        command=c.WriteComment, outcome=e.CommentWritten, meaning="the comment says how the run ended"
    ),
    "cleaning": StageRule(
        command=c.CleanWorkspace, outcome=e.WorkspaceCleaned, meaning="the workspace of a closed ticket is removed"
    ),
    "releasing": StageRule(command=c.ReleaseClaim, outcome=e.ClaimReleased, meaning="our claim is taken off"),
}

BESIDE: dict[type[c.Effect], type[e.CommandOutcome]] = {
    c.ProbeAgent: e.AgentProbed,
    c.FingerprintWorkspace: e.WorkspaceFingerprinted,
    c.NotifyPerson: e.PersonNotified,
    c.LinkPullRequest: e.PullRequestLinked,
    c.AnswerThread: e.ThreadAnswered,
    c.MergePullRequest: e.PullRequestMerged,
}
"""Commands that are no stage: they run beside one, or without a run."""

OUTCOME_OF: dict[type[c.Effect], type[e.CommandOutcome]] = {
    **{rule.command: rule.outcome for rule in STAGES.values()},
    **BESIDE,
}


class PhaseRule(Struct, frozen=True, kw_only=True):
    """Where a ticket can stand, and what leads out of there."""

    meaning: str
    leads_to: dict[Phase, str]


PHASES: dict[Phase, PhaseRule] = {
    "waiting_to_start": PhaseRule(
        meaning="it starts as soon as nothing keeps it; `explain` says what does",
        leads_to={
            "running": "every rule holds and a place is free",
            "needs_person": "an operator stops it, its budget is used up, or its pull request ends",
            "closed": "it is closed, or gone",
        },
    ),
    "running": PhaseRule(
        meaning="a run works on it",
        leads_to={
            "in_review": "the run succeeded",
            "needs_person": "the run needs a person",
            "retrying": "the run failed, or the ticket could not be had",
            "waiting_to_start": "the run was interrupted, or may not start after all",
            "closed": "the ticket was taken from us",
        },
    ),
    "stopping": PhaseRule(meaning="`running`, while its run is being stopped", leads_to={}),
    "retrying": PhaseRule(
        meaning="it is tried again after a pause",
        leads_to={
            "waiting_to_start": "its pause is over, or somebody changed it",
            "needs_person": "an operator stops it, or its pull request ends",
            "closed": "it is closed, or gone",
        },
    ),
    "needs_person": PhaseRule(
        meaning="a person has to do something",
        leads_to={
            "waiting_to_start": "a person answered, or a new day or a raised limit",
            "closed": "it is closed, or gone",
        },
    ),
    "in_review": PhaseRule(
        meaning="the work is done; a person looks at it",
        leads_to={
            "waiting_to_start": "a person changed it or asked for more, or its pull request needs work",
            "needs_person": "its pull request was declined, or went back and forth too often",
            "closed": "it is closed, or gone",
        },
    ),
    "closed": PhaseRule(
        meaning="it is over, or not ours any more", leads_to={"waiting_to_start": "it is ours again, and was changed"}
    ),
}


class IllegalEvent(Exception):
    """Raised for an event that the state cannot take; nothing has been changed. Names both."""


def may_follow(before: Stage, after: Stage) -> bool:
    """Whether a run in one stage may enter the other."""
    if after == before:
        return True
    if after in LAST_STAGES:
        return before not in LAST_STAGES or LAST_STAGES.index(before) < LAST_STAGES.index(after)
    if after == "stopping":
        return before not in LAST_STAGES
    return after in STAGES[before].leads_to
