"""The role of a code host: where branches become pull requests, are reviewed and merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from opensymphony.model import (
    CommitCheck,
    MergeMethod,
    PullRequest,
    PullRequestReading,
    PullRequestText,
    TrackerState,
)


class CodeHost(Protocol):
    """Where branches become pull requests. It owns what reviewers say; we write our own comments and nothing of theirs."""

    async def find(self, branch: str) -> PullRequest | None:
        """The pull request from this branch of our repository: the open one, else the newest; None when there never was one.

        One from a branch of that name in a fork is somebody else's.
        """
        ...

    async def publish(self, text: PullRequestText) -> PullRequest:
        """Open the one pull request of a branch, or bring the body of the open one up to date, if we wrote that.

        It is found by its branch before one is made, also after a lost answer. Of one that is there people decide everything
        else: title, draft state, reviewers, and a body that is theirs.
        One that was merged or declined is left alone: it is the answer as long as its branch has no new commits, and with new
        ones another is opened. Raises `Refused` when the branch is not there, or has nothing to merge.
        """
        ...

    async def fetch(self, ids: Sequence[str]) -> tuple[PullRequest, ...]:
        """These, read again, in the order asked for; what is gone is left out. Empty `ids` make no request."""
        ...

    async def read(self, pull_request_id: str) -> PullRequestReading:
        """Everything about it, threads with their answers. Raises `NotFound`."""
        ...

    async def comment(self, pull_request_id: str, marker: str, body: str, *, thread_id: str | None = None) -> str:
        """Say something once, in a thread or about the whole; with the same `marker` it is edited. Returns the comment's id.

        `body` is Markdown. Raises `NotFound` when the pull request, or the thread, is gone.
        """
        ...

    async def resolve(self, pull_request_id: str, thread_id: str) -> bool:
        """Mark a thread as settled; False where that cannot be done. One that is settled already stays so."""
        ...

    async def merge(self, pull_request_id: str, head: str, method: MergeMethod) -> PullRequest:
        """Merge it as it is at `head`, and return it merged; also when it was merged before, by whomever.

        Raises `Refused` when its branch is elsewhere by now, it was declined, or the host's own conditions do not hold.
        """
        ...

    async def read_log(self, commit: str, check: CommitCheck) -> str:
        """The end of what a failed check has printed, within limits; empty when it cannot be had."""
        ...

    async def git_login(self) -> tuple[str, str]:
        """User and secret for git over HTTPS to this host, read now. Raises `ConfigurationError`."""
        ...

    @property
    def account(self) -> str:
        """The id of the account that we use, as far as it is known."""
        ...

    def state(self) -> TrackerState | None:
        """What it was asked, without asking it."""
        ...

    async def close(self) -> None:
        """Give back every connection."""
        ...
