"""Calls to a site: who we are, what is made again, and what is told when it does not work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import msgspec
import pytest

from opensymphony import http
from opensymphony.errors import BadAnswer, NotFound, RateLimited, Refused, ServiceError, Unreachable
from opensymphony.services.jira.client import AccountToken, JiraClient, decode, escaped
from opensymphony.services.jira.issues import User
from opensymphony.services.jira.limits import Limits
from opensymphony.services.jira.site import read_site
from tests.fakes.jira import AGENT, TOKEN, FakeJira
from tests.fakes.shifted_clock import Shifted
from tests.services.jira.world import policy_for


class Tokens:
    """Where the token is, which somebody may exchange."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.read = 0

    async def __call__(self) -> str:
        """The next one at each reading."""
        self.read += 1
        return self.tokens[min(self.read, len(self.tokens)) - 1]


class Waiting:
    """How long was slept; the clock goes on meanwhile."""

    def __init__(self) -> None:
        self.clock = Shifted()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.shift_ms += int(seconds * 1000) + 1


@asynccontextmanager
async def made(
    jira: FakeJira, *tokens: str, waiting: Waiting | None = None, **provider: str
) -> AsyncIterator[JiraClient]:
    waiting = waiting or Waiting()
    limits = Limits(waiting.clock, waiting.sleep)
    client = JiraClient(
        read_site(policy_for(jira, **provider)), AccountToken(Tokens(*(tokens or (TOKEN,)))), waiting.clock, limits
    )
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_AGAIN_MS", (1, 1, 1))


async def whoami(client: JiraClient) -> str:
    return (await client.call("GET", "/myself", name="read our account")).value(User).accountId


async def failure(client: JiraClient, method: str = "GET", path: str = "/myself", **more: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await client.call(method, path, name="try it", **more)
    return caught.value


async def test_a_token_is_tried_behind_the_gateway(jira: FakeJira) -> None:
    """Where the site refuses it; the cloud's id is found by itself, and what was found is used from then on."""
    jira.scoped = True
    async with made(jira) as client:
        assert await whoami(client) == AGENT
        assert client.api_url.startswith(f"{jira.base_url}/ex/jira/")
        before = len(jira.requests)
        assert await whoami(client) == AGENT
        assert len(jira.requests) == before + 1


async def test_a_token_is_read_again_when_it_is_refused(jira: FakeJira) -> None:
    """Renewed meanwhile, it works; the same one again is refused for good, in one line that says where it is from."""
    async with made(jira, "old", TOKEN) as client:
        assert await whoami(client) == AGENT
    async with made(jira, "wrong") as client:
        error = await failure(client)
        assert isinstance(error, Refused)
        assert "does not take our token" in str(error) and "check JIRA_API_TOKEN and tracker.provider.email" in str(
            error
        )
        assert "wrong" not in str(error)


async def test_a_token_without_an_address_is_a_bearer(jira: FakeJira) -> None:
    async with made(jira, email="") as client:
        assert await whoami(client) == AGENT


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (403, Refused, "our account may not do that: no way; field: bad: give it the permission"),
        (404, NotFound, "no way"),
        (409, Unreachable, "somebody changes it at the same moment"),
        (400, Refused, "400: no way; field: bad"),
        (413, Refused, "413: no way"),
        (500, Unreachable, "500: no way"),
        (302, Refused, "302"),
    ],
)
async def test_each_refusal_says_what_to_do(jira: FakeJira, status: int, kind: type, says: str) -> None:
    """One line, with Jira's own words."""
    async with made(jira) as client:
        jira.fail_next(
            "GET", "/myself", status=status, body={"errorMessages": ["no\nway"], "errors": {"field": "bad"}}, times=9
        )
        error = await failure(client)
        assert isinstance(error, kind)
        assert says in str(error)
        assert "\n" not in str(error)


async def test_a_page_in_place_of_an_answer_is_no_answer(jira: FakeJira) -> None:
    """From a proxy or a site that is down: never an empty board."""
    async with made(jira) as client:
        jira.down = True
        assert isinstance(await failure(client), Unreachable)
        jira.down = False
        jira.fail_next("GET", "/myself", status=200, body=["not", "a", "user"])
        with pytest.raises(BadAnswer, match="cannot be read as User"):
            await whoami(client)


