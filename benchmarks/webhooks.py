"""How long a webhook waits for its acknowledgement at 500 a second, beside what the wire and the disk alone take.

Goal: p95 below 50 ms at 500 a second. Each body is signed, read whole, checked, written to a database with synchronous FULL,
and acknowledged; all of it over loopback, sender and receiver sharing one process. Floors, in the same run: the same calls to a
listener that only reads the body (*wire*), and one small write with its fsync after the other (*disk*).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from opensymphony import logs
from opensymphony.api.public import build_public_app
from opensymphony.api.server import serve_app
from opensymphony.clock import Clock
from opensymphony.daemon.ingress import Ingress
from opensymphony.model import Ticket, TicketId
from opensymphony.services import Secrets
from opensymphony.services.jira.webhook import JiraWebhook
from opensymphony.store.inbox import Inbox
from tests.fakes.jira import AGENT, WEBHOOK_SECRET, FakeJira

RATE, SECONDS, CONNECTIONS = 500, 10, 32
PADDING = "x" * 8_000
"""An event about an issue has some thousand characters."""


class Sink:
    """Takes everything and looks at nothing."""

    def knows(self, service: str) -> bool:
        return True

    def turned(self, reason: str) -> None: ...

    async def receive(self, service: str, headers: Mapping[str, str], body: bytes) -> bool:
        return True


def calls() -> list[tuple[bytes, dict[str, str]]]:
    jira = FakeJira()
    ticket = jira.create(PADDING)
    events = [jira.event(ticket) for _ in range(RATE * SECONDS)]
    return [(body, jira.signed(body, identifier)) for body, identifier in events]


def on_the_wire(body: bytes, headers: Mapping[str, str]) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /webhook/jira HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


async def sent(port: int, wanted: Sequence[tuple[bytes, dict[str, str]]]) -> list[float]:
    """Milliseconds from when each was due until its acknowledgement: a receiver that falls behind shows.

    Over plain connections: what a client library needs for itself would be most of it.
    """
    calls = [on_the_wire(body, headers) for body, headers in wanted]
    waits: list[float] = []
    give, take = anyio.create_memory_object_stream[tuple[bytes, float]](len(calls))

    async def connection() -> None:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            async for call, due in take:
                await stream.send(call)
                answer = await stream.receive()
                assert answer.startswith(b"HTTP/1.1 200 "), answer
                waits.append((time.perf_counter() - due) * 1000)

    async with anyio.create_task_group() as tasks:
        for _ in range(CONNECTIONS):
            tasks.start_soon(connection)
        began = time.perf_counter()
        for number, call in enumerate(calls):
            due = began + number / RATE
            if (early := due - time.perf_counter()) > 0:
                await anyio.sleep(early)
            give.send_nowait((call, due))
        give.close()
    return waits


def shown(name: str, waits: Sequence[float]) -> str:
    ordered = sorted(waits)
    at = {share: ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))] for share in (50, 95, 99)}
    return f"{name:<8} p50 {at[50]:7.1f} ms   p95 {at[95]:7.1f} ms   p99 {at[99]:7.1f} ms   worst {ordered[-1]:7.1f} ms"


def synced(directory: Path) -> list[float]:
    """One small write and one fsync after the other."""
    waits: list[float] = []
    with (directory / "floor").open("wb") as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(b"x" * 9_000)
            file.flush()
            os.fsync(file.fileno())
            waits.append((time.perf_counter() - began) * 1000)
    return waits


async def measure(directory: Path) -> None:
    async def read_secret(name: str, variable: str | None) -> str:
        return WEBHOOK_SECRET

    async def look_at(ids: Sequence[TicketId]) -> dict[TicketId, Ticket]:
        await anyio.sleep(0.05)  # a request to the tracker
        return {}

    inbox = await Inbox.open(directory / "inbox.db")
    ingress = Ingress(
        "jira",
        [JiraWebhook()],
        inbox,
        secrets=Secrets(read=read_secret),
        look_at=look_at,
        account=lambda: AGENT,
        clock=Clock(),
    )
    wanted = calls()
    print(f"{len(wanted):,} webhooks of {len(wanted[0][0]):,} bytes, {RATE} a second")
    async with anyio.create_task_group() as tasks:
        sink = await tasks.start(serve_app, build_public_app(Sink()), "127.0.0.1", 0)
        ours = await tasks.start(serve_app, build_public_app(ingress), "127.0.0.1", 0)
        tasks.start_soon(ingress.run)
        print(shown("disk", synced(directory)))
        print(shown("wire", await sent(sink, wanted)))
        print(shown("ours", await sent(ours, wanted)))
        tasks.cancel_scope.cancel()
    await inbox.close()


def main() -> None:
    logs.set_up(level="warning")
    place = Path.cwd() / ".cache"  # on the disk of the checkout, and never in a commit, even when this is killed
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as directory:
        anyio.run(measure, Path(directory))


if __name__ == "__main__":
    main()
