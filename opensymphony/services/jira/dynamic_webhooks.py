"""Tells a Jira site where to call us: webhooks of an OAuth app, which need no administrator and end after thirty days.

In: an address and a project. Out: what the site has for this app. Such a webhook cannot be changed, only made, renewed and
removed, and Jira takes one address for each app.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, Refused
from opensymphony.interfaces import RegisteredWebhook, Renewal
from opensymphony.services.jira.client import Answer, JiraClient, escaped
from opensymphony.services.jira.registration import EVENTS
from opensymphony.services.jira.site import SERVICE

_SOON_MS = 15 * 86_400_000
"""Half of their time."""
_PAGE_MAX, _PAGES_MAX = 100, 10
_NAME = "OAuth app"
_REMEDY = (
    "the OAuth app needs the scope manage:jira-webhook, and Jira takes one address for each app: see `webhook list`"
)


class _Hook(Struct, frozen=True, kw_only=True):
    id: int  # as Jira writes it
    url: str = ""
    events: tuple[str, ...] = ()
    jqlFilter: str = ""
    expirationDate: int | str | None = None

    @property
    def expires_ms(self) -> int | None:
        """The document has a number, its example a date."""
        if isinstance(self.expirationDate, str):
            try:
                return int(datetime.fromisoformat(self.expirationDate).timestamp() * 1000)
            except (ValueError, OverflowError):
                return None
        return self.expirationDate

    def view(self) -> RegisteredWebhook:
        return RegisteredWebhook(
            id=str(self.id),
            name=_NAME,
            url=self.url,
            events=self.events,
            condition=self.jqlFilter,
            expires_ms=self.expires_ms,
        )


class _Hooks(Struct, frozen=True, kw_only=True):
    values: tuple[_Hook, ...] = ()
    isLast: bool = True


class _Made(Struct, frozen=True, kw_only=True):
    createdWebhookId: int | None = None
    errors: tuple[str, ...] = ()


class _Results(Struct, frozen=True, kw_only=True):
    webhookRegistrationResult: tuple[_Made, ...] = ()


class DynamicRegistrar:
    """Satisfies `interfaces.Registrar`."""

    def __init__(self, client: JiraClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def close(self) -> None:
        await self._client.close()

    async def registered(self) -> tuple[RegisteredWebhook, ...]:
        return tuple(hook.view() for hook in await self._hooks())

    async def register(self, url: str) -> RegisteredWebhook:
        """One that is as it should be is renewed; others of this project with this address give way to a new one."""
        condition = f'project = "{escaped(self._client.site.project_key)}"'
        same = [one for one in await self._hooks() if (one.url, one.jqlFilter) == (url, condition)]
        good = next((one.id for one in same if set(one.events) == set(EVENTS)), None)
        if good is None:
            good = await self._make(url, condition)
        else:
            await self._refresh([good])
        if others := [one.id for one in same if one.id != good]:
            await self._call("DELETE", "", "remove webhooks", {"webhookIds": others})
        found = next((one for one in await self._hooks() if one.id == good), None)
        if found is None:
            raise BadAnswer(SERVICE, f"make a webhook: {good} is made, and not listed: look again with `webhook list`")
        return found.view()

    async def remove(self, webhook_id: str) -> bool:
        """Jira says the same for one that it never had, so it is looked for first."""
        found = next((one.id for one in await self._hooks() if str(one.id) == webhook_id), None)
        if found is None:
            return False
        await self._call("DELETE", "", "remove a webhook", {"webhookIds": [found]})
        return True

    async def renew(self, url: str) -> Renewal:
        ours = [one for one in await self._hooks() if one.url.rstrip("/") == url]
        soon_ms = self._clock.wall_ms() + _SOON_MS
        due = [one.id for one in ours if one.expires_ms is not None and one.expires_ms <= soon_ms]
        if due:
            await self._refresh(due)
            ours = [one for one in await self._hooks() if one.url.rstrip("/") == url]
        ends_ms = [one.expires_ms for one in ours if one.expires_ms is not None]
        return Renewal(found=len(ours), renewed=len(due), expires_ms=min(ends_ms, default=None))

    async def _hooks(self) -> list[_Hook]:
        found: list[_Hook] = []
        for page in range(_PAGES_MAX):
            params = {"startAt": page * _PAGE_MAX, "maxResults": _PAGE_MAX}
            hooks = (await self._call("GET", "", "list webhooks", params=params)).value(_Hooks)
            found += hooks.values
            if hooks.isLast or not hooks.values:
                break
        return found

    async def _make(self, url: str, condition: str) -> int:
        wanted = {"url": url, "webhooks": [{"events": EVENTS, "jqlFilter": condition}]}
        results = (await self._call("POST", "", "make a webhook", wanted)).value(_Results).webhookRegistrationResult
        made = results[0] if results else _Made()
        if made.createdWebhookId is None:
            said = " ".join("; ".join(made.errors).split())[:300] or "it does not say why"
            raise Refused(SERVICE, f"make a webhook: {said}: {_REMEDY}")
        return made.createdWebhookId

    async def _refresh(self, ids: list[int]) -> None:
        await self._call("PUT", "/refresh", "renew webhooks", {"webhookIds": ids})

    async def _call(
        self, method: str, path: str, name: str, body: object = None, params: dict[str, int] | None = None
    ) -> Answer:
        try:
            return await self._client.call(method, f"/webhook{path}", name=name, json=body, params=params)
        except Refused as error:
            raise Refused(SERVICE, f"{str(error).removeprefix(f'{SERVICE}: ')}: {_REMEDY}") from error