async def test_reads_are_made_again_and_writes_are_not(jira: FakeJira) -> None:
    """Unless they were refused, or never arrived: those had no effect."""
    async with made(jira) as client:
        jira.fail_next("GET", "/myself", status=502, times=2)
        assert await whoami(client) == AGENT
        ticket = jira.create()
        body = {"body": {"type": "doc", "version": 1, "content": []}}
        jira.fail_next("POST", ".*/comment", status=500)
        assert isinstance(await failure(client, "POST", f"/issue/{ticket}/comment", json=body), Unreachable)
        assert jira.requests.count(("POST", f"/issue/{ticket}/comment")) == 1
        jira.fail_next("POST", ".*/comment", status=429, headers={"Retry-After": "1"})
        await client.call("POST", f"/issue/{ticket}/comment", name="write", json=body)
        assert jira.requests.count(("POST", f"/issue/{ticket}/comment")) == 3
        assert len(jira.issues[ticket].comments) == 1


async def test_a_pause_that_is_too_long_is_told_instead(jira: FakeJira) -> None:
    """The scheduler knows what else could be done meanwhile; a short one is waited for here."""
    waiting = Waiting()
    async with made(jira, waiting=waiting) as client:
        jira.fail_next("GET", "/myself", status=429, headers={"Retry-After": "3"})
        assert await whoami(client) == AGENT
        assert sum(waiting.slept) > 2.9
        jira.fail_next(
            "GET", "/myself", status=429, headers={"Retry-After": "600", "RateLimit-Reason": "jira-quota-global-based"}
        )
        error = await failure(client)
        assert isinstance(error, RateLimited)
        assert (error.retry_after_ms or 0) >= 600_000
        asked = len(jira.requests)
        assert isinstance(await failure(client), RateLimited), "and nobody asks until then"
        assert len(jira.requests) == asked


async def test_nobody_there(jira: FakeJira) -> None:
    async with made(jira, base_url="http://127.0.0.1:1") as client:
        assert "http://127.0.0.1:1 cannot be reached" in str(await failure(client))


async def test_an_answer_without_end_is_not_read_to_its_end(jira: FakeJira, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_BYTES_MAX", 10)
    async with made(jira) as client:
        with pytest.raises(BadAnswer, match="larger than"):
            await whoami(client)


async def test_an_answer_may_come_packed(jira: FakeJira) -> None:
    """As sites send theirs to whoever takes it."""
    jira.packs = True
    async with made(jira) as client:
        assert await whoami(client) == AGENT


async def test_calls_that_find_the_gateway_at_once_all_use_it(jira: FakeJira) -> None:
    """Whoever comes second to the discovery is not refused for that."""
    jira.scoped = True
    async with made(jira) as client, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(whoami, client)


async def test_an_odd_name_of_a_cloud_leads_nowhere(jira: FakeJira) -> None:
    """It would become a part of an address."""
    jira.scoped, jira.cloud = True, "../elsewhere"
    async with made(jira) as client:
        assert isinstance(await failure(client), Refused)
        assert client.api_url == jira.base_url


async def test_no_redirection_gets_the_token(jira: FakeJira) -> None:
    """An address that leads elsewhere is an error, not a way."""
    async with FakeJira().serving() as other:
        jira.fail_next("GET", "/myself", status=307, headers={"Location": f"{other.base_url}/rest/api/3/myself"})
        async with made(jira) as client:
            assert isinstance(await failure(client), Refused)
            assert other.requests == []


def test_texts_cannot_leave_their_quotes() -> None:
    assert escaped('a"b\\c\nd') == 'a\\"b\\\\c d'
    assert httpx.URL(f"http://x/?q={escaped('a')}")


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (rb'"a\ud83d\ude00b"', "a\U0001f600b"),
        (rb'"a\ud83db"', "a\ufffdb"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\\\\ud83d \\\\\ud83d"', "\\\\ud83d \\\\\ufffd"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\n\"\u00e4"', '\n"\xe4'),
    ],
)
def test_half_a_character_in_a_ticket_hides_no_other(wire: bytes, text: str) -> None:
    """It is replaced where it stands, and nothing else is changed."""
    assert decode(wire, str) == text


@pytest.mark.parametrize("wire", [b"", b"{", b'"\xff"', b"7"])
def test_what_is_no_json_stays_none(wire: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        decode(wire, str)
