"""A person with an editor in a folder of tickets."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from opensymphony.clock import Clock
from opensymphony.interfaces import Tracker
from opensymphony.model import TicketId
from opensymphony.services import open_tracker
from opensymphony.workflow.policy import TrackerPolicy


def files_tracker(folder: Path) -> Tracker:
    return open_tracker(TrackerPolicy(kind="files", provider={"path": str(folder)}), Clock())


class FilesWorld:
    """Satisfies `TrackerWorld`."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "board"
        self.folder.mkdir()
        self._count = 0

    def there(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Tracker]:
        tracker = files_tracker(self.folder)
        try:
            yield tracker
        finally:
            await tracker.close()

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
        self._count += 1
        ticket_id = TicketId(f"T-{self._count:04}")
        lines = [f"title: {title}", f"state: {state}"]
        if priority is not None:
            lines.append(f"priority: {priority}")
        if labels:
            lines.append("labels: [" + ", ".join(f"'{label}'" for label in labels) + "]")
        if assignee:
            lines.append(f"assignee: {assignee}")
        if blocked_by:
            lines.append(f"blocked_by: {', '.join(blocked_by)}")
        if parent:
            lines.append(f"parent: {parent}")
        self.path(ticket_id).write_text("\n".join(["---", *lines, "---", "", description, ""]), encoding="utf-8")
        return ticket_id

    def path(self, ticket_id: TicketId) -> Path:
        return self.folder / f"{ticket_id}.md"

    def _set(self, ticket_id: TicketId, key: str, value: str) -> None:
        """As an editor does: all of the file, written anew."""
        lines = self.path(ticket_id).read_text(encoding="utf-8").split("\n")
        lines = [line for line in lines if not line.startswith(f"{key}:")]
        self.path(ticket_id).write_text("\n".join([lines[0], f"{key}: {value}", *lines[1:]]), encoding="utf-8")

    async def move(self, ticket_id: TicketId, state: str) -> None:
        self._set(ticket_id, "state", state)

    async def retitle(self, ticket_id: TicketId, title: str) -> None:
        self._set(ticket_id, "title", title)

    async def relabel(self, ticket_id: TicketId, labels: Sequence[str]) -> None:
        self._set(ticket_id, "labels", ", ".join(labels))

    async def comment(self, ticket_id: TicketId, text: str, author: str = "ada") -> None:
        with (self.folder / f"{ticket_id}.comments.md").open("a", encoding="utf-8") as file:
            file.write(f"\n## {author}\n\n{text}\n")

    async def comments(self, ticket_id: TicketId) -> str:
        return (self.folder / f"{ticket_id}.comments.md").read_text(encoding="utf-8")

    async def delete(self, ticket_id: TicketId) -> None:
        self.path(ticket_id).unlink()

    async def spoil_optional(self, ticket_id: TicketId) -> None:
        for key, value in (("priority", "high"), ("labels", "{a: b}"), ("assignee", "[x]"), ("created", "xx")):
            self._set(ticket_id, key, value)

    async def spoil(self, ticket_id: TicketId) -> None:
        self._set(ticket_id, "title", "")

    async def break_down(self) -> None:
        shutil.rmtree(self.folder)
