"""Calls over HTTP: what is tried again and what never, how long pauses are waited for, and what is never read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import anyio
import pytest
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request as Incoming
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from opensymphony import http
from opensymphony.api.server import serve_app
from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, RateLimited, Refused, Unreachable
from opensymphony.http import Answer, HttpClient, Limits, Request, Token, ask_once, decode, retry_after_ms


class Service:
    """Answers what it was told to, one after the other; the last again and again."""

    def __init__(self) -> None:
        self.answers: list[Callable[[], Response]] = []
        self.heard: list[Incoming] = []
        self.url = ""

    async def handle(self, request: Incoming) -> Response:
        self.heard.append(request)
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()


class Cut(Response):
    """The connection ends without an answer."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        raise OSError("cut")


def gives(status: int, body: bytes = b"{}", **headers: str) -> Callable[[], Response]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: Response(body, status_code=status, headers=named)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    app = Starlette(routes=[Route("/{path:path}", made.handle, methods=["GET", "POST"])])
    async with anyio.create_task_group() as tasks:
        made.url = f"http://127.0.0.1:{await tasks.start(partial(serve_app, app, '127.0.0.1', 0))}"
        yield made
        tasks.cancel_scope.cancel()


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpClient]:
    monkeypatch.setattr(http, "_AGAIN_MS", (1,))
    monkeypatch.setattr(http, "_PAUSE_MS", (1,))
    token = Token(tokens("old", "new", "new"))

    async def renew(refused: str, at: str) -> bool:
        return await token.renewed(refused)

    def explain(answer: Answer, name: str) -> Refused:
        return Refused("it", f"{name}: {answer.status}")

    limits = Limits("it", Clock())
    made = HttpClient("it", Clock(), limits, authorize=token.get, renew=renew, explain=explain)
    yield made
    await made.close()


def tokens(*values: str) -> Callable[[], object]:
    """Reads one after the other."""
    left = list(values)

    async def read() -> str:
        return left.pop(0) if len(left) > 1 else left[0]

    return read


def request(service: Service, method: str = "GET", **fields: object) -> Request:
    return Request(
        method=method, url=lambda: f"{service.url}/x", name="look", **{"repeatable": method != "POST", **fields}
    )


async def test_an_answer_is_told_with_its_value(service: Service, client: HttpClient) -> None:
    """What cannot be read as what was asked for is a bad answer of one line."""

    class Value(Struct):
        a: int

    service.answers = [gives(200, b'{"a": 1}'), gives(200, b'{"a": "x"}')]
    assert (await client.call(request(service))).value(Value) == Value(1)
    with pytest.raises(BadAnswer, match="cannot be read as Value"):
        (await client.call(request(service))).value(Value)


async def test_a_lost_answer_is_tried_again_where_that_is_harmless(service: Service, client: HttpClient) -> None:
    """A POST is not: nobody knows whether it was done."""
    service.answers = [Cut, gives(500), gives(200)]
    assert (await client.call(request(service))).status == 200
    assert len(service.heard) == 3
    service.answers = [Cut, gives(200)]
    with pytest.raises(Unreachable, match="look: http://127"):
        await client.call(request(service, "POST"))
    assert len(service.heard) == 4


async def test_what_was_too_early_is_made_again(service: Service, client: HttpClient) -> None:
    """Also a POST: it had no effect. A long pause is told instead of being waited for, and holds for every call."""
    service.answers = [gives(429), gives(200)]
    assert (await client.call(request(service, "POST"))).status == 200
    service.answers = [gives(429, Retry_After="3600")]
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            await client.call(request(service))
        assert caught.value.retry_after_ms is not None and caught.value.retry_after_ms > 3_590_000
    assert len(service.heard) == 3


async def test_a_refused_token_is_read_again_once(service: Service, client: HttpClient) -> None:
    """With another one the call is made again; the same one is refused for good."""
    service.answers = [gives(401), gives(200)]
    assert (await client.call(request(service))).status == 200
    assert [one.headers["authorization"] for one in service.heard] == ["old", "new"]
    service.answers = [gives(401)]
    with pytest.raises(Refused, match="look: 401"):
        await client.call(request(service))
    assert len(service.heard) == 3


