"""Bitbucket Cloud as a code host: pull requests, what is said about them, what checks found, and how git signs in.

Which account is ours: an API token has a user, who is asked for once. An access token has none; then we are whoever Bitbucket
says has written what we wrote just now, and until we have written anything, the author of a pull request that carries our line,
which we put into those only that we opened. Until even that is known nothing counts as ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urljoin

from msgspec import Struct, structs

from opensymphony.clock import Clock
from opensymphony.errors import NotFound, Refused
from opensymphony.http import Limits, ReadToken
from opensymphony.model import (
    CommitCheck,
    MergeMethod,
    PullRequest,
    PullRequestReading,
    PullRequestText,
    Review,
    TrackerState,
    encodable,
)
from opensymphony.services.bitbucket import checks
from opensymphony.services.bitbucket.client import BitbucketClient
from opensymphony.services.bitbucket.comments import Comments
from opensymphony.services.bitbucket.merging import Merges
from opensymphony.services.bitbucket.pull_requests import Account, PullRequests, Sent
from opensymphony.services.bitbucket.repository import Repository, read_repository
from opensymphony.services.bitbucket.threads import threads
from opensymphony.services.bitbucket.verdicts import approved_commits, reviews
from opensymphony.workflow.policy import CodeHostPolicy

_CONFLICTS_MAX = 200


class _Conflict(Struct, frozen=True, kw_only=True):
    path: str = ""


class _Conflicts(Struct, frozen=True, kw_only=True):
    values: tuple[_Conflict, ...] = ()


class BitbucketCodeHost:
    """Satisfies `interfaces.CodeHost`."""

    def __init__(
        self, policy: CodeHostPolicy, clock: Clock, read_token: ReadToken, limits: Limits | None = None
    ) -> None:
        self.repository: Repository = read_repository(policy)
        self.client = BitbucketClient(self.repository, read_token, clock, limits)
        self._read_token = read_token
        self._pull_requests = PullRequests(self.client)
        self._comments = Comments(self.client)
        self._merges = Merges(self.client, self._pull_requests)
        self._account = ""
        self._has_asked = False

    @property
    def account(self) -> str:
        return self._account

    def state(self) -> TrackerState | None:
        used = self.client.limits.usage
        return TrackerState(
            requests=used.requests,
            refused=used.refused,
            remaining=used.remaining,
            paused_until_ms=used.paused_until_ms,
        )

    async def close(self) -> None:
        await self.client.close()

    async def find(self, branch: str) -> PullRequest | None:
        found = await self._pull_requests.of_branch(branch)
        return found[0].view() if found else None

    async def publish(self, text: PullRequestText) -> PullRequest:
        sent, is_new = await self._pull_requests.publish(text, await self._own_account())
        if is_new and sent.author is not None:
            self._account = sent.author.uuid
        return sent.view()

    async def fetch(self, ids: Sequence[str]) -> tuple[PullRequest, ...]:
        if not ids:
            return ()
        found = await self._pull_requests.several(ids)
        return tuple(found[one].view() for one in ids if one in found)

    async def read(self, pull_request_id: str) -> PullRequestReading:
        sent = await self._pull_requests.one(pull_request_id)
        own = await self._own_account(sent)
        comments = await self._comments.listed(pull_request_id)
        return PullRequestReading(
            pull_request=sent.view(),
            threads=threads(comments, own),
            reviews=await self._reviews(sent, own),
            checks=await checks.read_checks(self.client, sent.head) if sent.head else (),
            conflicts=await self._conflicts(pull_request_id) if sent.state == "OPEN" else (),
        )

    async def comment(self, pull_request_id: str, marker: str, body: str, *, thread_id: str | None = None) -> str:
        own = await self._own_account()
        written = await self._comments.upsert(pull_request_id, marker, body, thread_id=thread_id, own_account=own)
        self._account = written.author or self._account
        return written.id

    async def resolve(self, pull_request_id: str, thread_id: str) -> bool:
        if not (pull_request_id.isdecimal() and thread_id.isdecimal()):
            return False
        path = f"/pullrequests/{pull_request_id}/comments/{thread_id}/resolve"
        # 403: it is no place in the code, or not the beginning of a thread; 409: it is settled already.
        expected = (403, 404, 409)
        answer = await self.client.call("POST", path, name="resolve a thread", repeatable=True, expected=expected)
        return answer.status not in (403, 404)

    async def merge(self, pull_request_id: str, head: str, method: MergeMethod) -> PullRequest:
        return (await self._merges.merge(pull_request_id, head, method)).view()

    async def read_log(self, commit: str, check: CommitCheck) -> str:
        return await checks.read_log(self.client, commit, check)

    async def git_login(self) -> tuple[str, str]:
        return self.repository.git_name, await self._read_token()

    async def _own_account(self, sent: Sent | None = None) -> str:
        if not self._account and not self._has_asked:
            # Refused for an access token; what is wrong with the token itself is said by the calls that need it.
            with suppress(Refused, NotFound):
                self._account = (await self.client.user()).value(Account).uuid
            self._has_asked = True
        if not self._account and sent is not None and sent.was_opened_by_us and sent.author is not None:
            self._account = sent.author.uuid
        return self._account

    async def _reviews(self, sent: Sent, own_account: str) -> tuple[Review, ...]:
        found = reviews(sent.participants, own_account)
        if not any(review.verdict == "approved" for review in found):
            return found
        approved = await approved_commits(self.client, str(sent.id))
        return tuple(
            structs.replace(review, commit=approved.get(review.author, "")) if review.verdict == "approved" else review
            for review in found
        )

    async def _conflicts(self, pull_request_id: str) -> tuple[str, ...]:
        """Bitbucket leads on to a list for the two commits; where it cannot tell, nothing is said."""
        name, path = "read conflicts", f"/pullrequests/{pull_request_id}/conflicts"
        try:
            answer = await self.client.call("GET", path, name=name, expected=(302,))
            if answer.status == 302:
                url = urljoin(f"{self.repository.api_url}/", answer.headers.get("Location", ""))
                answer = await self.client.follow(url, name=name)
        except NotFound:
            return ()
        found = {encodable(one.path) for one in answer.value(_Conflicts).values if one.path}
        return tuple(sorted(found)[:_CONFLICTS_MAX])
