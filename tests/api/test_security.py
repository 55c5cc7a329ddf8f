"""What the operator's listener gives away to those who may not ask, and what it bears: against a real one on loopback.

Every text of the desk's tickets and deliveries holds a word that no refused answer may contain.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import pytest
from msgspec import Struct, structs

from opensymphony.api import bodies, server
from opensymphony.api.events import Feed
from opensymphony.api.operations import OPERATIONS, Operation
from opensymphony.api.routes import RESERVED, build_app
from opensymphony.api.server import serve_app
from opensymphony.views import DeliveryList, DeliveryView, Snapshot
from tests.api.desk import DELIVERIES, SNAPSHOT, TOKEN, Desk, Tray, explained, shown

CANARY = "canary-2b7e"
HOSTILE = f"<script>{CANARY}</script>\x1b]0;{CANARY}\x07\x1b[31m\u202e\x9b2J\x00"
GOOD = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
GUARDED = [one for one in OPERATIONS if not one.open]


class CanaryTray(Tray):
    """Deliveries that give themselves away."""

    async def listed(self, *, before: int | None = None) -> DeliveryList:
        return DeliveryList(deliveries=tuple(structs.replace(one, detail=HOSTILE) for one in DELIVERIES))

    async def shown(self, number: int) -> tuple[DeliveryView, bytes] | None:
        found = await super().shown(number)
        return found and (found[0], json.dumps(HOSTILE).encode())


def canaries() -> Desk:
    desk = Desk()
    views = tuple(structs.replace(view, title=HOSTILE, activity=HOSTILE, error=HOSTILE) for view in SNAPSHOT.tickets)
    desk.picture = structs.replace(SNAPSHOT, tickets=views, poll_error=HOSTILE, instance=CANARY, problems=(HOSTILE,))
    desk.known = {view.identifier: structs.replace(explained(view), history=(HOSTILE,)) for view in views}
    desk.reason = None
    desk.ingress = CanaryTray()
    return desk


class Answer(Struct, frozen=True):
    """What came back, as it came."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def code(self) -> str:
        return json.loads(self.body)["error"]["code"]


class House:
    """A desk behind a real listener."""

    def __init__(self, desk: Desk, port: int) -> None:
        self.desk = desk
        self.port = port

    async def raw(self, sent: bytes, *, patience_s: float = 5) -> bytes:
        """Everything that comes back until the connection ends, or nothing comes any more."""
        answer = b""
        async with await anyio.connect_tcp("127.0.0.1", self.port) as stream, anyio.create_task_group() as tasks:

            async def send() -> None:
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it may have heard enough
                    await stream.send(sent)

            tasks.start_soon(send)
            with anyio.move_on_after(patience_s):
                try:
                    while True:
                        answer += await stream.receive()
                        if whole(answer):
                            break
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    pass
            tasks.cancel_scope.cancel()
        return answer

    async def ask(self, method: str, path: str, headers: str = GOOD, body: bytes = b"") -> Answer:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\n{headers}{length}\r\n".encode("latin-1")
        return read(await self.raw(head + body))


def whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
    return length is not None and len(body) >= int(length.partition(b":")[2])


