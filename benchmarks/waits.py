"""What a daemon in this process waits for, as seen at its edges: requests, programs, and the sleep of a claim.

In: `watched`, around the daemon's life. Out: each wait with its times and a way to do the same bare. A request counts from
connecting, or from its last byte, until the last byte of its answer, as httpcore's trace says; so what httpx does around it is
not waiting. A program counts from before it is started until after its end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import httpx
from msgspec import Struct, field

from opensymphony import processes
from opensymphony.agents.openhands.client import Client
from opensymphony.daemon import executor
from opensymphony.daemon.claims import Claims
from opensymphony.services.jira.client import JiraClient

PARTS = ("settle", "tracker", "server", "git")
Again = Callable[[Mapping[str, str]], Awaitable[None]]
"""Does the same bare, with these texts in place of others."""


class Wait(Struct, frozen=True):
    """One wait for somebody else."""

    kind: str
    began: float
    ended: float
    again: Again
    shown: str = ""


class Watch(Struct):
    """Every wait since the last ticket began."""

    waits: list[Wait] = field(default_factory=list[Wait])
    accepted: float = 0.0
    """When the answer to a message that begins a run had come."""
    processor: float = 0.0
    """Seconds that this process had computed then."""
    told: anyio.Event = field(default_factory=anyio.Event)

    def clear(self) -> None:
        self.waits, self.accepted, self.processor, self.told = [], 0.0, 0.0, anyio.Event()

    def note(self, kind: str, began: float, again: Again, shown: str = "") -> None:
        self.waits.append(Wait(kind, began, time.perf_counter(), again, shown))
        if kind == "server" and shown.startswith("POST ") and shown.endswith("/events"):
            self.accepted, self.processor = time.perf_counter(), time.process_time()
            self.told.set()


class Measured(Struct, frozen=True, kw_only=True):
    """Milliseconds of one ticket."""

    wall: float
    ours: float
    processor: float
    parts: dict[str, float]


def measured(began: float, ended: float, processor: float, waits: Sequence[Wait]) -> Measured:
    """What is in nobody else's hands: two waits at once count once."""
    waits = [one for one in waits if one.began < ended]
    waited, until = 0.0, began
    for one in sorted(waits, key=lambda wait: wait.began):
        last = min(one.ended, ended)
        waited += max(0.0, last - max(one.began, until))
        until = max(until, last)
    parts = {kind: 1000 * sum(min(one.ended, ended) - one.began for one in waits if one.kind == kind) for kind in PARTS}
    wall = ended - began
    return Measured(wall=1000 * wall, ours=1000 * (wall - waited), processor=1000 * processor, parts=parts)


@contextmanager
def watched(watch: Watch):
    """Note each wait of whatever is opened meanwhile."""
    before = processes.run, executor.Claims, JiraClient.__init__, Client.__init__
    processes.run = _program(watch)  # type: ignore[assignment]
    executor.Claims = _claims(watch)  # type: ignore[assignment,misc]
    JiraClient.__init__ = _client(watch, JiraClient, "tracker")  # type: ignore[method-assign]
    Client.__init__ = _client(watch, Client, "server")  # type: ignore[method-assign]
    try:
        yield
    finally:
        processes.run, executor.Claims, JiraClient.__init__, Client.__init__ = before  # type: ignore[misc,method-assign]


def _replaced(text: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


def _client(watch: Watch, kind: Any, name: str) -> Callable[..., None]:
    original = kind.__init__

    def init(self: Any, *given: Any, **named: Any) -> None:
        original(self, *given, **named)
        bare = httpx.AsyncClient(trust_env=False, verify=False, timeout=60)

        async def trace(request: httpx.Request) -> None:
            request.extensions = {**request.extensions, "trace": _Trace(watch, name, request, bare)}

        self._http.event_hooks = {"request": [trace], "response": []}

    return init


class _Trace:
    """Of one request."""

    def __init__(self, watch: Watch, kind: str, request: httpx.Request, bare: httpx.AsyncClient) -> None:
        self._watch, self._kind, self._request, self._bare = watch, kind, request, bare
        self._began = 0.0

    async def __call__(self, event: str, info: Any) -> None:
        if event in ("connection.connect_tcp.started", "http11.receive_response_headers.started"):
            self._began = self._began or time.perf_counter()
        elif event == "http11.receive_response_body.complete":
            self._watch.note(self._kind, self._began, self._again, f"{self._request.method} {self._request.url.path}")

    async def _again(self, names: Mapping[str, str]) -> None:
        asked = self._request
        url, body = _replaced(str(asked.url), names), _replaced(asked.content.decode(), names)
        headers = {name: text for name, text in asked.headers.items() if name != "content-length"}
        await self._bare.request(asked.method, url, content=body, headers=headers)


def _program(watch: Watch) -> Callable[..., Awaitable[Any]]:
    original = processes.run

    async def run(argv: Sequence[str], **named: Any) -> Any:
        words = list(argv[argv.index("git") :]) if "git" in argv else list(argv)

        async def again(names: Mapping[str, str]) -> None:
            done = await asyncio.create_subprocess_exec(
                *(_replaced(word, names) for word in words),
                cwd=_replaced(named["cwd"], names),
                env={name: _replaced(text, names) for name, text in named["env"].items()},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            await done.communicate(named.get("input_bytes"))

        began = time.perf_counter()
        try:
            return await original(argv, **named)
        finally:
            watch.note("git", began, again)

    return run


def _claims(watch: Watch) -> Callable[..., Claims]:
    async def again(names: Mapping[str, str]) -> None: ...

    async def sleep(seconds: float) -> None:
        began = time.perf_counter()
        await anyio.sleep(seconds)
        watch.note("settle", began, again)

    return lambda tracker, clock: Claims(tracker, clock, sleep)
