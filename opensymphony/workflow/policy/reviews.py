"""What becomes of a branch that was pushed: the pull request, and what people and pipelines say about it."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from opensymphony.model import MergeMethod
from opensymphony.workflow.policy.scalars import Count, Milliseconds, MillisecondsOrOff, Script, Value


class CodeHostPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where pull requests are opened. Without it a branch is pushed, and nothing more."""

    kind: str
    """Adapter: `bitbucket` in this release."""
    provider: dict[str, Any] = field(default_factory=dict[str, Any])
    """The adapter's own settings, as docs/services/ has them; secrets named once resolved."""


class PullRequestPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the one pull request of a ticket says."""

    title: Script = "{{ issue.identifier }}: {{ issue.title }}"
    """Liquid template; one line."""
    body: Script | None = None
    """Liquid template with `issue`, `summary`, `verification`, `cost` and `words`. None: all of it and the ticket."""
    draft: bool = False
    """Whether it is opened as a draft."""
    reviewers: tuple[Value, ...] = ()
    """Ids of accounts that are asked for a review when it is opened."""
    close_branch: bool = True
    """Whether its branch is deleted when it is merged."""


class MergePolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a pull request is merged by itself, and what has to hold for that."""

    when: Literal["never", "approved"] = "never"
    """`approved`: as soon as enough people have approved the commit that was pushed last, and every check has passed."""
    approvals: Count = 1
    """How many people must have approved it."""
    approvers: tuple[Value, ...] = ()
    """Whose approval counts: ids of accounts, or `*` for everybody. Empty: those in `review.instructions_from`."""
    required_checks: tuple[Value, ...] = ()
    """Checks that must be there, by name. Whichever there are must have passed in any case."""
    without_checks: bool = False
    """Whether it is merged where no check has said anything, as in a repository without pipelines."""
    method: MergeMethod = "merge_commit"
    """How the code host merges."""


class ReviewPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes back to the agent from a pull request."""

    instructions_from: tuple[Value, ...] = ()
    """Whose comments and verdicts the agent gets to work on: ids of accounts, or `*` for everybody. Others are context."""
    interval_ms: Milliseconds = 120_000
    """How often open pull requests are looked at, where no webhook tells: one request for all of them."""
    quiet_ms: MillisecondsOrOff = 60_000
    """How long nothing new was said before a ticket in review starts again: people write several comments in a row."""
    max_rounds: Count = 5
    """So often it starts again by itself; then a person decides."""
    checks: bool = True
    """Whether failed pipelines go back to the agent, with the end of their log."""
    conflicts: bool = True
    """Whether the agent is told to merge the base when that has moved and conflicts."""
    update_by: Literal["merge", "rebase"] = "merge"
    """How the agent brings its branch up to a base that conflicts. `rebase`: what we pushed last may be pushed over."""
    resolve: bool = True
    """Whether a thread that the agent says it has done is resolved after our answer."""
