"""A site is told where to call us."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from opensymphony.clock import Clock
from opensymphony.errors import Refused
from opensymphony.interfaces import Registrar
from opensymphony.services import Secrets, open_registrar
from opensymphony.workflow.policy import TrackerPolicy
from tests.fakes.jira import TOKEN, WEBHOOK_SECRET, FakeJira
from tests.services.jira.world import policy_for

URL = "https://hooks.example.com/webhook/jira"


async def read_secret(name: str, variable: str | None) -> str:
    return {"jira_api_token": TOKEN, "jira_webhook_secret": WEBHOOK_SECRET}[name]


SECRETS = Secrets(read=read_secret)


@pytest.fixture
async def registrar(jira: FakeJira) -> AsyncIterator[Registrar]:
    made = open_registrar(policy_for(jira), Clock(), SECRETS)
    assert made is not None
    yield made
    await made.close()


async def test_it_is_made_once_and_brought_up_to_date(jira: FakeJira, registrar: Registrar) -> None:
    """With the secret, which nobody is shown; of several with our address one stays."""
    first = await registrar.register(URL)
    assert first.condition == 'project = "PROJ"'
    assert "jira:issue_updated" in first.events and "comment_created" in first.events
    again = await registrar.register(URL)
    assert (again.id, len(jira.hooks)) == (first.id, 1)
    jira.hooks["7"] = {**jira.hooks[first.id], "self": f"{jira.base_url}/rest/webhooks/1.0/webhook/7"}
    jira.hooks["8"] = {
        "name": "Theirs",
        "url": "https://other.example",
        "self": f"{jira.base_url}/rest/webhooks/1.0/webhook/8",
    }
    await registrar.register(URL)
    assert sorted(one.name for one in await registrar.registered()) == ["OpenSymphony", "Theirs"]
    assert {hook.get("secret") for hook in jira.hooks.values()} == {WEBHOOK_SECRET, None}
    assert not any(WEBHOOK_SECRET in str(one) for one in await registrar.registered())


async def test_it_is_removed(jira: FakeJira, registrar: Registrar) -> None:
    made = await registrar.register(URL)
    assert await registrar.remove(made.id)
    assert not await registrar.remove(made.id)
    assert await registrar.registered() == ()


async def test_without_the_permission_it_says_what_to_do(jira: FakeJira, registrar: Registrar) -> None:
    """By hand it can be done all the same."""
    jira.denied.add("ADMINISTER")
    with pytest.raises(Refused, match="the permission Administer Jira; without it, register the address by hand"):
        await registrar.register(URL)


async def test_they_do_not_end(registrar: Registrar) -> None:
    """So there is nothing to renew."""
    assert await registrar.renew((await registrar.register(URL)).url) is None


def test_other_trackers_have_none() -> None:
    assert open_registrar(TrackerPolicy(kind="files"), Clock(), SECRETS) is None