def read(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(status=int(first.split()[1]), headers=headers, body=body, raw=raw)


@asynccontextmanager
async def listening(desk: Desk) -> AsyncIterator[House]:
    feed = Feed(desk)
    async with anyio.create_task_group() as tasks:
        serve = partial(serve_app, closing=feed.close)
        port: int = await tasks.start(serve, build_app(desk, TOKEN, feed), "127.0.0.1", 0)
        yield House(desk, port)
        tasks.cancel_scope.cancel()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with listening(canaries()) as made:
        yield made


def path_of(operation: Operation) -> str:
    values = {"identifier": "A-1", "number": "1", "name": "x"}
    values["action"] = "pause"
    return operation.path.format(**values)


def untouched(desk: Desk) -> bool:
    tray = desk.ingress
    return (desk.refreshed, desk.shut_down, desk.asked, desk.looks, tray and tray.replayed) == (0, 0, [], 0, [])


NOT_THE_TOKEN = {
    "none": "",
    "wrong": "Authorization: Bearer wrong\r\n",
    "another daemon's": f"Authorization: Bearer {'x' * 43}\r\n",
    "other case": f"Authorization: Bearer {TOKEN.upper()}\r\n",
    "blank inside": "Authorization: Bearer the -token\r\n",
    "two blanks": f"Authorization: Bearer  {TOKEN}\r\n",
    "half": f"Authorization: Bearer {TOKEN[:-1]}\r\n",
    "more": f"Authorization: Bearer {TOKEN}{TOKEN}\r\n",
    "basic": "Authorization: Basic dGhlLXRva2Vu\r\n",
    "bare": f"Authorization: {TOKEN}\r\n",
    "cookie": f"Cookie: token={TOKEN}\r\n",
    "other header": f"X-Authorization: Bearer {TOKEN}\r\n",
    "odd bytes": "Authorization: Bearer \xff\xfe\r\n",
    "the wrong one first": f"Authorization: Bearer wrong\r\nAuthorization: Bearer {TOKEN}\r\n",
}


@pytest.mark.parametrize("operation", GUARDED, ids=lambda one: one.id)
async def test_without_the_token_nothing_is_told_or_done(operation: Operation, house: House) -> None:
    """Whatever looks like it; also not in the query."""
    path = path_of(operation)
    for name, given in NOT_THE_TOKEN.items():
        answer = await house.ask(operation.method, path, f"Host: 127.0.0.1\r\n{given}")
        assert (answer.status, answer.code) == (401, "unauthorized"), name
        assert CANARY.encode() not in answer.raw
    answer = await house.ask(operation.method, f"{path}?token={TOKEN}&access_token={TOKEN}", "Host: 127.0.0.1\r\n")
    assert answer.status == 401
    assert untouched(house.desk)


HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "0.0.0.0",
    "169.254.169.254",
    "[",
    "[::1",
    "a b",
]


@pytest.mark.parametrize("host", HOSTS)
async def test_under_a_foreign_name_nothing_is_answered(host: str, house: House) -> None:
    """A page whose name was made to resolve to us (DNS rebinding) learns nothing, not even that the daemon lives."""
    headers = GOOD.replace("Host: 127.0.0.1", f"Host: {host}")
    paths = [(one.method, path_of(one)) for one in OPERATIONS]
    for method, path in [*paths, ("GET", "/nowhere"), ("DELETE", "/healthz"), ("GET", "/api/v1/state/")]:
        answer = await house.ask(method, path, headers)
        assert (answer.status, answer.code) == (403, "forbidden_host"), (method, path)
        assert CANARY.encode() not in answer.raw
    assert untouched(house.desk)


async def test_a_host_has_to_be_named(house: House) -> None:
    """By HTTP/1.0 too, which could leave it out; and once."""
    bearer = f"Authorization: Bearer {TOKEN}\r\n\r\n"
    assert read(await house.raw(f"GET /api/v1/state HTTP/1.0\r\n{bearer}".encode())).status == 403
    assert read(await house.raw(f"GET /api/v1/state HTTP/1.1\r\n{bearer}".encode())).status == 400
    twice = f"GET /api/v1/state HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n{bearer}"
    assert read(await house.raw(twice.encode())).status == 400
    assert untouched(house.desk)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "file://", "http://127.0.0.1.evil.example", ""])
async def test_pages_of_other_sites_are_refused(origin: str, house: House) -> None:
    """Even with the token, and however they ask; there is no CORS to ask for either."""
    for operation in GUARDED:
        for origins in ((origin,), ("http://127.0.0.1", origin)):
            lines = "".join(f"Origin: {one}\r\n" for one in origins)
            answer = await house.ask(operation.method, path_of(operation), GOOD + lines)
            assert (answer.status, answer.code) == (403, "forbidden_origin")
            assert CANARY.encode() not in answer.raw
    preflight = await house.ask(
        "OPTIONS", "/api/v1/refresh", GOOD + f"Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n"
    )
    assert preflight.status == 405
    assert not [name for name in preflight.headers if name.startswith("access-control")]
    assert untouched(house.desk)


