"""The one consumer of events: event, decision, journal, and only then the command.

Events come in from the poller, the executor and people; what they lead to is durable before any of it is done. Many
events that wait together share one transaction. While the journal cannot be written, nothing is decided and nothing starts;
what runs goes on, its events wait, and all of it is taken up as soon as there is room.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import anyio
import anyio.lowlevel
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream

from opensymphony.clock import Clock
from opensymphony.daemon.marking import marks_of
from opensymphony.errors import StoreUnwritable
from opensymphony.logs import get_logger
from opensymphony.scheduler import step
from opensymphony.scheduler.commands import Command, StopRun
from opensymphony.scheduler.decisions import Decision, command_of
from opensymphony.scheduler.events import CommandFailed, CommandOutcome, Event, TimePassed
from opensymphony.scheduler.machine import IllegalEvent
from opensymphony.scheduler.records import Record, encode_record, encode_state
from opensymphony.scheduler.state import State, next_due_ms
from opensymphony.store.marks import Marks
from opensymphony.store.sqlite import Journal

_QUEUE_MAX = 10_000
"""Events that may wait; a poster waits when it is full."""
_BATCH_MAX = 256
_SLICE_MS = 4
"""Time that deciding may take before others get their turn: a big batch takes many times as long."""
_CHECKPOINT_EVERY = 2_000
"""Records between two checkpoints: folding this many takes a few hundredths of a second."""

_WRITE_AGAIN_S = 3
"""Between two tries to write what could not be written: a person who frees space sees the daemon go on."""

log = get_logger(__name__)

Taken = tuple[tuple[Decision, ...], int]
"""The decisions of one event, and its time."""


class Watcher(Protocol):
    """Told of what was decided, once it is durable. Must not wait."""

    def __call__(self, decisions: tuple[Decision, ...], at_ms: int) -> None: ...


class Loop:
    """Owns the state. Everything that changes it goes through `post`."""

    def __init__(self, state: State, sequence: int, journal: Journal, clock: Clock) -> None:
        self.state = state
        self.sequence = sequence
        """Of the last durable record."""
        self.storage_error: str | None = None
        """Why the journal cannot be written right now; the state is ahead of it by what waits to be written."""
        self.clock = clock
        self._journal = journal
        self._unwritten: list[tuple[int, bytes]] = []
        self._marks: list[Marks] = []
        """Of what is not written yet."""
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
        wanted = self._posted
        while self._taken < min(wanted, self._posted):
            await self._idle.wait()

    async def run(self, start: Callable[[Command], None]) -> None:
        """Consume events until cancelled. `start` begins a command and returns at once."""
        async with self._receive as events:
            while True:
                await anyio.lowlevel.checkpoint()  # also where a thousand events in a row change nothing
                batch = await self._next(events)
                await self._take(batch, start)
                self._taken += sum(not isinstance(event, TimePassed) for event in batch)
                self._idle.set()
                self._idle = anyio.Event()

    async def _next(self, events: MemoryObjectReceiveStream[Event]) -> list[Event]:
        """The events that wait, or the next one to come; and `TimePassed` when something is due."""
        batch = _waiting(events)
        due_ms = next_due_ms(self.state)
        if not batch:
            wait_s = None if due_ms is None else max(0, due_ms - self.clock.now_ms()) / 1000
            with anyio.move_on_after(wait_s):
                batch.append(await events.receive())
            batch += _waiting(events)
        # What was reported before something became due counts before it: a sign of life that waited here is one.
        now_ms = self.clock.now_ms() if len(batch) < _BATCH_MAX else batch[-1].at_ms
        if due_ms is not None and due_ms <= now_ms:
            batch.append(TimePassed(at_ms=now_ms, jitter=self.clock.jitter()))
        return batch

    async def _take(self, batch: list[Event], start: Callable[[Command], None]) -> None:
        rows: list[tuple[int, bytes]] = []
        marks: list[Marks] = []
        taken: list[Taken] = []
        slice_ms = self.clock.now_ms()
        for event in map(_writable, batch):
            if event is None:
                continue
            if self.clock.now_ms() - slice_ms >= _SLICE_MS:
                await anyio.lowlevel.cancel_shielded_checkpoint()
                slice_ms = self.clock.now_ms()
            decisions = self._step(event)
            if decisions:
                # As recovery does: a clock that goes on from a checkpoint must not start before the last record.
                self.state.now_ms = max(self.state.now_ms, event.at_ms)
                record = Record(sequence=self.sequence + len(rows) + 1, event=event, decisions=decisions)
                rows.append((record.sequence, encode_record(record)))
                found = marks_of(record)
                if found is not None:
                    marks.append(found)
                taken.append((decisions, event.at_ms))
        if not rows:
            return
        await self._write(rows, marks)
        self._act(taken, start)
        self._since_checkpoint += len(rows)
        if self._since_checkpoint >= _CHECKPOINT_EVERY:
            await self.write_checkpoint()

    async def _write(self, rows: list[tuple[int, bytes]], marks: list[Marks]) -> None:
        """Return when they are durable, however long that takes. The state has moved on already: the journal must follow."""
        self._unwritten, self._marks = rows, marks
        while True:
            if await self._try_to_write():
                return
            await anyio.sleep(_WRITE_AGAIN_S)

    async def _try_to_write(self) -> bool:
        rows = self._unwritten
        try:
            with anyio.CancelScope(shield=True):
                await self._journal.append(rows, self._marks)
        except StoreUnwritable as error:
            self._note_storage(str(error))
            return False
        self.sequence = rows[-1][0]
        self._unwritten, self._marks = [], []
        self._note_storage(None)
        return True

    def _note_storage(self, error: str | None) -> None:
        if error == self.storage_error:
            return
        if error is None:
            log.info("the journal can be written again; work goes on", records=self.sequence)
        else:
            log.error("nothing new starts, what runs goes on", error=error, tried_again_every=f"{_WRITE_AGAIN_S} s")
        self.storage_error = error
        self._tell()

    def _act(self, taken: list[Taken], start: Callable[[Command], None]) -> None:
        """Do what was decided, now that it is durable."""
        for command in still_wanted([decision for decisions, _ in taken for decision in decisions], self.state):
            start(command)
        for decisions, at_ms in taken:
            for watcher in self._watchers:
                watcher(decisions, at_ms)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _step(self, event: Event) -> tuple[Decision, ...]:
        decisions, refused = take(self.state, event)
        if refused is not None:
            log.error("an event was refused", error=refused)
        return decisions

    async def write_checkpoint(self) -> None:
        """Keep the state as it is now; put off when there is no room, since the records say the same.

        At the end of the daemon it is also the last try to write what could not be written yet.
        """
        self._since_checkpoint = 0
        if self._unwritten and not await self._try_to_write():
            return  # nothing was done because of it, so the next start goes on from before it
        try:
            await self._journal.write_checkpoint(self.sequence, encode_state(self.state))
        except StoreUnwritable as error:
            log.warning("no checkpoint was written", error=str(error))


def take(state: State, event: Event) -> tuple[tuple[Decision, ...], str | None]:
    """The decisions, applied; and what to tell about an event that the state cannot take.

    Such an event changes nothing but its own command, which it fails.
    """
    try:
        return step(state, event), None
    except IllegalEvent as error:
        if not isinstance(event, CommandOutcome):
            return (), str(error)
        said = f"a defect: {error}"
        failed = CommandFailed(at_ms=event.at_ms, key=event.key, jitter=event.jitter, error=said, error_class="final")
        return step(state, failed), str(error)


def _waiting(events: MemoryObjectReceiveStream[Event]) -> list[Event]:
    batch: list[Event] = []
    while len(batch) < _BATCH_MAX:
        try:
            batch.append(events.receive_nowait())
        except anyio.WouldBlock:
            break
    return batch


def still_wanted(decisions: Iterable[Decision], state: State) -> list[Command]:
    """The commands of a batch, in order, without what a later decision of the same batch has settled, or stops."""
    commands = [
        command for command in map(command_of, decisions) if command is not None and command.key in state.pending
    ]
    stopped = {command.target_key for command in commands if isinstance(command, StopRun)}
    return [command for command in commands if command.key not in stopped]


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
