"""Pull requests: how Bitbucket sends them, what we make of them, and how one comes to be.

In: a branch and what is to be said. Out: a `PullRequest`. Nothing makes a second POST harmless, so one is looked for by its
branch before it is made, and again when the answer was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import anyio
from msgspec import Struct

from opensymphony.errors import NotFound, Refused, Unreachable
from opensymphony.logs import get_logger
from opensymphony.model import PullRequest, PullRequestState, PullRequestText, encodable
from opensymphony.services.bitbucket.client import BitbucketClient, quoted
from opensymphony.services.bitbucket.marks import OPENED, without_mentions
from opensymphony.services.bitbucket.repository import SERVICE

STATES = ("OPEN", "MERGED", "DECLINED", "SUPERSEDED")
_TITLE_CHARS_MAX = 250
_BODY_CHARS_MAX = 30_000
_BRANCH_PAGES_MAX = 4
_STATE: dict[str, PullRequestState] = {"OPEN": "open", "MERGED": "merged"}

log = get_logger(__name__)


class Account(Struct, frozen=True, kw_only=True):
    """Somebody; all empty for one that was deleted."""

    uuid: str = ""
    account_id: str = ""
    display_name: str = ""


class _Link(Struct, frozen=True, kw_only=True):
    href: str = ""


class _Links(Struct, frozen=True, kw_only=True):
    html: _Link = _Link()


class Branch(Struct, frozen=True, kw_only=True):
    name: str = ""


class _Commit(Struct, frozen=True, kw_only=True):
    hash: str = ""


class _Ref(Struct, frozen=True, kw_only=True):
    name: str = ""
    target: _Commit | None = None


class _Repository(Struct, frozen=True, kw_only=True):
    uuid: str = ""


class Endpoint(Struct, frozen=True, kw_only=True):
    """One side of a pull request."""

    branch: Branch | None = None
    commit: _Commit | None = None
    repository: _Repository | None = None

    @property
    def head(self) -> str:
        return self.commit.hash if self.commit is not None else ""


class Content(Struct, frozen=True, kw_only=True):
    raw: str = ""


class Participant(Struct, frozen=True, kw_only=True):
    user: Account | None = None
    approved: bool = False
    state: str | None = None
    participated_on: str | None = None


class Sent(Struct, frozen=True, kw_only=True):
    """A pull request as Bitbucket sends it; in lists without reviewers and participants."""

    id: int
    title: str = ""
    state: Literal["OPEN", "MERGED", "DECLINED", "SUPERSEDED"]
    source: Endpoint = Endpoint()
    destination: Endpoint = Endpoint()
    summary: Content | None = None
    description: str | None = None
    draft: bool = False
    author: Account | None = None
    links: _Links = _Links()
    updated_on: str | None = None
    reviewers: tuple[Account, ...] = ()
    participants: tuple[Participant, ...] = ()

    @property
    def branch(self) -> str:
        return self.source.branch.name if self.source.branch is not None else ""

    @property
    def base(self) -> str:
        return self.destination.branch.name if self.destination.branch is not None else ""

    @property
    def head(self) -> str:
        return self.source.head

    @property
    def body(self) -> str:
        return self.description if self.description is not None else (self.summary or Content()).raw

    @property
    def is_of_this_repository(self) -> bool:
        """Whether its branch is here, and not one of the same name in somebody's fork."""
        here, there = self.destination.repository, self.source.repository
        return there is not None and here is not None and there.uuid == here.uuid

    @property
    def was_opened_by_us(self) -> bool:
        """By its text: the line stands in what we opened, and we never put it where it was not."""
        return OPENED in self.body.splitlines()

    def view(self) -> PullRequest:
        return PullRequest(
            id=str(self.id),
            url=encodable(self.links.html.href),
            title=encodable(self.title),
            state=_STATE.get(self.state, "declined"),
            branch=encodable(self.branch),
            base=encodable(self.base),
            head=self.head,
            is_draft=self.draft,
            updated_ms=to_ms(self.updated_on),
        )


