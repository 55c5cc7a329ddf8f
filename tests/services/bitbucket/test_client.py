"""Calls to Bitbucket: who we say we are, where we go, and what its errors become."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, NotFound, RateLimited, Refused, Unreachable
from opensymphony.services.bitbucket.client import BitbucketClient, is_below, quoted
from opensymphony.services.bitbucket.repository import Repository, read_repository
from tests.fakes.bitbucket import ACCESS_TOKEN, API_TOKEN, EMAIL, FakeBitbucket
from tests.services.bitbucket.world import BitbucketWorld, policy_for


class Anything(Struct):
    id: int = 0


def client_for(bitbucket: FakeBitbucket, *tokens: str, email: str | None = EMAIL) -> BitbucketClient:
    left = list(tokens)

    async def read() -> str:
        return left.pop(0) if len(left) > 1 else left[0]

    repository: Repository = read_repository(policy_for(bitbucket, email=email))
    return BitbucketClient(repository, read, Clock())


@pytest.mark.parametrize(("token", "email"), [(API_TOKEN, EMAIL), (ACCESS_TOKEN, None)])
async def test_both_kinds_of_token_sign_in(bitbucket: FakeBitbucket, token: str, email: str | None) -> None:
    """An API token with its account's address, an access token alone."""
    client = client_for(bitbucket, token, email=email)
    assert await client.listed("/pullrequests", Anything, name="list") == []
    await client.close()


async def test_a_renewed_token_is_taken_up(bitbucket: FakeBitbucket) -> None:
    """One that was refused is read again, once."""
    client = client_for(bitbucket, "expired", API_TOKEN)
    assert await client.listed("/pullrequests", Anything, name="list") == []
    assert len(bitbucket.requests) == 2
    await client.close()


async def test_a_wrong_token_is_for_a_person(bitbucket: FakeBitbucket) -> None:
    """One line with the host's words and where the token is; the token itself is not in it."""
    client = client_for(bitbucket, "wrong-canary")
    with pytest.raises(Refused) as caught:
        await client.listed("/pullrequests", Anything, name="list pull requests")
    said = str(caught.value)
    assert said.startswith("bitbucket: list pull requests: http://127.0.0.1")
    assert said.endswith("check BITBUCKET_TOKEN and code_host.provider.email")
    assert "\n" not in said and "canary" not in said and "wrong" not in said
    assert base64.b64encode(b"wrong-canary").decode() not in said
    await client.close()


async def test_a_missing_scope_is_named(bitbucket: FakeBitbucket) -> None:
    """As the host names it."""
    bitbucket.missing_scopes = {"pullrequest"}
    client = client_for(bitbucket, API_TOKEN)
    with pytest.raises(Refused, match=r"it needs the scope pullrequest: give it the permission"):
        await client.listed("/pullrequests", Anything, name="list")
    await client.close()


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (400, {"type": "error", "error": {"message": "Bad request", "fields": {"title": ["required"]}}}, Refused, "title"),
        (404, {"type": "error", "error": {"message": "Not found", "detail": "no repository"}}, NotFound, "no repository"),
        (409, {"type": "error", "error": {"message": "Busy"}}, Unreachable, "at the same moment: Busy"),
        (418, ["?"], Refused, "status 418"),
        (302, {}, Refused, "302"),
    ],
)  # fmt: skip
async def test_errors_become_one_line(
    bitbucket: FakeBitbucket, status: int, body: Any, error: type[Exception], says: str
) -> None:
    """In the host's own words, or by the status where there are none."""
    bitbucket.fail_next("POST", "/pullrequests", status=status, body=body)
    client = client_for(bitbucket, API_TOKEN)
    with pytest.raises(error, match=says) as caught:
        await client.call("POST", "/pullrequests", name="open", json={"title": "x"})
    assert "\n" not in str(caught.value)
    await client.close()


async def test_a_long_pause_is_told(bitbucket: FakeBitbucket) -> None:
    """429 with `Retry-After`."""
    bitbucket.fail_next("GET", "/pullrequests", status=429, headers={"Retry-After": "600"})
    client = client_for(bitbucket, API_TOKEN)
    with pytest.raises(RateLimited) as caught:
        await client.listed("/pullrequests", Anything, name="list")
    assert caught.value.retry_after_ms is not None and caught.value.retry_after_ms > 590_000
    assert client.limits.usage.refused == 1
    await client.close()


@pytest.mark.parametrize("leads_to", ["http://attacker.example/2.0/repositories/acme/app", "http://127.0.0.1:1/2.0/x"])
async def test_a_next_page_elsewhere_is_not_read(bitbucket: FakeBitbucket, leads_to: str) -> None:
    """The token would go along."""
    page = {"values": [], "next": leads_to}
    bitbucket.fail_next("GET", "/pullrequests", status=200, body=page)
    client = client_for(bitbucket, API_TOKEN)
    with pytest.raises(BadAnswer, match="leads away from"):
        await client.listed("/pullrequests", Anything, name="list")
    await client.close()


@pytest.mark.parametrize(
    ("url", "below"),
    [
        ("https://api.bitbucket.org/2.0/repositories/a/b?page=2", True),
        ("https://api.bitbucket.org:443x/2.0/repositories", False),
        ("https://api.bitbucket.org/2.0/../1.0/x", False),
        ("https://api.bitbucket.org/2.0/%2e%2e/x", False),
        ("https://api.bitbucket.org/2.0evil/x", False),
        ("http://api.bitbucket.org/2.0/x", False),
        ("https://api.bitbucket.org.evil.example/2.0/x", False),
        ("https://u@api.bitbucket.org/2.0/x", False),
        ("https://[bad/2.0/x", False),
    ],
)
def test_only_the_apis_own_addresses_are_below_it(url: str, below: bool) -> None:
    """Scheme, host, port and path."""
    assert is_below(url, "https://api.bitbucket.org/2.0") is below


async def test_a_list_without_end_ends(world: BitbucketWorld) -> None:
    """A page that names itself as the next is read so often and no more."""
    bitbucket = world.bitbucket
    page = {"values": [{"id": 1}], "next": f"{bitbucket.api_url}{bitbucket.path}/pullrequests"}
    bitbucket.fail_next("GET", "/pullrequests", status=200, body=page, times=1_000)
    client = client_for(bitbucket, API_TOKEN)
    assert len(await client.listed("/pullrequests", Anything, name="list", pages_max=5)) == 5
    assert len(bitbucket.requests) == 5
    await client.close()


def test_a_text_in_a_condition_stays_a_text() -> None:
    """Quotes and backslashes are escaped, lines are not broken."""
    assert quoted('a"b\\c\nd') == json.dumps('a"b\\c d')
