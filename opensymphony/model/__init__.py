"""The nouns of OpenSymphony: what a ticket, a run, a turn and their results are.

Every value is frozen and plain data, so that it can stand in the journal. Times are milliseconds since the epoch on
the daemon's own clock (`at_ms`), which never runs backwards; durations end in `_ms`; money is whole micro-units
(`cost_micros`, 1,000,000 = one unit of the policy's currency).
"""

from __future__ import annotations

from typing import Literal, NewType

from msgspec import Struct

from opensymphony.model.reviews import (
    CheckState,
    CommitCheck,
    MergeMethod,
    PullRequest,
    PullRequestReading,
    PullRequestState,
    PullRequestText,
    Review,
    ReviewComment,
    ReviewThread,
    ThreadAnswer,
    Verdict,
    is_same_commit,
)
from opensymphony.model.tickets import (
    TICKET_KEY_CHARS_MAX,
    Claim,
    ClaimAnswer,
    Ticket,
    TicketComment,
    TicketId,
    TicketPage,
    TicketRef,
    TrackerState,
    TransitionAnswer,
    encodable,
    ticket_key,
)

__all__ = [
    "TICKET_KEY_CHARS_MAX",
    "Activity",
    "AgentFailure",
    "AgentStatus",
    "Asked",
    "CheckState",
    "Claim",
    "ClaimAnswer",
    "Cleanup",
    "CommandKey",
    "CommitCheck",
    "Conversation",
    "ConversationId",
    "FailureAction",
    "HookResult",
    "Launch",
    "Liveness",
    "LogPosition",
    "MergeMethod",
    "Objection",
    "PersonMessage",
    "Phase",
    "PullRequest",
    "PullRequestReading",
    "PullRequestState",
    "PullRequestText",
    "Review",
    "ReviewComment",
    "ReviewThread",
    "ServerState",
    "ThreadAnswer",
    "Ticket",
    "TicketComment",
    "TicketId",
    "TicketPage",
    "TicketRef",
    "TrackerState",
    "TransitionAnswer",
    "TurnEnd",
    "TurnProgress",
    "Usage",
    "Verdict",
    "Verification",
    "Work",
    "Workspace",
    "encodable",
    "is_same_commit",
    "ticket_key",
]

CommandKey = NewType("CommandKey", str)
"""Names one effect for good: `<ticket id>#<generation>/<step>/<command>`."""

ConversationId = NewType("ConversationId", str)
"""A UUID, derived from ticket and generation."""


def _above(now: int, earlier: int) -> int:
    return now - earlier if now > earlier else 0


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens and money, summed over every usage id of a conversation."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_micros: int = 0
    model_calls: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cost_micros=self.cost_micros + other.cost_micros,
            model_calls=self.model_calls + other.model_calls,
        )

    def since(self, earlier: Usage) -> Usage:
        """What was used after `earlier`; a counter that went down counts as nothing, never as negative."""
        return Usage(
            prompt_tokens=_above(self.prompt_tokens, earlier.prompt_tokens),
            completion_tokens=_above(self.completion_tokens, earlier.completion_tokens),
            cache_read_tokens=_above(self.cache_read_tokens, earlier.cache_read_tokens),
            cache_write_tokens=_above(self.cache_write_tokens, earlier.cache_write_tokens),
            reasoning_tokens=_above(self.reasoning_tokens, earlier.reasoning_tokens),
            cost_micros=_above(self.cost_micros, earlier.cost_micros),
            model_calls=_above(self.model_calls, earlier.model_calls),
        )


AgentStatus = Literal[
    "idle",
    "running",
    "paused",
    "waiting_for_confirmation",
    "finished",
    "error",
    "stuck",
    "deleting",
    "unknown",
]
"""The agent-server's execution status; `unknown` stands for one this release has no name for."""


FailureAction = Literal["retry", "wait", "person", "rehydrate"]
"""What helps after a failure of an agent's turn: another try, the same after a while, a person, or another conversation that is
told what was done in this one."""


class AgentFailure(Struct, frozen=True, kw_only=True):
    """Why a conversation ended in `error`, as its server classified it."""

    code: str
    detail: str
    kind: str = "unknown"
    retryable: bool = True
    action: FailureAction | None = None
    """None where nobody has looked at it, as in records of earlier releases: then the kind decides."""
    retry_after_ms: int | None = None
    """Of `wait`: how long at least."""
    advice: str = ""
    """One sentence for a person: the cause, and what to do."""
    rule: str = ""
    """Which row of the runtime's table it was."""


SHORTENED = "(shortened; the digest is over all of it)"
"""How the text of an `Asked` ends that is only the beginning of what is asked."""


class Asked(Struct, frozen=True, kw_only=True):
    """What an agent waits for from a person."""

    kind: Literal["question", "approval"]
    text: str
    """The question, or the exact actions that want to be approved; an agent's words, shortened."""
    digest: str
    """Names it; of an approval it is made of tools and arguments alone: the same actions have the same one."""


class LogPosition(Struct, frozen=True, kw_only=True):
    """A place in a conversation's log up to which everything is known, and the totals there."""

    seq: int
    event_id: str
    """By which a log that was replaced is told."""
    usage: Usage = Usage()