NAMES = [
    "..",
    ".",
    "../..",
    "..%2F..%2Fetc%2Fpasswd",
    "%2e%2e",
    "%2e%2e%2f%2e%2e",
    "%252e%252e",
    "%2F",
    "/",
    "//",
    "//evil.example/x",
    "http://evil.example/",
    "A-1/../A-2",
    "A-1%00",
    "%00",
    "%0d%0aSet-Cookie:%20a=b",
    "%ff%fe",
    "%F0%9F%92%A9",
    "%ED%A0%80",
    "%",
    "%zz",
    "%u002e",
    "x" * 8_000,
    "%2e" * 8_000,
    "A-1;a=b",
    "A-1\\..\\A-2",
    "9" * 5_000,
    "-1",
    "1e9",
    "constructor",
    "__proto__",
    "CON",
    *RESERVED,
    *(f"{word}%2F.." for word in RESERVED),
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:24])
async def test_a_name_is_a_name_and_no_way_elsewhere(name: str, house: House) -> None:
    """Found or not, it is an answer in JSON that nobody takes for anything else; never a defect, nothing without the token."""
    shapes = [
        "/api/v1/{}",
        "/api/v1/issues/{}",
        "/api/v1/issues/{}/actions/stop",
        "/api/v1/issues/A-1/actions/{}",
        "/api/v1/actions/{}",
        "/api/v1/deliveries/{}",
        "/api/v1/deliveries/{}/replay",
        "/api/v1/deliveries?before={}",
        "/api/v1/issues?phase={}",
        "/{}",
    ]
    for shape in shapes:
        for method in ("GET", "POST"):
            path = shape.format(name)
            answer = await house.ask(method, path)
            if shape.startswith("/api/v1/{}") and name in ("events", "events%2F.."):
                continue  # the stream itself
            assert answer.status in (200, 202, 400, 404, 405, 409), (method, path[:60], answer)
            assert answer.headers["content-type"] == "application/json", (method, path[:60])
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "set-cookie" not in answer.headers and "location" not in answer.headers
            answer = await house.ask(method, path, "Host: 127.0.0.1\r\n")
            assert answer.status in (401, 404, 405), (method, path[:60])
            assert CANARY.encode() not in answer.raw
    assert {action for action, _, _ in house.desk.asked} <= {"stop"}


@pytest.mark.parametrize("authorized", [True, False])
async def test_what_is_too_big_is_refused(authorized: bool, house: House) -> None:
    """Heads, queries, lengths and streams; none is held in memory whole."""
    headers = GOOD if authorized else "Host: 127.0.0.1\r\n"
    for path, more in [
        ("/api/v1/state", f"X-Long: {'x' * 200_000}\r\n"),
        ("/api/v1/state", "".join(f"X-{number}: y\r\n" for number in range(20_000))),
        (f"/api/v1/issues?phase={'x' * 3_000_000}", ""),
        (f"/{'x' * 3_000_000}", ""),
    ]:
        answer = await house.ask("GET", path, headers + more)
        assert (answer.status, answer.body) == (400, b"Invalid HTTP request received.")
    expected = 413 if authorized else 401
    json_type = headers + "Content-Type: application/json\r\n"
    answer = await house.ask("POST", "/api/v1/actions/pause", json_type, b" " * (bodies.BODY_BYTES_MAX + 1))
    assert answer.status == expected
    declared = f"POST /api/v1/actions/pause HTTP/1.1\r\n{json_type}Content-Length: 99999999999\r\n\r\n".encode()
    assert read(await house.raw(declared + b" " * (bodies.BODY_BYTES_MAX + 1))).status == expected
    chunks = f"POST /api/v1/actions/pause HTTP/1.1\r\n{json_type}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert read(await house.raw(chunks + (b"1000\r\n" + b" " * 4096 + b"\r\n") * 40)).status == expected
    assert house.desk.asked == []


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"{}", 415),
        ("application/x-www-form-urlencoded", b"text=stop", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/jsonp", b"{}", 415),
        ("", b"{}", 415),
        ("application/json", b"", 200),
        ("application/json", b"{", 400),
        ("application/json", b"null", 400),
        ("application/json", b"[" * 60_000, 400),
        ("application/json", b'{"a":' * 10_000, 400),
        ("application/json", b"\xff\xfe{}", 400),
        ("application/json", b'{"text": "\\ud800"}', 400),
        ("application/json", b'{"text": 1e999}', 400),
        ("application/json", b'{"request_id": "a b"}', 400),
        ("application/json", b'{"request_id": "a\\n"}', 400),
        ("application/json", b'{"finish": true, "unknown": 1}', 400),
        ("APPLICATION/JSON; charset=utf-16", b"{}", 200),
    ],
)
async def test_a_body_is_json_that_fits_or_is_refused(kind: str, body: bytes, status: int, house: House) -> None:
    """A form that a page elsewhere could post is none; what cannot be read has one sentence for an answer."""
    answer = await house.ask("POST", "/api/v1/actions/pause", f"{GOOD}Content-Type: {kind}\r\n", body)
    assert answer.status == status, answer
    assert len(house.desk.asked) == (status == 200)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "get", "X" * 200])