async def test_an_unsigned_call_says_nothing_of_us(service: Service, client: HttpClient) -> None:
    """Not even after a refusal."""
    service.answers = [gives(200)]
    await client.call(request(service, is_signed=False))
    assert "authorization" not in service.heard[0].headers


async def test_a_redirect_is_not_followed(service: Service, client: HttpClient) -> None:
    """Where it leads is the adapter's to judge: the token would go along."""
    service.answers = [gives(302, Location="http://elsewhere.example/")]
    assert (await client.call(request(service, expected=(302,)))).headers["location"] == "http://elsewhere.example/"
    with pytest.raises(Refused):
        await client.call(request(service))
    assert len(service.heard) == 2


async def test_a_body_without_end_is_not_read_to_its_end(
    service: Service, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit it is a bad answer; of one that is only wanted for its end, the end so far is kept."""
    monkeypatch.setattr(http, "ANSWER_BYTES_MAX", 100_000)

    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"0123456789" * 1_000
            await anyio.sleep(0.001)

    service.answers = [lambda: StreamingResponse(parts())]
    with pytest.raises(BadAnswer, match="larger than"):
        await client.call(request(service))
    assert (await client.call(request(service, tail_bytes=15))).body == b"567890123456789"


async def test_the_end_of_a_body_is_its_end(service: Service, client: HttpClient) -> None:
    service.answers = [gives(200, b"abcdefgh"), gives(200, b"ab")]
    assert (await client.call(request(service, tail_bytes=3))).body == b"fgh"
    assert (await client.call(request(service, tail_bytes=3))).body == b"ab"


async def test_a_small_question_is_asked_once(service: Service) -> None:
    """Without saying who we are, whatever the status; an answer that is not small is none."""
    service.answers = [gives(503, b"busy"), gives(200, b"x" * 70_000), Cut]
    answer = await ask_once("it", "POST", f"{service.url}/token", name="ask", json={"a": 1})
    assert (answer.status, answer.body, len(service.heard)) == (503, b"busy", 1)
    assert "authorization" not in service.heard[0].headers
    with pytest.raises(BadAnswer, match="ask: the answer is larger than"):
        await ask_once("it", "GET", service.url, name="ask")
    with pytest.raises(Unreachable, match=r"ask: http://127.*cannot be reached"):
        await ask_once("it", "GET", service.url, name="ask")


async def test_near_a_limit_calls_keep_a_distance() -> None:
    """What is left then is for people."""
    slept: list[float] = []

    class Standing(Clock):
        at_ms = 1_000_000

        def now_ms(self) -> int:
            return self.at_ms

    clock = Standing()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.at_ms += int(seconds * 1000)

    limits = Limits("it", clock, sleep)
    await limits.turn("look", None, patience_ms=20_000)
    limits.heard({"X-RateLimit-NearLimit": "true", "X-RateLimit-Remaining": "12"})
    await limits.turn("look", None, patience_ms=20_000)
    assert slept == [1.0]
    assert (limits.usage.requests, limits.usage.remaining) == (2, 12)
    assert await limits.turn("look", None, patience_ms=10) == 1_000


async def test_two_refusals_of_one_token_read_it_once() -> None:
    """Who comes second goes on with what the first has read."""
    token = Token(tokens("old", "new", "newer"))
    assert await token.get() == "old"
    assert await token.renewed("old") and await token.renewed("old")
    assert await token.get() == "new"


@pytest.mark.parametrize(
    ("text", "ms"), [("3", 3_000), ("0.5", 500), ("-1", 0), ("soon", None), ("", None), ("1e400", None)]
)
def test_a_pause_is_read_or_not_there(text: str, ms: int | None) -> None:
    """Whatever stands in the header, it is a number of milliseconds or nothing."""
    assert retry_after_ms({"Retry-After": text}) == ms


def test_halves_of_characters_do_not_spoil_an_answer() -> None:
    """A pair is a character, a lone half a mark."""
    assert decode(rb'["\ud83d\ude00 \ud83d \\ud83d"]', list[str]) == ["\U0001f600 \N{REPLACEMENT CHARACTER} \\ud83d"]
