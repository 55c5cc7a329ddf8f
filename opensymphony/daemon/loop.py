"""The one consumer of events: event, decision, journal, and only then the command.

Events come in from the poller, the executor and people; what they lead to is durable before any of it is done. Many
events that wait together share one transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
import anyio.lowlevel
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream

from opensymphony.clock import Clock
from opensymphony.logs import get_logger
from opensymphony.scheduler import step
from opensymphony.scheduler.commands import Command
from opensymphony.scheduler.decisions import Decision, command_of
from opensymphony.scheduler.events import CommandFailed, CommandOutcome, Event, TimePassed
from opensymphony.scheduler.machine import IllegalEvent
from opensymphony.scheduler.records import Record, encode_record, encode_state
from opensymphony.scheduler.state import State, next_due_ms
from opensymphony.store.sqlite import Journal

_QUEUE_MAX = 10_000
"""Events that may wait; a poster waits when it is full."""
_BATCH_MAX = 256
_SLICE_MS = 4
"""Time that deciding may take before others get their turn: a big batch takes many times as long."""
_CHECKPOINT_EVERY = 2_000
"""Records between two checkpoints: folding this many takes a few hundredths of a second."""

log = get_logger(__name__)


class Watcher(Protocol):
    """Told of what was decided, once it is durable. Must not wait."""

    def __call__(self, decisions: tuple[Decision, ...], at_ms: int) -> None: ...


class Loop:
    """Owns the state. Everything that changes it goes through `post`."""

    def __init__(self, state: State, sequence: int, journal: Journal, clock: Clock) -> None:
        self.state = state
        self.sequence = sequence
        self.clock = clock
        self._journal = journal
        self._since_checkpoint = 0
        self._send, self._receive = anyio.create_memory_object_stream[Event](_QUEUE_MAX)
        self._changed = anyio.Event()
        self._posted = self._taken = 0
        self._idle = anyio.Event()
        self._watchers: list[Watcher] = []

    async def post(self, event: Event) -> None:
        """Hand in a fact; waits when too many are waiting already."""
        self._posted += 1
        try:
            await self._send.send(event)
        except BaseException:
            self._posted -= 1  # it is not there to be waited for
            raise

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)

    def close(self) -> None:
        """Give back the queue; whoever still posts is told so."""
        self._send.close()
        self._receive.close()

    async def changed(self) -> None:
        """Return at the next change of the state."""
        await self._changed.wait()

    async def settled(self) -> None:
        """Return when every event handed in so far was taken and is durable."""
        while self._taken < self._posted:
            await self._idle.wait()

    async def run(self, start: Callable[[Command], None]) -> None:
        """Consume events until cancelled. `start` begins a command and returns at once."""
        async with self._receive as events:
            while True:
                batch = await self._next(events)
                await self._take(batch, start)
                self._taken += sum(not isinstance(event, TimePassed) for event in batch)
                self._idle.set()
                self._idle = anyio.Event()

    async def _next(self, events: MemoryObjectReceiveStream[Event]) -> list[Event]:
        due_ms = next_due_ms(self.state)
        wait_s = None if due_ms is None else max(0, due_ms - self.clock.now_ms()) / 1000
        batch: list[Event] = []
        with anyio.move_on_after(wait_s):
            batch.append(await events.receive())
        if not batch:
            return [TimePassed(at_ms=self.clock.now_ms(), jitter=self.clock.jitter())]
        while len(batch) < _BATCH_MAX:
            try:
                batch.append(events.receive_nowait())
            except anyio.WouldBlock:
                break
        return batch

    async def _take(self, batch: list[Event], start: Callable[[Command], None]) -> None:
        rows: list[tuple[int, bytes]] = []
        taken: list[tuple[tuple[Decision, ...], int]] = []
        slice_ms = self.clock.now_ms()
        for event in map(_writable, batch):
            if event is None:
                continue
            if self.clock.now_ms() - slice_ms >= _SLICE_MS:
                await anyio.lowlevel.cancel_shielded_checkpoint()
                slice_ms = self.clock.now_ms()
            decisions = self._step(event)
            if decisions:
                self.sequence += 1
                # As recovery does: a clock that goes on from a checkpoint must not start before the last record.
                self.state.now_ms = max(self.state.now_ms, event.at_ms)
                record = Record(sequence=self.sequence, event=event, decisions=decisions)
                rows.append((self.sequence, encode_record(record)))
                taken.append((decisions, event.at_ms))
        if not rows:
            return
        # The state has moved on already: whatever ends us now, the journal must follow it.
        with anyio.CancelScope(shield=True):
            await self._journal.append(rows)
        for decisions, at_ms in taken:
            for decision in decisions:
                command = command_of(decision)
                if command is not None and command.key in self.state.pending:
                    start(command)
            for watcher in self._watchers:
                watcher(decisions, at_ms)
        self._changed.set()
        self._changed = anyio.Event()
        self._since_checkpoint += len(rows)
        if self._since_checkpoint >= _CHECKPOINT_EVERY:
            await self.write_checkpoint()

    def _step(self, event: Event) -> tuple[Decision, ...]:
        """The decisions, applied. An event that the state cannot take is told and changes nothing but its own command."""
        try:
            return step(self.state, event)
        except IllegalEvent as error:
            log.error("an event was refused", error=str(error))
            if not isinstance(event, CommandOutcome):
                return ()
            said = f"a defect: {error}"
            failed = CommandFailed(
                at_ms=event.at_ms, key=event.key, jitter=event.jitter, error=said, error_class="final"
            )
            return step(self.state, failed)

    async def write_checkpoint(self) -> None:
        self._since_checkpoint = 0
        await self._journal.write_checkpoint(self.sequence, encode_state(self.state))


def _writable(event: Event) -> Event | None:
    """The event if the journal can hold it: text from outside may not be text, and must not end the daemon.

    An outcome that cannot be written is a failure of its command; any other such event is left out.
    """
    try:
        msgspec.json.encode(event)
    except (UnicodeError, msgspec.MsgspecError, TypeError) as error:
        log.error("an event cannot be written", event_kind=type(event).__name__, error=str(error))
        if isinstance(event, CommandOutcome):
            said = f"{type(event).__name__} holds what is not text"
            return CommandFailed(at_ms=event.at_ms, key=event.key, jitter=event.jitter, error=said, error_class="final")
        return None
    return event


Post = Callable[[Event], Awaitable[None]]
