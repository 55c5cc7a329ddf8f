"""What 200 readers of the event stream cost the daemon, and how soon a snapshot of 1,000 tickets is there.

Goals: a snapshot arrives within 50 ms (p95), and the scheduler's own latency is at most 1.1 times that without readers. The
daemon's loop, journal (on this disk, with its fsync), control and listener run in this process as they do in a daemon; readers,
and whoever asks for snapshots, in processes of their own. All the time 50 agents are at work on the board of 1,000 tickets:
they report progress, turns end, commands are handed out and answered, so that there is always something new to tell.

- *scheduler*: from when an event is handed in until its decisions are durable and its commands are handed out. Without and with
  readers in turns, several rounds of each in one go, so that whatever else the machine does meets both.
- *snapshot*: `GET /api/v1/snapshot`, from before it is sent until its last byte is there. The *floor* beside it: as many bytes
  from a listener that has them ready, asked in the same way in the same round.
- *stuck*: with the readers comes one that asks and takes nothing. When it was cut off, and the longest that another one went
  without a picture meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.scheduler import board, run_to_work
from opensymphony import logs
from opensymphony.api.events import Feed
from opensymphony.api.routes import build_app
from opensymphony.api.server import serve_app
from opensymphony.clock import Clock
from opensymphony.daemon.control import DaemonControl
from opensymphony.daemon.loop import Loop
from opensymphony.model import ServerState, TurnProgress, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import FORMAT
from opensymphony.store.sqlite import Journal
from tests.scheduler.playbook import outcome

TICKETS, READERS, ROUNDS, ROUND_S = 1_000, 200, 3, 8
EVENTS_A_S, TURN_EVERY = 40, 10
"""Of ten events, nine are progress and one ends a turn, which leads to commands."""
SETTLING_S = 2
"""After readers have come, before it is measured."""
TOKEN = "benchmark"


class Agents:
    """Plays what the executor and its agents do: every command is answered, one event after the other at a steady rate."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.handed_out = 0
        self._commands: deque[c.Command] = deque()
        self._turns: deque[c.Command] = deque()
        self._number = 0

    def start(self, command: c.Command) -> None:
        self.handed_out += 1
        (self._turns if isinstance(command, c.AwaitTurn) else self._commands).append(command)

    async def work(self, seconds: float) -> list[float]:
        """Milliseconds from when each event was handed in until it was settled; none waits for the one before."""
        waits: list[float] = []

        async def hand_in() -> None:
            began = time.perf_counter()
            await self.loop.post(self._event())
            await self.loop.settled()
            waits.append(1000 * (time.perf_counter() - began))

        began = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for number in range(int(seconds * EVENTS_A_S)):
                await anyio.sleep(max(0, began + number / EVENTS_A_S - time.perf_counter()))
                tasks.start_soon(hand_in)
        return waits

    def _event(self) -> e.Event:
        self._number += 1
        now_ms = self.loop.clock.now_ms()
        command = None
        if self._commands:
            command = self._commands.popleft()
        elif self._turns and self._number % TURN_EVERY == 0:
            command = self._turns.popleft()
        if command is not None:
            return outcome(command, self.loop.state.entries[command.ticket_id].ticket, now_ms)
        running = list(self.loop.state.running)
        ticket_id = running[self._number % len(running)]
        progress = TurnProgress(status="running", usage=Usage(prompt_tokens=self._number))
        generation = self.loop.state.entries[ticket_id].generation
        return e.TurnProgressed(at_ms=now_ms, ticket_id=ticket_id, generation=generation, progress=progress)


