"""What we say on a pull request: each thing once, edited in place, found again after a crash.

Bitbucket has no key that makes a second POST harmless. So each comment ends with a line that names it; one whose answer was
lost is looked for before another is written, and of two that a crash has left all the same the older one stays.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
from msgspec import Struct

from opensymphony.errors import NotFound, Refused, Unreachable
from opensymphony.logs import get_logger
from opensymphony.services.bitbucket.client import BitbucketClient
from opensymphony.services.bitbucket.marks import carries, signed, without_mentions
from opensymphony.services.bitbucket.pull_requests import cut
from opensymphony.services.bitbucket.repository import SERVICE
from opensymphony.services.bitbucket.threads import Comment, thread_of

_CHARS_MAX = 30_000
_KNOWN_MAX = 4_096

log = get_logger(__name__)


class Written(Struct, frozen=True, kw_only=True):
    """A comment of ours, and the account that Bitbucket says has written it."""

    id: str
    author: str


class Comments:
    """Belongs to one code host; remembers where our comments are, and forgets it with the process."""

    def __init__(self, client: BitbucketClient) -> None:
        self._client = client
        self._turn = anyio.Lock()
        self._known: dict[tuple[str, str], str] = {}

    async def listed(self, pull_request_id: str) -> list[Comment]:
        """Everything that was ever said, deleted comments included. Raises `NotFound`."""
        return await self._client.listed(_path(pull_request_id), Comment, name="read comments")

    async def upsert(
        self, pull_request_id: str, marker: str, body: str, *, thread_id: str | None, own_account: str
    ) -> Written:
        """Write or edit. Raises `NotFound` when the pull request or the thread is gone."""
        text = signed(cut(without_mentions(body.strip()), _CHARS_MAX), marker)
        async with self._turn:  # two at once would each find none
            written = await self._say(pull_request_id, marker, text, thread_id, own_account)
        if len(self._known) >= _KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[pull_request_id, marker] = written.id
        return written

    async def _say(
        self, pull_request_id: str, marker: str, text: str, thread_id: str | None, own_account: str
    ) -> Written:
        known = self._known.get((pull_request_id, marker))
        if known is not None:
            try:
                return await self._edit(pull_request_id, known, text)
            except (NotFound, Refused):
                del self._known[pull_request_id, marker]  # somebody deleted it, or the pull request
        there = await self.listed(pull_request_id)
        edited = await self._edit_found(pull_request_id, there, marker, text, own_account)
        if edited is not None:
            return edited
        request: dict[str, Any] = {"content": {"raw": text}}
        if thread_id is not None:
            inside = thread_of(thread_id, there)
            if not inside:
                raise NotFound(SERVICE, f"write a comment: the thread {thread_id} is gone")
            request["parent"] = {"id": inside[0].id}
        try:
            answer = await self._client.call("POST", _path(pull_request_id), name="write a comment", json=request)
        except Unreachable:
            # The answer was lost, perhaps not the comment.
            there = await self.listed(pull_request_id)
            edited = await self._edit_found(pull_request_id, there, marker, text, own_account)
            if edited is None:
                raise
            return edited
        return _written(answer.value(Comment))

    async def _edit_found(
        self, pull_request_id: str, there: list[Comment], marker: str, text: str, own_account: str
    ) -> Written | None:
        """Edit the oldest of this marker that is ours, and take off later ones.

        While our account is not known each is tried: Bitbucket lets nobody edit what somebody else has written.
        """
        marked = sorted((one for one in there if one.is_said and carries(one.text, marker)), key=lambda one: one.id)
        edited: Written | None = None
        for one in marked:
            ours = own_account or (edited.author if edited is not None else "")
            if ours and one.author != ours:
                continue
            if edited is not None:
                await self._take_off(pull_request_id, one)
                continue
            try:
                unchanged = own_account and one.text.rstrip() == text
                edited = _written(one) if unchanged else await self._edit(pull_request_id, str(one.id), text)
            except (Refused, NotFound):
                if own_account:
                    raise
        return edited

    async def _edit(self, pull_request_id: str, comment_id: str, text: str) -> Written:
        path, request = f"{_path(pull_request_id)}/{comment_id}", {"content": {"raw": text}}
        answer = await self._client.call("PUT", path, name="edit a comment", json=request)
        return _written(answer.value(Comment))

    async def _take_off(self, pull_request_id: str, later: Comment) -> None:
        """What a crash has left: the same comment a second time."""
        log.warning("a second comment of ours is taken off", pull_request=pull_request_id, comment=later.id)
        with suppress(NotFound):
            await self._client.call("DELETE", f"{_path(pull_request_id)}/{later.id}", name="take a comment off")


def _written(comment: Comment) -> Written:
    return Written(id=str(comment.id), author=comment.author)


def _path(pull_request_id: str) -> str:
    if not pull_request_id.isdecimal():
        raise NotFound(SERVICE, f"there is no pull request {pull_request_id[:40]!r}")
    return f"/pullrequests/{pull_request_id}/comments"