async def test_other_methods_are_named_as_wrong(method: str, house: House) -> None:
    """405 with the right ones, with the token and without; nothing is echoed but the line itself."""
    for operation in OPERATIONS:
        answer = await house.ask(method, path_of(operation), GOOD + "X-Secret: echoed\r\n")
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert operation.method in answer.headers["allow"]
        assert b"echoed" not in answer.body
    assert untouched(house.desk)


SMUGGLED = f"GET /api/v1/snapshot HTTP/1.1\r\n{GOOD}\r\n".encode()


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 0\r\nContent-Length: 52\r\n",
        b"Content-Length: 0, 52\r\n",
        b"Content-Length: +0\r\n",
        b"Content-Length: 0x0\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length : 0\r\n",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 52\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"X: a\rb\r\n",
        b"X\x00: a\r\n",
    ],
)
async def test_where_a_request_ends_is_never_a_guess(framing: bytes, house: House) -> None:
    """Two readings of one request are an error, and the connection ends: nothing behind it is taken for another one."""
    head = f"POST /api/v1/refresh HTTP/1.1\r\n{GOOD}".encode()
    answer = await house.raw(head + framing + b"\r\n0\r\n\r\n" + SMUGGLED, patience_s=3)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert read(answer).status in (400, 501)
    assert read(answer).headers["connection"] == "close"
    assert house.desk.refreshed == 0


@pytest.mark.parametrize("folded", [b" Transfer-Encoding: chunked\r\n", b"X: y\r\n Content-Length: 5\r\n"])
async def test_a_folded_line_belongs_to_the_one_above(folded: bytes, house: House) -> None:
    """As the standard has it; what follows is no request, and nothing behind it is one."""
    head = f"POST /api/v1/refresh HTTP/1.1\r\n{GOOD}".encode()
    answer = await house.raw(head + folded + b"\r\n0\r\n\r\n" + SMUGGLED, patience_s=3)
    assert b"HTTP/1.1 400" in answer
    assert CANARY.encode() not in answer


async def until_closed(house: House, sent: bytes, *, dribble: bytes = b"") -> bytes:
    """What came until the listener itself ended the connection."""
    answer = b""
    async with await anyio.connect_tcp("127.0.0.1", house.port) as stream:
        try:
            await stream.send(sent)
            while True:
                with anyio.move_on_after(0.02):
                    answer += await stream.receive()
                if dribble:
                    await stream.send(dribble)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return answer


@pytest.mark.parametrize(
    ("sent", "dribble"),
    [
        (b"", b""),
        (b"GET /healthz HT", b""),
        (b"GET /healthz HTTP/1.1\r\n", b"X: y\r\n"),
        (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"G"),
        (b"POST /api/v1/refresh HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n", b"x"),
    ],
    ids=["silent", "half a line", "headers without end", "a slow second request", "a body for a refused request"],
)
async def test_who_is_slow_is_cut_off(
    sent: bytes, dribble: bytes, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place is nobody's for ever: not while a request does not come, nor while bytes come that nobody waits for."""
    monkeypatch.setattr(server, "_REQUEST_S", 0.3)
    with anyio.fail_after(10):
        assert CANARY.encode() not in await until_closed(house, sent, dribble=dribble)


async def test_a_body_that_does_not_come_is_not_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the token has it no longer than others."""
    monkeypatch.setattr(bodies, "BODY_S", 0.2)
    head = f"POST /api/v1/actions/pause HTTP/1.1\r\n{GOOD}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{"
    answer = read(await house.raw(head.encode()))
    assert (answer.status, answer.code) == (408, "too_slow")
    assert house.desk.asked == []


async def test_who_asks_and_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was meant for it is not kept for ever."""
    monkeypatch.setattr(server, "_UNREAD_S", 0.2)
    desk = canaries()
    views = tuple(shown(f"B-{number}", "running", reason="so " * 30_000) for number in range(200))
    desk.picture = structs.replace(SNAPSHOT, tickets=views)
    async with listening(desk) as house, await anyio.connect_tcp("127.0.0.1", house.port) as stream:
        await stream.send(f"GET /api/v1/snapshot HTTP/1.1\r\n{GOOD}\r\n".encode())
        await anyio.sleep(2)
        taken = 0
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            while True:
                taken += len(await stream.receive())
        assert taken < 18_000_000


async def test_there_are_so_many_connections_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that whoever opens thousands leaves the daemon files to work with; each that goes makes room."""
    monkeypatch.setattr(server, "_CONNECTIONS_MAX", 5)
    held = [await anyio.connect_tcp("127.0.0.1", house.port) for _ in range(5)]
    for one in held:
        await one.send(b"GET /healthz HTTP/1.1\r\n")
    await anyio.sleep(0.1)
    assert await house.raw(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == b""
    await held.pop().aclose()
    await anyio.sleep(0.1)
    assert (await house.ask("GET", "/healthz")).status == 200
    for one in held:
        await one.aclose()


async def test_what_is_no_http_is_not_worth_a_line_in_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever can reach the port could fill it."""
    assert read(await house.raw(b"\x16\x03\x01 what\r\n\r\n")).status == 400
    await house.ask("GET", "/healthz", "Host: 127.0.0.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n")
    broken = b"POST /api/v1/refresh HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with await anyio.connect_tcp("127.0.0.1", house.port) as stream:
        await stream.send(broken)
        assert b" 401 " in await stream.receive()
        await stream.send(b"no chunk\r\n")
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)), anyio.fail_after(5):
            await stream.receive()
    assert [record.getMessage() for record in caplog.records] == []