class TurnEnd(Struct, frozen=True, kw_only=True):
    """How one turn of the agent ended."""

    status: AgentStatus
    final_text: str = ""
    """The agent's last words to us; untrusted, shortened to a few thousand characters."""
    failure: AgentFailure | None = None
    usage: Usage = Usage()
    """The conversation's totals so far, not this turn's share."""
    last_seq: int = -1
    last_event_id: str = ""
    asked: Asked | None = None
    """What it wants from a person; the agent stands still until then."""


class Launch(Struct, frozen=True, kw_only=True):
    """What a conversation works with, for people who look into it; no secret is in it."""

    model: str
    api_key_env: str
    base_url_env: str
    key_fingerprint: str = ""
    """Of the model's key, keyed by the conversation: it shows that a key was changed, and nothing about it. Empty: no key."""
    tools: tuple[str, ...] = ()
    condenser: str = ""
    """`<max_size>/<keep_first>`; empty: histories are never summarised."""
    confirmation_policy: str = ""
    max_iterations: int = 0


class Conversation(Struct, frozen=True, kw_only=True):
    """A conversation on an agent-server as found or made."""

    id: ConversationId
    created: bool
    """True when this call made it; False when it was there already."""
    status: AgentStatus
    server_version: str = ""
    usage: Usage = Usage()
    tools: tuple[str, ...] = ()
    """What the agent really has, read from its first system event; empty until that exists."""
    prompted: bool | None = None
    """Whether the server's log has a message of ours. None: nobody has looked, as in records of earlier releases."""
    unfit: str = ""
    """Why it cannot go on under the policy, though it is there: one clause. Empty when it can."""
    summary: str = ""
    """What was done in the conversation that this one stands in for."""
    predecessor_usage: Usage | None = None
    """The totals of that one as of its end; None when they cannot be had."""
    server: str = ""
    """Address of its server."""
    store: str = ""
    """Where that server keeps it."""
    launch: Launch | None = None


class Workspace(Struct, frozen=True, kw_only=True):
    """An agent's working directory."""

    key: str
    path: str
    created: bool
    branch: str | None = None
    """None when the policy names no repository."""
    base_commit: str | None = None


class Work(Struct, frozen=True, kw_only=True):
    """What the agent left in its workspace, read without running anything of its own."""

    commit: str | None
    """Head of the ticket's branch as fetched into the daemon's mirror; None when there is no such branch."""
    commits_ahead: int
    """Commits of the branch that the base does not have."""
    uncommitted: tuple[str, ...] = ()
    """Paths changed or added but not committed, at most 50."""
    files_changed: tuple[str, ...] = ()
    """Paths that differ between base and commit, at most 200."""
    summary: str = ""
    """Subject lines of the new commits, newest first."""
    objections: tuple[Objection, ...] = ()
    """Why it must not be pushed as it is."""


class Objection(Struct, frozen=True, kw_only=True):
    """What is against pushing some work."""

    kind: Literal["secret", "conflict", "protected", "size", "author"]
    text: str
    """One line that names the place, and never the secret."""


class Verification(Struct, frozen=True, kw_only=True):
    """What `verify.command` said."""

    passed: bool
    exit_code: int | None
    """None when it timed out."""
    output_tail: str
    duration_ms: int


class HookResult(Struct, frozen=True, kw_only=True):
    """What a hook did."""

    name: str
    status: Literal["succeeded", "failed", "timed_out", "absent"]
    exit_code: int | None = None
    output_tail: str = ""
    duration_ms: int = 0


class Cleanup(Struct, frozen=True, kw_only=True):
    """Whether a workspace was removed, and if not, why not."""

    removed: bool
    reason: str = ""


class ServerState(Struct, frozen=True, kw_only=True):
    """The agent-server as its supervisor sees it."""

    status: Literal["stopped", "starting", "ready", "restarting", "failed", "external"]
    base_url: str | None = None
    pid: int | None = None
    version: str | None = None
    detail: str = ""
    restarts: int = 0
    servers: tuple[ServerState, ...] = ()
    """Of several, each; empty for one that is alone."""


class Activity(Struct, frozen=True, kw_only=True):
    """What an agent is doing, for people; never read for decisions beyond liveness."""

    at_ms: int
    summary: str


class TurnProgress(Struct, frozen=True, kw_only=True):
    """A sign of life during a turn: posted on a status change, per model call, and at most every 10 s."""

    status: AgentStatus
    usage: Usage | None = None
    """The conversation's totals so far; None when they did not change."""
    tool_open: bool = False
    """True while an action has no observation yet."""
    summary: str = ""
    last_seq: int = -1
    actions: int = 0
    """Steps of the agent in this conversation so far."""
    changes: int = 0
    """How often in this conversation a file, the plan or the set of failing tests changed, as far as its events show."""
    repeats: int = 0
    """How often in a row the newest action was made with the same answer; 1 for a new one."""


class Liveness(Struct, frozen=True, kw_only=True):
    """Whether anything works behind a silent tool call."""

    alive: bool
    detail: str = ""
    """One clause for a person: what was seen, or what was missing."""


class PersonMessage(Struct, frozen=True, kw_only=True):
    """What an operator wants an agent to know; given to it with the next turn."""

    text: str
    at_ms: int
    author: str = ""
    threads: tuple[str, ...] = ()
    """Of a review, that it is about."""
    from_review: bool = False
    """Whether it tells what reviewers, pipelines and the base branch have to say."""


Phase = Literal["waiting_to_start", "running", "retrying", "needs_person", "in_review", "stopping", "closed"]
"""Where a ticket stands with us: `waiting_to_start` covers everything eligible or not yet, with the reason beside it."""
