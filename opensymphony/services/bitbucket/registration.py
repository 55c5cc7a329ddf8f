"""Tells a repository on Bitbucket where to call us: webhooks of the repository, which have a secret.

In: an address and the secret. Out: what the repository has. It needs the scope `webhook`, from an administrator of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from opensymphony.errors import NotFound, Refused
from opensymphony.http import Answer
from opensymphony.interfaces import RegisteredWebhook, Renewal
from opensymphony.services.bitbucket.client import BitbucketClient
from opensymphony.services.bitbucket.repository import SERVICE
from opensymphony.services.bitbucket.webhook import EVENTS

NAME = "OpenSymphony"
_SECRET_CHARS_MAX = 128
_REMEDY = "it needs the scope webhook and an administrator of the repository; without, register the address by hand"


class _Hook(Struct, frozen=True, kw_only=True):
    uuid: str = ""
    url: str = ""
    description: str | None = None
    active: bool = True
    events: tuple[str, ...] = ()

    def view(self) -> RegisteredWebhook:
        return RegisteredWebhook(
            id=self.uuid.strip("{}"),
            name=self.description or "",
            url=self.url,
            events=self.events,
            enabled=self.active,
        )


class BitbucketRegistrar:
    """Satisfies `interfaces.Registrar`."""

    def __init__(self, client: BitbucketClient, read_secret: Callable[[], Awaitable[str]]) -> None:
        self._client = client
        self._read_secret = read_secret

    async def close(self) -> None:
        await self._client.close()

    async def registered(self) -> tuple[RegisteredWebhook, ...]:
        try:
            listed = await self._client.listed("/hooks", _Hook, name="list webhooks")
        except Refused as error:
            raise _refused(error) from error
        return tuple(hook.view() for hook in listed)

    async def register(self, url: str) -> RegisteredWebhook:
        """The secret can be told to Bitbucket, and never asked for: one that is there is told it anew."""
        secret = await self._read_secret()
        if len(secret) > _SECRET_CHARS_MAX:
            raise Refused(
                SERVICE, f"the webhook's secret has more than {_SECRET_CHARS_MAX} characters: take a shorter one"
            )
        body = {"description": NAME, "url": url, "active": True, "secret": secret, "events": EVENTS}
        same = [one for one in await self.registered() if one.url == url]
        for other in same[1:]:
            await self.remove(other.id)
        if same:
            answer = await self._call("PUT", f"/hooks/{_path(same[0].id)}", "change a webhook", body)
        else:
            answer = await self._call("POST", "/hooks", "make a webhook", body)
        return answer.value(_Hook).view()

    async def remove(self, webhook_id: str) -> bool:
        try:
            await self._call("DELETE", f"/hooks/{_path(webhook_id)}", "remove a webhook")
        except NotFound:
            return False
        return True

    async def renew(self, url: str) -> Renewal | None:
        """They do not end."""
        return None

    async def _call(self, method: str, path: str, name: str, body: object = None) -> Answer:
        try:
            return await self._client.call(method, path, name=name, json=body)
        except Refused as error:
            raise _refused(error) from error


def _path(webhook_id: str) -> str:
    """As part of an address: an id is letters, digits and dashes, in braces."""
    plain = "".join(char for char in webhook_id if char.isascii() and (char.isalnum() or char == "-"))
    return f"%7B{plain}%7D"


def _refused(error: Refused) -> Refused:
    return Refused(SERVICE, f"{str(error).removeprefix(f'{SERVICE}: ')}: {_REMEDY}")