class PullRequests:
    """Belongs to one code host."""

    def __init__(self, client: BitbucketClient) -> None:
        self._client = client
        self._turn = anyio.Lock()

    async def of_branch(self, branch: str) -> list[Sent]:
        """Every one from this branch of this repository: open ones first, then the newest first."""
        params = [("q", f"source.branch.name={quoted(branch)}"), ("sort", "-created_on")]
        params += [("state", state) for state in STATES]
        listed = await self._client.listed(
            "/pullrequests", Sent, name="find pull requests", params=params, pages_max=_BRANCH_PAGES_MAX
        )
        ours = [one for one in listed if one.branch == branch and one.is_of_this_repository]
        return sorted(ours, key=lambda one: (one.state != "OPEN", -one.id))

    async def one(self, pull_request_id: str) -> Sent:
        """Raises `NotFound`."""
        if not pull_request_id.isdecimal():
            raise NotFound(SERVICE, f"there is no pull request {pull_request_id[:40]!r}")
        name = "read a pull request"
        return (await self._client.call("GET", f"/pullrequests/{pull_request_id}", name=name)).value(Sent)

    async def several(self, ids: Sequence[str]) -> dict[str, Sent]:
        """These, as far as they are there; many are looked for in the list of open ones first, which is one request."""
        found: dict[str, Sent] = {}
        if len(ids) > 2:
            listed = await self._client.listed(
                "/pullrequests",
                Sent,
                name="list pull requests",
                params=[("state", "OPEN")],
                pages_max=_BRANCH_PAGES_MAX,
            )
            found = {str(one.id): one for one in listed}
        for pull_request_id in dict.fromkeys(ids):
            if pull_request_id not in found:
                try:
                    found[pull_request_id] = await self.one(pull_request_id)
                except NotFound:
                    continue
        return found

    async def publish(self, text: PullRequestText, own_account: str) -> tuple[Sent, bool]:
        """The pull request of the branch, and whether it was opened just now, which makes its author us."""
        async with self._turn:  # two at once would each find none
            found = await self.of_branch(text.branch)
            if found and found[0].state == "OPEN":
                return await self._update(_best(found, text.base), text), False
            head = await self._head(text.branch)
            if found and (head is None or (found[0].head and head.startswith(found[0].head))):
                return found[0], False  # it was merged or declined as it is
            if head is None:
                raise Refused(SERVICE, f"there is no branch {text.branch} to open a pull request from: push it first")
            return await self._open(text, own_account)

    async def _open(self, text: PullRequestText, own_account: str) -> tuple[Sent, bool]:
        body: dict[str, Any] = {
            "title": _title(text),
            "description": f"{_body(text)}\n\n{OPENED}",
            "source": {"branch": {"name": text.branch}},
            "destination": {"branch": {"name": text.base}},
            "close_source_branch": text.close_branch,
            "draft": text.is_draft,
            "reviewers": [_named(one) for one in text.reviewers if one != own_account],
        }
        try:
            name = "open a pull request"
            return (await self._client.call("POST", "/pullrequests", name=name, json=body)).value(Sent), True
        except (Unreachable, Refused) as error:
            # The answer was lost, perhaps not the pull request; or somebody was quicker, and there can be one only.
            found = await self.of_branch(text.branch)
            if not found or found[0].state != "OPEN":
                raise
            log.info("a pull request is there already", pull_request=found[0].id, error=str(error))
            return await self._update(found[0], text), False

    async def _update(self, listed: Sent, text: PullRequestText) -> Sent:
        """The text, as long as it is ours. A PUT may drop what it leaves out, so that what people decide is sent as it is."""
        found = await self.one(str(listed.id))
        body = f"{_body(text)}\n\n{OPENED}"
        there = "\n".join(found.body.strip().splitlines())
        if not found.was_opened_by_us or there == body or found.state != "OPEN":
            return found
        change = {
            "title": found.title,
            "description": body,
            "draft": found.draft,
            "reviewers": [{"uuid": one.uuid} for one in found.reviewers if one.uuid],
        }
        path, name = f"/pullrequests/{found.id}", "change a pull request"
        return (await self._client.call("PUT", path, name=name, json=change)).value(Sent)

    async def _head(self, branch: str) -> str | None:
        """The commit that a branch points to; None when it is not there."""

        # By a condition and not by a path, in which a branch's own slashes would have to be told from others.
        params = {"q": f"name={quoted(branch)}"}
        listed = await self._client.listed("/refs/branches", _Ref, name="read a branch", params=params, pages_max=1)
        return next((one.target.hash for one in listed if one.name == branch and one.target is not None), None)


def to_ms(text: str | None) -> int:
    """Of a time as Bitbucket writes it; 0 for none, or none that can be read."""
    try:
        return int(datetime.fromisoformat(text or "").timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


def _best(found: Sequence[Sent], base: str) -> Sent:
    """Of several that are open: the one into our base, the oldest of these."""
    return min((one for one in found if one.state == "OPEN"), key=lambda one: (one.base != base, one.id))


def _title(text: PullRequestText) -> str:
    return " ".join(text.title.split())[:_TITLE_CHARS_MAX] or text.branch


def _body(text: PullRequestText) -> str:
    return cut(without_mentions(text.body.strip()), _BODY_CHARS_MAX)


def _named(account: str) -> dict[str, str]:
    return {"uuid": account} if account.startswith("{") else {"account_id": account}


def cut(text: str, most: int) -> str:
    """The text, or as much of its beginning as there is room for, up to the end of a line."""
    if len(text) <= most:
        return text
    kept = text[: most - 10]
    return f"{kept.rpartition(chr(10))[0] or kept}\n\n(cut)"
