"""A repository is told where to call us."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from opensymphony.clock import Clock
from opensymphony.errors import Refused
from opensymphony.interfaces import Registrar
from opensymphony.services import Secrets, open_code_host_registrar
from opensymphony.workflow.policy import CodeHostPolicy
from tests.fakes.bitbucket import API_TOKEN, WEBHOOK_SECRET, FakeBitbucket
from tests.services.bitbucket.world import policy_for

URL = "https://hooks.example.com/webhook/bitbucket"
SECRETS = {"bitbucket_token": API_TOKEN, "bitbucket_webhook_secret": WEBHOOK_SECRET}


async def read_secret(name: str, variable: str | None) -> str:
    return SECRETS[name]


@pytest.fixture
async def registrar(bitbucket: FakeBitbucket) -> AsyncIterator[Registrar]:
    made = open_code_host_registrar(policy_for(bitbucket), Clock(), Secrets(read=read_secret))
    assert made is not None
    yield made
    await made.close()


async def test_it_is_made_once_and_brought_up_to_date(bitbucket: FakeBitbucket, registrar: Registrar) -> None:
    """With the secret, which nobody is shown; of several with our address one stays."""
    first = await registrar.register(URL)
    assert "pullrequest:comment_created" in first.events and "repo:commit_status_updated" in first.events
    again = await registrar.register(URL)
    assert (again.id, len(bitbucket.hooks)) == (first.id, 1)
    bitbucket.hooks["{hook-7}"] = {**next(iter(bitbucket.hooks.values())), "uuid": "{hook-7}"}
    bitbucket.hooks["{hook-8}"] = {"description": "Theirs", "url": "https://other.example", "uuid": "{hook-8}"}
    await registrar.register(URL)
    assert sorted(one.name for one in await registrar.registered()) == ["OpenSymphony", "Theirs"]
    assert {hook.get("secret") for hook in bitbucket.hooks.values()} == {WEBHOOK_SECRET, None}
    assert not any(WEBHOOK_SECRET in str(one) for one in await registrar.registered())


async def test_it_is_removed(bitbucket: FakeBitbucket, registrar: Registrar) -> None:
    made = await registrar.register(URL)
    assert await registrar.remove(made.id)
    assert not await registrar.remove(made.id)
    assert not await registrar.remove("../pullrequests")
    assert await registrar.registered() == ()
    assert await registrar.renew(URL) is None


async def test_without_the_permission_it_says_what_to_do(bitbucket: FakeBitbucket, registrar: Registrar) -> None:
    """By hand it can be done all the same."""
    bitbucket.missing_scopes.add("webhook")
    with pytest.raises(Refused, match=r"needs the scope webhook.*register the address by hand"):
        await registrar.register(URL)


async def test_a_secret_that_bitbucket_does_not_take_is_told_before(
    bitbucket: FakeBitbucket, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is asked."""
    monkeypatch.setitem(SECRETS, "bitbucket_webhook_secret", "x" * 129)
    with pytest.raises(Refused, match="more than 128 characters"):
        await registrar.register(URL)
    assert bitbucket.requests == []


def test_other_hosts_have_none() -> None:
    assert open_code_host_registrar(CodeHostPolicy(kind="svn"), Clock(), Secrets(read=read_secret)) is None
