"""Tells a Jira site where to call us: webhooks of an administrator's, which have a secret and do not expire.

In: an address, the secret and a project. Out: what the site has. This interface of Jira is older than its REST API and stands
in no document of Atlassian's; it needs the permission Administer Jira.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from msgspec import Struct, field

from opensymphony.errors import NotFound, Refused
from opensymphony.interfaces import RegisteredWebhook
from opensymphony.services.jira.client import Answer, JiraClient, escaped
from opensymphony.services.jira.site import SERVICE

EVENTS = ("jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created")
NAME = "OpenSymphony"
_ROOT = "/rest/webhooks/1.0"
_FILTER = "issue-related-events-section"
_REMEDY = "it needs the permission Administer Jira; without it, register the address by hand in Jira's administration"


class _Hook(Struct, frozen=True, kw_only=True):
    name: str = ""
    url: str = ""
    enabled: bool = True
    events: tuple[str, ...] = ()
    filters: dict[str, str] = {}
    address: str = field(name="self", default="")

    def view(self) -> RegisteredWebhook:
        return RegisteredWebhook(
            id=urlsplit(self.address).path.rpartition("/")[2],
            name=self.name,
            url=self.url,
            events=self.events,
            condition=self.filters.get(_FILTER, ""),
            enabled=self.enabled,
        )


class JiraRegistrar:
    """Satisfies `interfaces.Registrar`."""

    def __init__(self, client: JiraClient, read_secret: Callable[[], Awaitable[str]]) -> None:
        self._client = client
        self._read_secret = read_secret

    async def close(self) -> None:
        await self._client.close()

    async def registered(self) -> tuple[RegisteredWebhook, ...]:
        answer = await self._call("GET", "/webhook", "list webhooks")
        return tuple(hook.view() for hook in answer.value(tuple[_Hook, ...]))

    async def register(self, url: str) -> RegisteredWebhook:
        """The secret can be told to the site, and never asked for: one that is there is told it anew."""
        body = {
            "name": NAME,
            "url": url,
            "events": EVENTS,
            "filters": {_FILTER: f'project = "{escaped(self._client.site.project_key)}"'},
            "excludeBody": False,
            "secret": await self._read_secret(),
        }
        same = [one for one in await self.registered() if one.url == url]
        for other in same[1:]:
            await self.remove(other.id)
        if same:
            answer = await self._call("PUT", f"/webhook/{same[0].id}", "change a webhook", body)
        else:
            answer = await self._call("POST", "/webhook", "make a webhook", body)
        return answer.value(_Hook).view()

    async def remove(self, webhook_id: str) -> bool:
        try:
            await self._call("DELETE", f"/webhook/{webhook_id}", "remove a webhook")
        except NotFound:
            return False
        return True

    async def renew(self, url: str) -> None:
        """They do not end."""

    async def _call(self, method: str, path: str, name: str, body: object = None) -> Answer:
        try:
            return await self._client.call(method, path, name=name, json=body, root=_ROOT)
        except NotFound:
            if method in ("DELETE", "PUT"):
                raise
            raise Refused(SERVICE, f"{name}: {self._client.api_url} has no such interface: {_REMEDY}") from None
        except Refused as error:
            raise Refused(SERVICE, f"{str(error).removeprefix(f'{SERVICE}: ')}: {_REMEDY}") from error