class Other:
    """A process of its own (`dashboard_clients.py`), told to end by the end of its input; it prints what it has measured."""

    def __init__(self, *words: object) -> None:
        argv = [sys.executable, str(Path(__file__).with_name("dashboard_clients.py")), TOKEN, *map(str, words)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    async def ended(self) -> list[float]:
        stdout, _ = await anyio.to_thread.run_sync(self._process.communicate)
        return msgspec.json.decode(stdout, type=list[float])


def at(waits: Sequence[float], share: float) -> float:
    ordered = sorted(waits)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def shown(name: str, waits: Sequence[float]) -> str:
    mean = sum(waits) / max(1, len(waits))
    figures = "  ".join(f"p{int(share * 100)} {at(waits, share):7.1f}" for share in (0.5, 0.95, 0.99))
    return f"{name:<28} mean {mean:7.2f}  {figures}  worst {max(waits, default=0):7.1f} ms  ({len(waits)})"


@asynccontextmanager
async def listening(app: Starlette, feed: Feed | None = None) -> AsyncIterator[int]:
    async with anyio.create_task_group() as tasks:
        serve = partial(serve_app, closing=feed.close if feed is not None else lambda: None)
        yield await tasks.start(serve, app, "127.0.0.1", 0)
        tasks.cancel_scope.cancel()


async def until(feed: Feed, readers: int) -> None:
    while feed.readers != readers:  # noqa: ASYNC110 - nobody tells of it
        await anyio.sleep(0.05)


async def rounds(agents: Agents, port: int, floor_port: int, feed: Feed) -> None:
    waits: dict[bool, list[float]] = {False: [], True: []}
    snapshots: dict[bool, list[float]] = {False: [], True: []}
    floors: dict[bool, list[float]] = {False: [], True: []}
    cut_off: list[float] = []
    gaps: list[float] = []
    for number in range(2 * ROUNDS):
        reading = number % 2 == 1
        others = [Other("follow", port, READERS), Other("stall", port)] if reading else []
        await until(feed, READERS + 1 if reading else 0)
        came = time.perf_counter()
        await agents.work(SETTLING_S)
        asker = Other("ask", port, floor_port)
        waits[reading] += await agents.work(ROUND_S)
        asked = await asker.ended()
        snapshots[reading] += asked[::2]
        floors[reading] += asked[1::2]
        if reading:
            while feed.readers > READERS:
                await agents.work(0.5)  # until the one that is stuck is cut off
            cut_off.append(time.perf_counter() - came)
            gaps += await others[0].ended()
            await others[1].ended()
        await until(feed, 0)
    for reading, name in ((False, "without readers"), (True, f"with {READERS} readers")):
        print(shown(f"scheduler, {name}", waits[reading]))
        print(shown(f"snapshot, {name}", snapshots[reading]))
        print(shown("  its floor", floors[reading]))
    with_them, without = waits[True], waits[False]
    means = sum(with_them) / len(with_them) / (sum(without) / len(without))
    print(
        f"scheduler with readers to without: mean {means:.2f}, "
        + ", ".join(f"p{int(share * 100)} {at(with_them, share) / at(without, share):.2f}" for share in (0.5, 0.95))
    )
    print(f"stuck readers cut off after {', '.join(f'{one:.0f}' for one in cut_off)} s")
    print(f"pictures to each of the others {at(gaps, 0.5):.2f} s apart (p50), at most {max(gaps):.2f} s")


async def measure(directory: Path) -> None:
    journal = await Journal.open(directory / "journal.db", format_number=FORMAT)
    state = board(TICKETS)
    run_to_work(state)
    loop = Loop(state, 0, journal, Clock(not_before_ms=state.now_ms))
    agents = Agents(loop)
    for command in state.pending.values():
        agents.start(command)
    control = DaemonControl(loop, lambda: ServerState(status="ready"), lambda: None, lambda: None)
    control.status = "running"
    feed = Feed(control)
    content = msgspec.json.encode(control.snapshot())
    print(
        f"{TICKETS:,} tickets, {len(state.running)} at work, {len(content):,} bytes a snapshot, {os.cpu_count()} cores"
    )
    ready = Starlette(routes=[Route("/api/v1/snapshot", lambda request: Response(content))])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(loop.run, agents.start)
        async with listening(build_app(control, TOKEN, feed), feed) as port, listening(ready) as floor_port:
            await rounds(agents, port, floor_port, feed)
        tasks.cancel_scope.cancel()
    loop.close()
    await journal.close()


def main() -> None:
    logs.set_up(level="error")
    with tempfile.TemporaryDirectory() as directory:
        anyio.run(measure, Path(directory))


if __name__ == "__main__":
    main()
