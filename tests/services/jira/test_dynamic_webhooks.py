"""A site is told by an app where to call us."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opensymphony.clock import Clock
from opensymphony.errors import Refused
from opensymphony.interfaces import Registrar
from opensymphony.services import Secrets, open_registrar
from opensymphony.services.jira.dynamic_webhooks import DynamicRegistrar
from tests.fakes.jira import HOOK_MS, FakeJira
from tests.fakes.jira_oauth import CLIENT_SECRET
from tests.services.jira.world import oauth_policy_for

URL = "https://hooks.example.com/webhook/jira"
DAY_MS = 86_400_000


@pytest.fixture
async def registrar(jira: FakeJira, tmp_path: Path) -> AsyncIterator[Registrar]:
    async def read(name: str, variable: str | None) -> str:
        assert name == "jira_oauth_client_secret", "no other secret is needed"
        return CLIENT_SECRET

    made = open_registrar(oauth_policy_for(jira), Clock(), Secrets(read=read, directory=tmp_path))
    assert isinstance(made, DynamicRegistrar)
    yield made
    await made.close()


def changed(jira: FakeJira) -> list[str]:
    """What was changed, in order."""
    return [f"{method} {path}" for method, path in jira.requests if path.startswith("/webhook") and method != "GET"]


async def test_it_is_made_once_and_then_holds_for_longer(jira: FakeJira, registrar: Registrar) -> None:
    """For thirty days from now, each time."""
    first = await registrar.register(URL)
    assert (first.condition, first.url) == ('project = "PROJ"', URL)
    assert "jira:issue_updated" in first.events and "comment_created" in first.events
    assert abs((first.expires_ms or 0) - time.time() * 1000 - HOOK_MS) < DAY_MS
    jira.shift_ms = 10 * DAY_MS
    again = await registrar.register(URL)
    assert (again.id, len(jira.app_hooks)) == (first.id, 1)
    assert (again.expires_ms or 0) - (first.expires_ms or 0) >= 10 * DAY_MS
    assert changed(jira) == ["POST /webhook", "PUT /webhook/refresh"]


async def test_one_that_is_otherwise_gives_way(jira: FakeJira, registrar: Registrar) -> None:
    """It cannot be changed: a new one is there before it goes. What is for another project is left alone."""
    made = await registrar.register(URL)
    hook = jira.app_hooks.pop(int(made.id))
    jira.app_hooks[1] = {**hook, "id": 1, "events": ["jira:issue_created"]}
    jira.app_hooks[2] = {**hook, "id": 2, "jqlFilter": 'project = "OTHER"'}
    jira.requests.clear()
    fresh = await registrar.register(URL)
    assert sorted(jira.app_hooks) == [2, int(fresh.id)]
    assert changed(jira) == ["POST /webhook", "DELETE /webhook"]
    jira.app_hooks[3] = {**jira.app_hooks[int(fresh.id)], "id": 3}
    assert (await registrar.register(URL)).id == fresh.id
    assert sorted(jira.app_hooks) == [2, int(fresh.id)], "of two that are the same one stays"


async def test_it_is_removed(jira: FakeJira, registrar: Registrar) -> None:
    """Jira would say the same for one that is not there."""
    made = await registrar.register(URL)
    assert not await registrar.remove("7")
    assert not await registrar.remove("abc")
    assert await registrar.remove(made.id)
    assert not await registrar.remove(made.id)
    assert await registrar.registered() == ()


async def test_those_that_end_soon_are_renewed(jira: FakeJira, registrar: Registrar) -> None:
    """Of our address only, and only in the second half of their time."""
    assert (await registrar.renew(URL)).found == 0  # type: ignore[union-attr]
    made = int((await registrar.register(URL)).id)
    hook = jira.app_hooks[made]
    jira.app_hooks[1] = {**hook, "id": 1, "url": "https://other.example/webhook/jira", "expirationDate": 5}
    jira.requests.clear()
    hook["expirationDate"] = int(time.time() * 1000) + 16 * DAY_MS
    found = await registrar.renew(URL)
    assert found is not None
    assert (found.found, found.renewed, found.expires_ms) == (1, 0, hook["expirationDate"])
    assert changed(jira) == []
    hook["expirationDate"] = int(time.time() * 1000) + 14 * DAY_MS
    found = await registrar.renew(URL)
    assert found is not None
    assert (found.found, found.renewed, found.expires_ms) == (1, 1, jira.app_hooks[made]["expirationDate"])
    assert hook["expirationDate"] > time.time() * 1000 + 29 * DAY_MS
    assert jira.app_hooks[1]["expirationDate"] == 5


async def test_many_come_in_pages(jira: FakeJira, registrar: Registrar) -> None:
    hook = {"url": URL, "events": ["comment_created"], "jqlFilter": 'project = "PROJ"', "expirationDate": 5}
    jira.app_hooks = {number: {"id": number, **hook} for number in range(1, 251)}
    assert len(await registrar.registered()) == 250
    assert [path for _, path in jira.requests].count("/webhook") == 3


async def test_a_date_may_come_in_words(jira: FakeJira, registrar: Registrar) -> None:
    """As in the example of Atlassian's document, whose schema has a number; what is neither is no date."""
    hook = {"id": 1, "url": URL, "events": [], "jqlFilter": "x", "expirationDate": "2019-06-01T12:42:30.000+0000"}
    for date, expires_ms in (("2019-06-01T12:42:30.000+0000", 1_559_392_950_000), ("soon", None)):
        body = {"values": [{**hook, "expirationDate": date}], "isLast": True}
        jira.fail_next("GET", "/webhook", status=200, body=body)
        assert [one.expires_ms for one in await registrar.registered()] == [expires_ms]


async def test_what_is_refused_says_what_to_do(jira: FakeJira, registrar: Registrar) -> None:
    """Another address of the same app, a project that Jira does not take, a scope that is missing."""
    await registrar.register(URL)
    with pytest.raises(Refused, match=r"Only a single URL per app .* one address for each app: see `webhook list`"):
        await registrar.register("https://another.example/webhook/jira")
    jira.fail_next(
        "POST", "/webhook", status=200, body={"webhookRegistrationResult": [{"errors": ["no such\nproject"]}]}
    )
    jira.app_hooks.clear()
    with pytest.raises(Refused, match="make a webhook: no such project: the OAuth app needs the scope"):
        await registrar.register(URL)
    jira.denied.add("manage:jira-webhook")
    with pytest.raises(Refused, match="the scope manage:jira-webhook"):
        await registrar.registered()
