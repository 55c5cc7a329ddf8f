"""The listener that others may reach: bounded, and silent about everything but what was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping

import anyio
import httpx
import pytest

from opensymphony.api import public
from opensymphony.api.public import Turned, build_public_app
from opensymphony.api.server import serve_app


class Gate:
    """Takes what is signed with a word, once each."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.bodies: list[bytes] = []
        self.broken = False

    def knows(self, service: str) -> bool:
        return service == "jira"

    def turned(self, reason: str) -> None:
        self.reasons[reason] += 1

    async def receive(self, service: str, headers: Mapping[str, str], body: bytes) -> bool:
        if self.broken:
            raise RuntimeError("a secret detail")
        if headers.get("x-word") != "please":
            raise Turned(401, "signature", "the signature does not fit")
        new = body not in self.bodies
        self.bodies.append(body)
        return new


@pytest.fixture
def gate() -> Gate:
    return Gate()


def client_of(gate: Gate, *sources: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(
        build_public_app(gate, sources), raise_app_exceptions=False, client=("192.0.2.7", 1)
    )
    return httpx.AsyncClient(transport=transport, base_url="http://public", headers={"X-Word": "please"})


async def test_a_good_call_is_acknowledged(gate: Gate) -> None:
    """A repetition, too: its sender shall be content."""
    async with client_of(gate) as client:
        answer = await client.post("/webhook/jira", content=b"one")
        assert (answer.status_code, answer.json()) == (200, {"accepted": True, "new": True})
        answer = await client.post("/webhook/jira", content=b"one")
        assert (answer.status_code, answer.json()) == (200, {"accepted": True, "new": False})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/webhook/jira", 404),
        ("POST", "/webhook/jira/", 404),
        ("POST", "/webhook/linear", 404),
        ("POST", "/webhook/..%2Fjira", 404),
        ("POST", "/api/v1/snapshot", 404),
        ("GET", "/healthz", 404),
        ("GET", "/", 404),
        ("OPTIONS", "/webhook/jira", 404),
    ],
)
async def test_there_is_nothing_else(method: str, path: str, status: int, gate: Gate) -> None:
    async with client_of(gate) as client:
        answer = await client.request(method, path, follow_redirects=False)
        assert answer.status_code == status
        assert gate.bodies == []


async def test_who_cannot_sign_is_counted(gate: Gate) -> None:
    async with client_of(gate) as client:
        answer = await client.post("/webhook/jira", content=b"x", headers={"X-Word": "now"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "signature")
        assert gate.reasons == {"signature": 1}


async def test_only_named_networks_are_listened_to(gate: Gate) -> None:
    """By the address that is connected, whatever a header says."""
    async with client_of(gate, "198.51.100.0/24", "2001:db8::/32") as client:
        answer = await client.post("/webhook/jira", content=b"x", headers={"X-Forwarded-For": "198.51.100.1"})
        assert (answer.status_code, gate.reasons["source"]) == (403, 1)
    async with client_of(gate, "192.0.2.0/24") as client:
        assert (await client.post("/webhook/jira", content=b"x")).status_code == 200


async def test_a_body_is_bounded(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what it says, and by what it is."""
    monkeypatch.setattr(public, "BODY_BYTES_MAX", 10)

    async def long() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"xxx"

    async with client_of(gate) as client:
        assert (await client.post("/webhook/jira", content=b"x" * 11)).status_code == 413
        assert (await client.post("/webhook/jira", content=long())).status_code == 413
        assert (await client.post("/webhook/jira", content=b"x" * 10)).status_code == 200


async def test_a_defect_says_nothing(gate: Gate) -> None:
    gate.broken = True
    async with client_of(gate) as client:
        answer = await client.post("/webhook/jira", content=b"x")
        assert answer.status_code == 500
        assert "secret" not in answer.text


async def test_bodies_that_do_not_come_hold_up_nobody_for_ever(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a real line: one that is cut off, one that never ends, and more at once than are read."""
    monkeypatch.setattr(public, "_BODY_S", 0.2)
    monkeypatch.setattr(public, "UNVERIFIED_MAX", 2)
    app = build_public_app(gate)
    head = b"POST /webhook/jira HTTP/1.1\r\nHost: x\r\nX-Word: please\r\nContent-Length: 100\r\n\r\nhalf"
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(serve_app, app, "127.0.0.1", 0)
        cut = await anyio.connect_tcp("127.0.0.1", port)
        await cut.send(head)
        await cut.aclose()
        slow = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(2)]
        for one in slow:
            await one.send(head)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"X-Word": "please"}) as client:
            with anyio.fail_after(10):
                while (busy := await client.post("/webhook/jira", content=b"x")).status_code == 200:
                    await anyio.sleep(0.01)
            assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
            with anyio.fail_after(10):
                while (await client.post("/webhook/jira", content=b"y")).status_code != 200:
                    await anyio.sleep(0.05)
        answers = [await one.receive(100) for one in slow]
        assert all(answer.startswith(b"HTTP/1.1 408") for answer in answers)
        for one in slow:
            await one.aclose()
        tasks.cancel_scope.cancel()
    assert gate.reasons["too_slow"] == 2
    assert b"half" not in gate.bodies
