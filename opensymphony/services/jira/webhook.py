"""What a webhook of Jira says: who did what to which issue. It wakes us, and nothing in it is believed beyond that.

In: headers and the raw body of a request. Out: a `Delivery`, or why it is none. Webhooks of an administrator's have a secret
and are signed; those of an OAuth app bear a token that the app's secret has made, whatever the body is. Their time is in the
body, and the header that names the delivery is the same at every try.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.interfaces import BadDelivery, Delivery
from opensymphony.model import encodable
from opensymphony.services.jira.client import decode
from opensymphony.services.jira.issues import User
from opensymphony.services.jira.oauth import CLIENT_SECRET
from opensymphony.services.jira.site import SERVICE
from opensymphony.webhooks import bearer, is_borne, is_signed, signature

SECRET = "jira_webhook_secret"
"""Its name in opensymphony.toml, [secrets]."""
_TOKEN_MS = 60_000
"""For a call of our own."""
_SIGNATURE, _IDENTIFIER = "x-hub-signature", "x-atlassian-webhook-identifier"
_ID_CHARS_MAX = 200
_CHANGES_MAX = 10
_TEXT_CHARS_MAX = 500


class _Item(Struct, frozen=True, kw_only=True):
    field: str = ""
    to: str | None = None
    toString: str | None = None
    fromString: str | None = None


class _Changelog(Struct, frozen=True, kw_only=True):
    items: tuple[_Item, ...] = ()


class _Issue(Struct, frozen=True, kw_only=True):
    id: str | int = ""
    key: str = ""


class _Body(Struct, frozen=True, kw_only=True):
    webhookEvent: str
    timestamp: int = 0
    user: User | None = None
    issue: _Issue | None = None
    comment: dict[str, msgspec.Raw] | None = None
    changelog: _Changelog | None = None


class JiraWebhook:
    """One of an administrator's. Satisfies `interfaces.Webhook`."""

    secret_name = SECRET

    def is_genuine(self, secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        return is_signed(secret, body, headers.get(_SIGNATURE, ""))

    def sign(self, secret: str, body: bytes) -> dict[str, str]:
        return {_SIGNATURE: signature(secret, body)}

    def read(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        try:
            found = decode(body, _Body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadDelivery(f"the body is no event of Jira: {str(error)[:200]}") from error
        issue = found.issue or _Issue()
        return Delivery(
            service=SERVICE,
            id=encodable(headers.get(_IDENTIFIER, ""))[:_ID_CHARS_MAX],
            event=_one_line(found.webhookEvent),
            ticket_id=_one_line(str(issue.id)),
            ticket=_one_line(issue.key),
            author=_one_line(found.user.accountId if found.user is not None else ""),
            at_ms=found.timestamp,
            changes=_changes(found),
        )


class AppWebhook(JiraWebhook):
    """One of an OAuth app's."""

    secret_name = CLIENT_SECRET

    def is_genuine(self, secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        return is_borne(secret, headers.get("authorization", ""))

    def sign(self, secret: str, body: bytes) -> dict[str, str]:
        return {"authorization": bearer(secret, Clock().wall_ms() + _TOKEN_MS)}


def _changes(body: _Body) -> str:
    """What happened, in words; `assignee` and `status` are what people look for."""
    items = body.changelog.items if body.changelog is not None else ()
    said = [
        f"{item.field}: {item.fromString or 'nobody'} -> {item.toString or 'nobody'}" for item in items[:_CHANGES_MAX]
    ]
    if body.comment is not None:
        said.append("a comment")
    return _one_line("; ".join(said))


def _one_line(text: str) -> str:
    return " ".join(encodable(text).split())[:_TEXT_CHARS_MAX]
