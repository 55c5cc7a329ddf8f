"""What is said about a pull request: a flat list of comments there, threads here.

In: comments, each of which may name the one that it answers, to any depth. Out: threads, oldest first. A comment that was
deleted says nothing more, but the answers to it still belong together; one that is not sent yet is nobody's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from opensymphony.model import ReviewComment, ReviewThread, encodable
from opensymphony.services.bitbucket.marks import unsigned
from opensymphony.services.bitbucket.pull_requests import Account, Content, cut, to_ms

_TEXT_CHARS_MAX = 30_000


class _Parent(Struct, frozen=True, kw_only=True):
    id: int


class _Inline(Struct, frozen=True, kw_only=True):
    path: str = ""
    to: int | None = None
    start: int | None = field(name="from", default=None)
    outdated: bool | None = None


class Comment(Struct, frozen=True, kw_only=True):
    """As Bitbucket sends it."""

    id: int
    created_on: str | None = None
    content: Content | None = None
    user: Account | None = None
    deleted: bool = False
    pending: bool = False
    parent: _Parent | None = None
    inline: _Inline | None = None
    resolution: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        return self.content.raw if self.content is not None else ""

    @property
    def author(self) -> str:
        return self.user.uuid if self.user is not None else ""

    @property
    def is_said(self) -> bool:
        return not (self.deleted or self.pending)

    def view(self, own_account: str) -> ReviewComment:
        return ReviewComment(
            id=str(self.id),
            author=encodable(self.author),
            author_name=encodable(self.user.display_name) if self.user is not None else "",
            text=cut(encodable(unsigned(self.text)), _TEXT_CHARS_MAX),
            at_ms=to_ms(self.created_on),
            is_ours=bool(own_account) and self.author == own_account,
        )


def threads(comments: Iterable[Comment], own_account: str) -> tuple[ReviewThread, ...]:
    """Those in which anything is said."""
    by_id = {one.id: one for one in comments}
    members: dict[int, list[Comment]] = {}
    for one in sorted(by_id.values(), key=lambda one: one.id):
        members.setdefault(_root(one, by_id), []).append(one)
    found: list[ReviewThread] = []
    for root_id, inside in members.items():
        root = by_id[root_id]
        said = tuple(one.view(own_account) for one in inside if one.is_said)
        if said:
            found.append(_thread(root, said))
    return tuple(sorted(found, key=lambda thread: (thread.comments[0].at_ms, int(thread.id))))


def thread_of(comment_id: str, comments: Iterable[Comment]) -> list[Comment]:
    """What is said in the thread that this comment began; empty when there is none."""
    by_id = {one.id: one for one in comments}
    inside = [one for one in by_id.values() if str(_root(one, by_id)) == comment_id and one.is_said]
    return sorted(inside, key=lambda one: one.id)


def _root(comment: Comment, by_id: Mapping[int, Comment]) -> int:
    """The comment that began it all, as far as it is in the list; ids only grow, so no chain leads back to its start."""
    while comment.parent is not None and comment.parent.id < comment.id and comment.parent.id in by_id:
        comment = by_id[comment.parent.id]
    return comment.id


def _thread(root: Comment, said: tuple[ReviewComment, ...]) -> ReviewThread:
    place = root.inline or _Inline()
    return ReviewThread(
        id=str(root.id),
        comments=said,
        path=encodable(place.path),
        line=place.to,
        old_line=place.start if place.to is None else None,
        is_resolved=root.resolution is not None,
        is_outdated=bool(place.outdated),
    )
