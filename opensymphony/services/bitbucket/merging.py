"""Merges a pull request as it is at one commit.

Bitbucket takes no commit with the call, so the head is looked at right before; what the branch gets in between is merged along.
A merge that takes long goes on by itself there, and is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin

import anyio
from msgspec import Struct

from opensymphony.errors import BadAnswer, Refused, Unreachable
from opensymphony.http import Answer
from opensymphony.model import MergeMethod, is_same_commit
from opensymphony.services.bitbucket.client import BitbucketClient
from opensymphony.services.bitbucket.pull_requests import PullRequests, Sent
from opensymphony.services.bitbucket.repository import SERVICE

_ASK_AGAIN_S = 1.0
_WAIT_S = 120


class _Task(Struct, frozen=True, kw_only=True):
    task_status: str = ""


class Merges:
    """Belongs to one code host."""

    def __init__(
        self, client: BitbucketClient, pull_requests: PullRequests, *, ask_again_s: float = _ASK_AGAIN_S
    ) -> None:
        self._client = client
        self._pull_requests = pull_requests
        self._ask_again_s = ask_again_s

    async def merge(self, pull_request_id: str, head: str, method: MergeMethod) -> Sent:
        """Raises `Refused` for another head, a closed one, and what Bitbucket's merge checks keep back."""
        sent = await self._pull_requests.one(pull_request_id)
        if sent.state == "MERGED":
            return sent
        if sent.state != "OPEN":
            raise Refused(SERVICE, f"pull request {pull_request_id} was declined")
        if not is_same_commit(sent.head, head):
            raise Refused(SERVICE, f"the branch {sent.branch} is at {sent.head or 'no commit'} by now, not at {head}")
        name, path = "merge a pull request", f"/pullrequests/{pull_request_id}/merge"
        body: Mapping[str, object] = {"type": "pullrequest_merge_parameters", "merge_strategy": method}
        answer = await self._client.call("POST", path, name=name, json=body)
        if answer.status == 202:
            await self._end_of(answer, name)
        merged = await self._pull_requests.one(pull_request_id)
        if merged.state != "MERGED":
            raise BadAnswer(SERVICE, f"pull request {pull_request_id} is {merged.state.lower()} after its merge")
        return merged

    async def _end_of(self, accepted: Answer, name: str) -> None:
        """Wait for a merge that goes on there. Raises `Unreachable` when it does not end; it is looked at again later."""
        url = urljoin(f"{self._client.repository.api_url}/", accepted.headers.get("Location", ""))
        with anyio.move_on_after(_WAIT_S):
            while True:
                if (await self._client.follow(url, name=name)).value(_Task).task_status != "PENDING":
                    return
                await anyio.sleep(self._ask_again_s)
        raise Unreachable(SERVICE, "a merge has not ended yet")
