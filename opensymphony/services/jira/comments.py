"""Our one comment on an issue: written once, edited in place, found again after a crash.

Jira has no key that makes a second POST harmless. So the comment carries a line that names it, a comment whose answer was lost
is looked for before another is written, and of two that a crash has left all the same the older one stays.
"""

from __future__ import annotations

from typing import Any

from opensymphony.errors import NotFound, Unreachable
from opensymphony.logs import get_logger
from opensymphony.services.jira.adf import Node, folded, to_document
from opensymphony.services.jira.client import JiraClient
from opensymphony.services.jira.issues import FOOTER, Comment, Comments, is_ours

_PAGE_MAX = 100
_PAGES_MAX = 50
_KNOWN_MAX = 4_096

log = get_logger(__name__)


class CommentWriter:
    """Belongs to one tracker; remembers where our comments are, and forgets it with the process."""

    def __init__(self, client: JiraClient) -> None:
        self._client = client
        self._known: dict[tuple[str, str], str] = {}

    async def upsert(self, ticket_id: str, marker: str, body: str, *, account_id: str) -> str:
        """Write or edit; returns the comment's id. Raises `NotFound` when the issue is gone."""
        document = signed(body, marker)
        comment_id = self._known.get((ticket_id, marker))
        if comment_id is not None:
            try:
                return await self._edit(ticket_id, comment_id, document)
            except NotFound:
                del self._known[ticket_id, marker]  # somebody deleted it, or the issue
        ours = await self._find(ticket_id, marker, account_id)
        if ours:
            await self._merge(ticket_id, ours[1:])
            return self._remember(ticket_id, marker, await self._edit(ticket_id, ours[0].id, document))
        try:
            path, name = f"/issue/{ticket_id}/comment", "write the comment"
            answer = await self._client.call("POST", path, name=name, json={"body": document}, writes_to=ticket_id)
        except Unreachable:
            # The answer was lost, perhaps not the comment.
            written = await self._find(ticket_id, marker, account_id)
            if not written:
                raise
            return self._remember(ticket_id, marker, written[0].id)
        return self._remember(ticket_id, marker, answer.value(Comment).id)

    def _remember(self, ticket_id: str, marker: str, comment_id: str) -> str:
        if len(self._known) >= _KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[ticket_id, marker] = comment_id
        return comment_id

    async def _edit(self, ticket_id: str, comment_id: str, document: Node) -> str:
        path = f"/issue/{ticket_id}/comment/{comment_id}"
        await self._client.call("PUT", path, name="edit the comment", json={"body": document}, writes_to=ticket_id)
        return comment_id

    async def _merge(self, ticket_id: str, later: list[Comment]) -> None:
        """Take off what a crash has left: the same comment a second time."""
        for comment in later:
            log.warning("a second comment of ours is taken off", ticket=ticket_id, comment=comment.id)
            path = f"/issue/{ticket_id}/comment/{comment.id}"
            try:
                await self._client.call("DELETE", path, name="take a comment off", writes_to=ticket_id)
            except NotFound:
                continue

    async def _find(self, ticket_id: str, marker: str, account_id: str) -> list[Comment]:
        """Ours of this marker, the oldest first."""
        found: list[Comment] = []
        start = 0
        for _ in range(_PAGES_MAX):
            params: dict[str, Any] = {"startAt": start, "maxResults": _PAGE_MAX, "orderBy": "created"}
            path = f"/issue/{ticket_id}/comment"
            page = (await self._client.call("GET", path, name="read comments", params=params)).value(Comments)
            found += [one for one in page.comments if is_ours(one, account_id, marker)]
            start += len(page.comments)
            if not page.comments or start >= page.total:
                break
        return found


def signed(body: str, marker: str) -> Node:
    """The document of a comment, with the line that names it at the end."""
    document = folded(to_document(body))
    footer: Node = {"type": "text", "text": f"{FOOTER}{marker}", "marks": [{"type": "code"}]}
    return {**document, "content": [*document["content"], {"type": "paragraph", "content": [footer]}]}
