"""What a webhook of Bitbucket says: who did what to which pull request. It wakes us, and nothing in it is believed beyond that.

In: headers and the raw body of a request. Out: a `Delivery`, or why it is none. What happened stands in a header, which is not
signed; the header that names the delivery is the same at every try. A body says no time of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from opensymphony.http import decode
from opensymphony.interfaces import BadDelivery, Delivery
from opensymphony.model import encodable
from opensymphony.services.bitbucket.pull_requests import Account, Branch
from opensymphony.services.bitbucket.repository import SERVICE
from opensymphony.webhooks import is_signed, signature

SECRET = "bitbucket_webhook_secret"
"""Its name in opensymphony.toml, [secrets]."""
_SIGNATURE, _IDENTIFIER, _EVENT = "x-hub-signature", "x-request-uuid", "x-event-key"
_ID_CHARS_MAX = 200
_TEXT_CHARS_MAX = 500
_WORDS = {
    "pullrequest:created": "opened",
    "pullrequest:updated": "changed",
    "pullrequest:push": "pushed to",
    "pullrequest:approved": "approved",
    "pullrequest:unapproved": "not approved any more",
    "pullrequest:changes_request_created": "changes requested",
    "pullrequest:changes_request_removed": "changes not requested any more",
    "pullrequest:fulfilled": "merged",
    "pullrequest:rejected": "declined",
    "pullrequest:comment_created": "a comment",
    "pullrequest:comment_updated": "a comment changed",
    "pullrequest:comment_deleted": "a comment deleted",
    "pullrequest:comment_resolved": "a thread settled",
    "pullrequest:comment_reopened": "a thread opened again",
}
EVENTS = (*_WORDS, "repo:commit_status_created", "repo:commit_status_updated")
"""Those that matter to us."""


class _Endpoint(Struct, frozen=True, kw_only=True):
    branch: Branch | None = None


class _PullRequest(Struct, frozen=True, kw_only=True):
    id: int = 0
    source: _Endpoint = _Endpoint()


class _Status(Struct, frozen=True, kw_only=True):
    name: str | None = None
    key: str = ""
    state: str = ""
    refname: str | None = None


class _Body(Struct, frozen=True, kw_only=True):
    repository: dict[str, msgspec.Raw]
    actor: Account | None = None
    pullrequest: _PullRequest | None = None
    commit_status: _Status | None = None


class BitbucketWebhook:
    """Satisfies `interfaces.Webhook`."""

    secret_name = SECRET

    def is_genuine(self, secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        return is_signed(secret, body, headers.get(_SIGNATURE, ""))

    def sign(self, secret: str, body: bytes) -> dict[str, str]:
        return {_SIGNATURE: signature(secret, body)}

    def read(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        try:
            found = decode(body, _Body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadDelivery(f"the body is no event of Bitbucket: {str(error)[:200]}") from error
        event = _one_line(headers.get(_EVENT, ""))
        return Delivery(
            service=SERVICE,
            id=encodable(headers.get(_IDENTIFIER, ""))[:_ID_CHARS_MAX],
            event=event,
            branch=_one_line(_branch(found)),
            author=_one_line(found.actor.uuid if found.actor is not None else ""),
            changes=_one_line(_changes(found, event)),
        )


def _branch(body: _Body) -> str:
    if body.pullrequest is not None and body.pullrequest.source.branch is not None:
        return body.pullrequest.source.branch.name
    return body.commit_status.refname or "" if body.commit_status is not None else ""


def _changes(body: _Body, event: str) -> str:
    """What happened, in words."""
    status, pull = body.commit_status, body.pullrequest
    if status is not None:
        return f"{status.name or status.key}: {status.state.lower()}"
    return f"pull request {pull.id}: {_WORDS.get(event, event)}" if pull is not None else event


def _one_line(text: str) -> str:
    return " ".join(encodable(text).split())[:_TEXT_CHARS_MAX]
