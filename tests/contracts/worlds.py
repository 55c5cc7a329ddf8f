"""What the contract suites need from the world behind an adapter: a person who works in the same tracker."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from opensymphony.interfaces import CodeHost, Tracker
from opensymphony.model import TicketId


class TrackerWorld(Protocol):
    """A tracker as a person sees it, and the adapter under test beside it."""

    def there(self) -> AbstractAsyncContextManager[object]:
        """While the block runs the tracker is there."""
        ...

    def open(self) -> AbstractAsyncContextManager[Tracker]:
        """An adapter on this world, closed at the end; a second one is another daemon."""
        ...

    async def create(
        self,
        title: str = "A ticket",
        *,
        state: str = "Todo",
        description: str = "What to do.",
        priority: int | None = None,
        labels: Sequence[str] = (),
        assignee: str | None = None,
        blocked_by: Sequence[TicketId] = (),
        parent: TicketId | None = None,
    ) -> TicketId:
        """A new ticket, later in the tracker's order than those before."""
        ...

    async def move(self, ticket_id: TicketId, state: str) -> None: ...

    async def retitle(self, ticket_id: TicketId, title: str) -> None: ...

    async def relabel(self, ticket_id: TicketId, labels: Sequence[str]) -> None: ...

    async def comment(self, ticket_id: TicketId, text: str, author: str = "ada") -> None:
        """A comment of a person's own."""
        ...

    async def comments(self, ticket_id: TicketId) -> str:
        """Everything that stands in the ticket's comments, as one text."""
        ...

    async def delete(self, ticket_id: TicketId) -> None: ...

    async def spoil_optional(self, ticket_id: TicketId) -> None:
        """Make every optional field something that it cannot be."""
        ...

    async def spoil(self, ticket_id: TicketId) -> None:
        """Take away what a ticket cannot do without."""
        ...

    async def break_down(self) -> None:
        """From now on the tracker does not answer."""
        ...


class CodeHostWorld(Protocol):
    """A code host as its people see it, and the adapter under test beside it. The base is the branch `main`."""

    def there(self) -> AbstractAsyncContextManager[object]:
        """While the block runs the host is there."""
        ...

    def open(self) -> AbstractAsyncContextManager[CodeHost]:
        """An adapter on this world, closed at the end; a second one is another start of the daemon."""
        ...

    async def push(self, branch: str, files: dict[str, str] | None = None) -> str:
        """A commit on a branch, which begins where `main` is; returns the commit."""
        ...

    async def branch_off(self, branch: str) -> None:
        """A branch that is where `main` is."""
        ...

    async def delete_branch(self, branch: str) -> None: ...

    async def open_by_hand(self, branch: str, title: str, *, reviewers: Sequence[str] = (), fork: bool = False) -> str:
        """A person opens a pull request, perhaps from a branch of that name in a fork; returns its id."""
        ...

    async def pull_requests(self, branch: str) -> list[tuple[str, str]]:
        """Id and title of every one from the branch, forks included, the oldest first."""
        ...

    async def reviewers(self, pull_request_id: str) -> list[str]: ...

    async def say(
        self,
        pull_request_id: str,
        text: str,
        *,
        author: str = "ada",
        path: str = "",
        line: int | None = None,
        old_line: int | None = None,
        answer_to: str | None = None,
    ) -> str:
        """Somebody comments; returns the comment's id."""
        ...

    async def delete_comment(self, pull_request_id: str, comment_id: str) -> None: ...

    async def comments(self, pull_request_id: str) -> list[str]:
        """The texts of what is there, as they are stored, the oldest first."""
        ...

    async def judge(self, pull_request_id: str, verdict: Literal["approved", "changes_requested"] | None) -> None:
        """Ada gives her verdict, or takes it back."""
        ...

    async def report(self, commit: str, key: str, state: Literal["pending", "passed", "failed", "stopped"]) -> None:
        """A build server reports about a commit."""
        ...

    async def fail_build(self, commit: str, log: bytes) -> None:
        """The host's own builds have failed, and printed this."""
        ...

    async def merge(self, pull_request_id: str) -> None: ...

    async def decline(self, pull_request_id: str) -> None: ...

    async def lose_answer(self, to: Literal["publish", "comment", "merge"]) -> None:
        """The next one is done, and its answer does not arrive."""
        ...

    async def break_down(self) -> None:
        """From now on the host does not answer."""
        ...

    def account(self, name: str) -> str:
        """The id of `ada`'s or `bob`'s account."""
        ...
