"""What a code host is about: pull requests, what reviewers say about them, and what checks found.

Part of `opensymphony.model`, which has all the nouns.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

PullRequestState = Literal["open", "merged", "declined"]
CheckState = Literal["pending", "passed", "failed"]
Verdict = Literal["approved", "changes_requested"]
MergeMethod = Literal["merge_commit", "squash", "fast_forward"]

_ABBREVIATED_MIN = 7


class PullRequest(Struct, frozen=True, kw_only=True):
    """One pull request, as its host has it now."""

    id: str
    url: str
    """Where people look at it."""
    title: str
    state: PullRequestState
    branch: str
    base: str
    head: str = ""
    """The commit that its branch points to there, perhaps abbreviated; empty when the branch is gone."""
    is_draft: bool = False
    updated_ms: int = 0
    """By the host's clock; it changes with every push, comment and verdict."""


def is_same_commit(one: str, other: str) -> bool:
    """Whether two names of a commit, either perhaps abbreviated, mean the same; a name that is too short means none."""
    short, long = sorted((one.lower(), other.lower()), key=len)
    return len(short) >= _ABBREVIATED_MIN and long.startswith(short)


class PullRequestText(Struct, frozen=True, kw_only=True):
    """What a pull request is to say, and between which branches."""

    branch: str
    base: str
    title: str
    body: str
    """Markdown."""
    is_draft: bool = False
    reviewers: tuple[str, ...] = ()
    """Ids of accounts that are asked for a review when it is opened."""
    close_branch: bool = True
    """Whether its branch is deleted when it is merged."""


class ReviewComment(Struct, frozen=True, kw_only=True):
    """What somebody said in a thread."""

    id: str
    author: str
    """The host's own id of the account; empty when the host does not tell."""
    author_name: str = ""
    """As people see it; whoever has the account may change it, so it decides nothing."""
    text: str = ""
    at_ms: int = 0
    is_ours: bool = False


class ReviewThread(Struct, frozen=True, kw_only=True):
    """A comment and the answers to it, oldest first."""

    id: str
    """That of its first comment."""
    comments: tuple[ReviewComment, ...]
    path: str = ""
    """The file that it is about; empty: the pull request as a whole."""
    line: int | None = None
    """In the new version of the file, from 1; None: the file as a whole, or a line that was deleted."""
    old_line: int | None = None
    """In the old version, for a line that was deleted."""
    quote: str = ""
    """The code that it is about, where somebody has looked it up."""
    is_resolved: bool = False
    is_outdated: bool = False
    """Whether later commits have changed the place that it is about."""


class ThreadAnswer(Struct, frozen=True, kw_only=True):
    """What we say in a thread about what became of it."""

    thread_id: str
    marker: str
    """Names it, so that it is said once."""
    body: str
    """Markdown."""
    resolve: bool = False


class Review(Struct, frozen=True, kw_only=True):
    """One person's verdict, the latest."""

    author: str
    author_name: str = ""
    verdict: Verdict
    at_ms: int = 0
    commit: str = ""
    """The head of the branch that an approval is about, perhaps abbreviated; empty where that cannot be told."""
    is_ours: bool = False


class CommitCheck(Struct, frozen=True, kw_only=True):
    """What a pipeline or another check says about a commit."""

    key: str
    """Unique for the commit."""
    name: str
    state: CheckState
    url: str = ""
    description: str = ""
    updated_ms: int = 0
    log: str = ""
    """The end of what it has printed, where somebody has fetched it."""


class PullRequestReading(Struct, frozen=True, kw_only=True):
    """Everything about one pull request that may be news."""

    pull_request: PullRequest
    threads: tuple[ReviewThread, ...] = ()
    reviews: tuple[Review, ...] = ()
    checks: tuple[CommitCheck, ...] = ()
    """Of its head."""
    conflicts: tuple[str, ...] = ()
    """Paths on which base and branch cannot be merged."""
