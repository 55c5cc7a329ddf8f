"""What the contract suites need from the world behind an adapter: a person who works in the same tracker."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from opensymphony.interfaces import Tracker
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