async def test_hostile_text_comes_back_as_json_alone(house: House) -> None:
    """Escaped where JSON escapes, and marked so that no browser takes it for a page."""
    for operation in GUARDED:
        if operation.id in ("followEvents", "readMetrics"):
            continue
        answer = await house.ask(operation.method, path_of(operation))
        assert answer.headers["content-type"] == "application/json", operation.id
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert b"\x1b" not in answer.body and b"\x00" not in answer.body and b"\x07" not in answer.body
    assert json.loads((await house.ask("GET", "/api/v1/snapshot")).body)["tickets"][0]["title"] == HOSTILE
    assert CANARY.encode() not in (await house.ask("GET", "/metrics")).raw


async def test_a_stream_is_never_taken_for_a_page(house: House) -> None:
    """Nor do line ends in texts make events of their own."""
    assert isinstance(house.desk.picture, Snapshot)
    house.desk.picture = structs.replace(house.desk.picture, poll_error=f"{CANARY}\r\n\r\nevent: x\ndata: y\n\n")
    raw = await house.raw(f"GET /api/v1/events HTTP/1.1\r\n{GOOD}\r\n".encode(), patience_s=1)
    answer = read(raw)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-store")
    assert answer.body.count(b"\nevent: ") == 1 and b"\ndata: y" not in answer.body


async def test_every_answer_carries_what_browsers_must_know(house: House) -> None:
    """Of whatever status: nothing is kept, guessed, embedded or loaded, nobody else is let in."""
    house.desk.broken = True
    for method, path, headers, status in [
        ("GET", "/healthz", GOOD, 200),
        ("GET", "/docs", GOOD, 200),
        ("GET", "/openapi.json", GOOD, 200),
        ("GET", "/api/v1/A-1", GOOD, 200),
        ("GET", "/nowhere", GOOD, 404),
        ("PUT", "/healthz", GOOD, 405),
        ("GET", "/api/v1/state", "Host: 127.0.0.1\r\n", 401),
        ("GET", "/api/v1/state", "Host: evil.example\r\n", 403),
        ("GET", "/api/v1/state", GOOD, 500),
    ]:
        answer = await house.ask(method, path, headers)
        assert answer.status == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] in (
            ("no-cache",) if path in ("/docs", "/openapi.json") else ("no-store",)
        )
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert not [name for name in answer.headers if name.startswith(("access-control", "server", "set-cookie"))]
        assert b"a secret detail" not in answer.raw


async def test_a_request_line_with_another_address_is_not_ours(house: House) -> None:
    """We are no proxy."""
    answer = await house.ask("GET", "http://evil.example/api/v1/state")
    assert (answer.status, CANARY.encode() in answer.raw) == (404, False)
    answer = await house.ask("CONNECT", "evil.example:443")
    assert answer.status == 404
