"""Our part of one poll, at several numbers of candidates, and the longest time for which it keeps the loop from others.

Goal (docs/architecture.md): 10,000 candidates in less than 250 ms, in slices of at most 10 ms, growing linearly. The tracker
answers at once from memory. *poller* is the comparison alone: what is posted is only kept. *whole* is that with the loop, the
scheduler and the journal on this disk behind it. Floors, in the same run: one comparison of each candidate, and the longest
step of a loop in which as many turns do nothing at all. All of it in processor time of the loop's thread, so that other work
of the machine does not show; the last column is the wall time.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec

from opensymphony.clock import Clock
from opensymphony.daemon.loop import Loop, Post
from opensymphony.daemon.poller import Poller
from opensymphony.model import Ticket, TicketId, TicketPage
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import FORMAT
from opensymphony.scheduler.state import Entry, State
from opensymphony.store.sqlite import Journal
from tests.scheduler.playbook import policy, ticket

SIZES = (100, 1_000, 10_000)
DESCRIPTION = "What is to be done, and why. " * 40


class Board:
    """Answers at once with what it holds."""

    def __init__(self, count: int) -> None:
        self.tickets = [ticket(f"T-{number}", description=DESCRIPTION, labels=("bug",)) for number in range(count)]

    async def fetch_candidates(self, states: Sequence[str]) -> TicketPage:
        return TicketPage(tickets=tuple(self.tickets))

    async def fetch_tickets(self, ids: Sequence[TicketId]) -> tuple[Ticket, ...]:
        return ()

    def read_again(self, changed_every: int = 0) -> None:
        """New objects, as every real reading makes; one in so many differs."""
        raw = msgspec.json.encode(self.tickets)
        self.tickets = msgspec.json.decode(raw, type=list[Ticket])
        for index in range(0, len(self.tickets) if changed_every else 0, changed_every or 1):
            title = f"{self.tickets[index].title}, again"
            self.tickets[index] = msgspec.structs.replace(self.tickets[index], title=title)


class Longest:
    """The longest step of the event loop, as the loop itself sees it."""

    def __enter__(self) -> Longest:
        self.ms, self._original = 0.0, asyncio.Handle._run

        def timed(handle: Any) -> None:
            began = time.thread_time()
            self._original(handle)
            self.ms = max(self.ms, (time.thread_time() - began) * 1000)

        asyncio.Handle._run = timed  # type: ignore[method-assign]
        return self

    def __exit__(self, *given: object) -> None:
        asyncio.Handle._run = self._original  # type: ignore[method-assign]


async def measured(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Print milliseconds in all, of the longest step, and by the clock on the wall."""
    gc.collect()
    with Longest() as longest:
        began, began_wall = time.thread_time(), time.perf_counter()
        await work()
        took_ms, wall_ms = (time.thread_time() - began) * 1000, (time.perf_counter() - began_wall) * 1000
    print(f"{what:<32} {took_ms:>10.1f} {longest.ms:>12.2f} {wall_ms:>12.1f}")


async def poller_alone(count: int) -> None:
    board, state, posted = Board(count), State(), 0

    async def post(event: e.Event) -> None:
        nonlocal posted
        posted += 1
        if isinstance(event, e.TicketChanged):
            known = state.entries.get(event.ticket.id)
            if known is None:
                state.entries[event.ticket.id] = Entry(ticket=event.ticket)
            else:
                known.ticket = event.ticket
        await anyio.lowlevel.checkpoint()

    state.policy = policy()
    await rows("poller", count, board, state, post, Clock())


async def whole(count: int) -> None:
    board = Board(count)
    async with running_loop() as loop:
        await rows("whole", count, board, loop.state, loop.post, loop.clock, loop.settled)


@asynccontextmanager
async def running_loop():
    with tempfile.TemporaryDirectory() as directory:
        journal = await Journal.open(Path(directory) / "journal.db", format_number=FORMAT)
        loop = Loop(State(), 0, journal, Clock())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(loop.run, lambda command: None)
            await loop.post(e.DaemonStarted(at_ms=1, instance="one", version="bench"))
            await loop.post(e.PolicyLoaded(at_ms=1, policy=policy()))
            await loop.settled()
            yield loop
            tasks.cancel_scope.cancel()
        await journal.close()


async def rows(
    what: str,
    count: int,
    board: Board,
    state: State,
    post: Post,
    clock: Clock,
    settled: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint,
) -> None:
    poller = Poller(board, state, clock, post)  # type: ignore[arg-type]

    async def poll() -> None:
        await poller.poll()
        await settled()
        assert poller.trouble is None

    for kind, changed_every in (("all new", 0), ("unchanged", 0), ("1 % changed", 100)):
        board.read_again(changed_every)
        await measured(f"{count:>10,} {what:<8} {kind}", poll)


async def floors(count: int) -> None:
    board = Board(count)
    known = {one.id: one for one in board.tickets}
    board.read_again()

    async def compare() -> None:
        assert sum(known[one.id] == one for one in board.tickets) == count

    async def nothing() -> None:
        for _ in range(count):
            await anyio.lowlevel.checkpoint()

    await measured(f"{count:>10,} floor    one comparison", compare)
    await measured(f"{count:>10,} floor    empty turns", nothing)


async def run() -> None:
    print(f"{'candidates':>10} {'':<21} {'ms':>10} {'longest, ms':>12} {'wall, ms':>12}")
    for count in SIZES:
        await floors(count)
        await poller_alone(count)
        await whole(count)


def main() -> None:
    anyio.run(run)


if __name__ == "__main__":
    main()
