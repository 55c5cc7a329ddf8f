"""Effects that we want outside. Each is one thing done once, named by a key that is never used again.

A command is an intent as soon as the decision that carries it is in the journal; it stays pending until an outcome with its
key arrives, across any number of crashes. `daemon/executor.py` carries commands out, and nothing else does.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from opensymphony.interfaces import WorkspaceRequest
from opensymphony.model import (
    Claim,
    CommandKey,
    ConversationId,
    LogPosition,
    MergeMethod,
    PullRequest,
    PullRequestText,
    TicketId,
    Workspace,
)


class Effect(Struct, frozen=True, kw_only=True, tag=True):
    """Root of every command."""

    key: CommandKey
    ticket_id: TicketId
    generation: int


class RereadTicket(Effect, frozen=True, kw_only=True):
    """Read the ticket again by id: what a poll says may be old."""


class ClaimTicket(Effect, frozen=True, kw_only=True):
    """Make our claim visible on the ticket, or renew its heartbeat."""

    claim: Claim
    stale_after_ms: int


class ReleaseClaim(Effect, frozen=True, kw_only=True):
    """Take our claim off the ticket."""

    claim: Claim


class PrepareWorkspace(Effect, frozen=True, kw_only=True):
    """Make or find the ticket's directory, on its branch."""

    request: WorkspaceRequest


class RunHook(Effect, frozen=True, kw_only=True):
    """Run a hook of the repository's owners."""

    workspace: Workspace
    name: Literal["before_run", "after_run"]


class OpenConversation(Effect, frozen=True, kw_only=True):
    """Make or find the conversation."""

    conversation_id: ConversationId
    working_dir: str
    title: str
    predecessor: ConversationId | None = None
    """The one that it stands in for."""


class SendMessage(Effect, frozen=True, kw_only=True):
    """Deliver one message and let the agent run; its key travels with it."""

    conversation_id: ConversationId
    text: str


class AwaitTurn(Effect, frozen=True, kw_only=True):
    """Wait until the turn begun by `message_key` has ended."""

    conversation_id: ConversationId
    message_key: CommandKey
    granted: tuple[str, ...] = ()
    """Digests of actions that a person has approved."""
    after: LogPosition | None = None
    """Up to where the conversation's log is known, and has no message of this turn."""


class CollectWork(Effect, frozen=True, kw_only=True):
    """Fetch the branch into our mirror and look at it."""

    workspace: Workspace


class VerifyWork(Effect, frozen=True, kw_only=True):
    """Run the policy's check."""

    workspace: Workspace
    command: str
    timeout_ms: int


class PushCommit(Effect, frozen=True, kw_only=True):
    """Push exactly this commit."""

    workspace: Workspace
    commit: str


class PublishPullRequest(Effect, frozen=True, kw_only=True):
    """Open the ticket's pull request, or bring the open one up to date."""

    text: PullRequestText


class LinkPullRequest(Effect, frozen=True, kw_only=True):
    """Show the pull request at the ticket."""

    pull_request: PullRequest


class AnswerThread(Effect, frozen=True, kw_only=True):
    """Tell the people of a review what became of their thread."""

    pull_request_id: str
    thread_id: str
    marker: str
    body: str
    resolve: bool


class MergePullRequest(Effect, frozen=True, kw_only=True):
    """Merge the ticket's pull request as it is at one commit."""

    pull_request_id: str
    head: str
    method: MergeMethod
    circumstances: str
    """What was so when it was decided."""


class TransitionTicket(Effect, frozen=True, kw_only=True):
    """Move the ticket, unless a person moved it first."""

    from_states: tuple[str, ...]
    to_state: str


class WriteComment(Effect, frozen=True, kw_only=True):
    """Write or edit our one comment on the ticket."""

    body: str


class StopRun(Effect, frozen=True, kw_only=True):
    """End what `target_key` has in flight, interrupt the conversation, and confirm that nothing runs."""

    target_key: CommandKey | None
    conversation_id: ConversationId | None


class CleanWorkspace(Effect, frozen=True, kw_only=True):
    """Remove the directory, unless it holds work that was never pushed."""

    workspace: Workspace


class ProbeAgent(Effect, frozen=True, kw_only=True):
    """Find out whether anything works behind a silent tool call."""

    conversation_id: ConversationId
    working_dir: str


class FingerprintWorkspace(Effect, frozen=True, kw_only=True):
    """See whether the agent's files have changed, where its events show no change."""

    workspace: Workspace


class NotifyPerson(Effect, frozen=True, kw_only=True):
    """Run the operator's `notify.command`."""

    command: str
    timeout_ms: int
    identifier: str
    title: str
    headline: str
    reason: str
    outcome: str
    url: str | None = None


Command = (
    RereadTicket
    | ClaimTicket
    | ReleaseClaim
    | PrepareWorkspace
    | RunHook
    | OpenConversation
    | SendMessage
    | AwaitTurn
    | CollectWork
    | VerifyWork
    | PushCommit
    | PublishPullRequest
    | LinkPullRequest
    | AnswerThread
    | MergePullRequest
    | TransitionTicket
    | WriteComment
    | StopRun
    | CleanWorkspace
    | ProbeAgent
    | FingerprintWorkspace
    | NotifyPerson
)
