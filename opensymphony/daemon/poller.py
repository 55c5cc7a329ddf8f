"""Asks the tracker, at the pace of `pace.py`, and posts the differences: one event for each, and one for the poll itself."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import anyio.lowlevel
from msgspec import structs

from opensymphony.clock import Clock, iso
from opensymphony.daemon.loop import Post
from opensymphony.daemon.pace import Pace
from opensymphony.daemon.rereading import Rereader
from opensymphony.errors import OpenSymphonyError, ServiceError
from opensymphony.interfaces import Tracker
from opensymphony.logs import get_logger
from opensymphony.model import Ticket, TicketId, encodable
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.comments import unheard
from opensymphony.scheduler.eligibility import GONE, why_not_ours
from opensymphony.scheduler.state import Entry, State
from opensymphony.workflow.policy import PollingPolicy

_SLICE_MS = 4
"""Time on the loop before others get their turn: with the last ticket of a slice and the others' work, well below ten."""
_WITHOUT_POLICY = PollingPolicy(interval_ms=1_000)

log = get_logger(__name__)


class Poller:
    """Reads the tracker. Correctness rests on this; every other way only makes it look sooner."""

    def __init__(self, tracker: Tracker, state: State, clock: Clock, post: Post) -> None:
        self._tracker = tracker
        self._state = state
        self._clock = clock
        self._post = post
        self._pace = Pace(clock.now_ms())
        self._rereader = Rereader(tracker, clock)
        self._turn = anyio.Lock()
        self._hurry = anyio.Event()
        self._wanted = False
        self._slice_ms = 0
        self.polls = 0
        """Polls that were completed or failed."""
        self.trouble: OpenSymphonyError | None = None
        """What the last poll failed with."""

    @property
    def next_ms(self) -> int:
        """When the next look is due."""
        return self._pace.due_ms

    def refresh(self) -> str | None:
        """Look now; several calls before the next poll are one. Returns why it has to wait, when it has to."""
        self._wanted = True
        now_ms = self._clock.now_ms()
        due_ms = self._pace.asked(now_ms)
        self._hurry.set()
        return f"the tracker asked for a pause: it is looked at at {iso(due_ms)}" if due_ms > now_ms else None

    def hold(self, pause_ms: int) -> None:
        """The tracker asked for a pause when something was written to it."""
        self._pace.hold(self._clock.now_ms(), pause_ms)

    def watch(self, decisions: tuple[d.Decision, ...], at_ms: int) -> None:
        """Told of what was decided: what we write on a ticket, people answer; a new policy is looked at with new eyes."""
        for decision in decisions:
            written = isinstance(d.command_of(decision), c.TransitionTicket | c.WriteComment)
            if (written or isinstance(decision, d.PolicyAdopted)) and self._stir():
                self._hurry.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self.poll()
            while (wait_ms := self._pace.due_ms - self._clock.now_ms()) > 0:
                self._hurry = anyio.Event()
                with anyio.move_on_after(wait_ms / 1000):
                    await self._hurry.wait()

    async def poll(self) -> None:
        """Read once; nothing during a pause that the tracker asked for. Its trouble changes nothing about any ticket."""
        async with self._turn:
            if self._clock.now_ms() >= self._pace.held_until_ms:
                await self._poll()

    async def _poll(self) -> None:
        self._wanted = False
        try:
            problems = await self._read()
        except OpenSymphonyError as error:
            log.warning("poll failed", error=str(error))
            await self._fail(error)
        except Exception as error:
            # A defect of ours: agents at work must not be taken down by it.
            log.exception("poll failed unexpectedly")
            await self._fail(ServiceError("tracker", " ".join(str(error).split()) or type(error).__name__))
        else:
            if self.trouble is not None:
                log.info("the tracker can be read again")
            self.trouble = None
            busy = bool(self._state.running or self._state.pending)
            self._pace.succeeded(self._clock.now_ms(), self._polling, busy=busy, jitter=self._clock.jitter())
            if problems is not None:
                await self._post(e.PollCompleted(at_ms=self._clock.now_ms(), problems=problems))
        if self._wanted:  # during the look
            self._pace.asked(self._clock.now_ms())
        self.polls += 1

    @property
    def _polling(self) -> PollingPolicy:
        policy = self._state.policy
        return policy.polling if policy is not None else _WITHOUT_POLICY

    def _stir(self) -> bool:
        return self._pace.stirred(self._clock.now_ms(), self._polling, self._clock.jitter())

    async def _fail(self, error: OpenSymphonyError) -> None:
        self.trouble = error
        pause_ms = error.retry_after_ms if isinstance(error, ServiceError) else None
        self._pace.failed(self._clock.now_ms(), self._polling, pause_ms=pause_ms, jitter=self._clock.jitter())
        await self._post(e.PollFailed(at_ms=self._clock.now_ms(), error=encodable(str(error))))

    async def _read(self) -> tuple[str, ...] | None:
        """What was wrong with single tickets; None when nobody has said yet what to look for."""
        policy = self._state.policy
        if policy is None:
            return None
        began_ms = self._slice_ms = self._clock.now_ms()
        page = await self._tracker.fetch_candidates(policy.tracker.active_states)
        seen: set[TicketId] = set()
        for ticket in page.tickets:
            seen.add(ticket.id)
            await self._compare(self._state.entries.get(ticket.id), ticket, began_ms)
        await self._rereader.read(await self._others(seen), self._state.running.keys(), self._take)
        told = set(page.problems)
        unread = [problem for problem in self._rereader.problems() if problem.partition(": ")[2] not in told]
        return (*page.problems, *unread)

    async def look_at(self, ids: Sequence[TicketId]) -> dict[TicketId, Ticket]:
        """Read these tickets now, whoever said that something happened to them; those that are there.

        One of ours that is not is told as gone; one that we do not know becomes known only when it is one to work on.
        Raises what the tracker raises.
        """
        found: dict[TicketId, Ticket] = {}

        async def take(asked: Sequence[TicketId], tickets: dict[TicketId, Ticket], began_ms: int) -> None:
            found.update(tickets)
            policy = self._state.policy
            known = [one for one in asked if one in self._state.entries]
            await self._take(known, tickets, began_ms)
            for ticket_id, ticket in tickets.items():
                if ticket_id not in self._state.entries and policy is not None and why_not_ours(ticket, policy) is None:
                    await self._compare(None, ticket, began_ms)

        async with self._turn:
            if self._clock.now_ms() < self._pace.held_until_ms:
                raise ServiceError(
                    "tracker", "it asked for a pause", retry_after_ms=self._pace.held_until_ms - self._clock.now_ms()
                )
            self._slice_ms = self._clock.now_ms()
            await Rereader(self._tracker, self._clock).read(ids, self._state.running.keys(), take)
        return found

    async def _others(self, seen: set[TicketId]) -> list[TicketId]:
        """What we keep and the search no longer shows: moved on, closed, or gone."""
        kept: list[TicketId] = []
        for ticket_id in list(self._state.entries):
            entry = self._state.entries.get(ticket_id)
            wanted = entry is not None and (entry.phase != "closed" or entry.workspace is not None)
            if wanted and ticket_id not in seen:
                kept.append(ticket_id)
            await self._give_way()
        return kept

    async def _take(self, asked: Sequence[TicketId], found: dict[TicketId, Ticket], began_ms: int) -> None:
        for ticket_id in asked:
            entry = self._state.entries.get(ticket_id)
            ticket = found.get(ticket_id)
            if entry is None:
                continue
            if ticket is not None:
                await self._compare(entry, ticket, began_ms)
            elif entry.ticket.state != GONE:
                self._stir()
                await self._post(e.TicketVanished(at_ms=self._clock.now_ms(), ticket_id=ticket_id))

    async def _compare(self, entry: Entry | None, ticket: Ticket, began_ms: int) -> None:
        if entry is None or entry.ticket != ticket:
            # A heartbeat is a change too, but nothing has happened.
            if entry is None or structs.replace(ticket, claim=entry.ticket.claim) != entry.ticket:
                self._stir()
            await self._post(e.TicketChanged(at_ms=self._clock.now_ms(), ticket=ticket, read_ms=began_ms))
        if entry is not None:
            for comment in unheard(entry, ticket):
                self._stir()
                await self._post(e.TicketCommented(at_ms=self._clock.now_ms(), ticket_id=ticket.id, comment=comment))
        await self._give_way()

    async def _give_way(self) -> None:
        """Let others have the loop when this slice has lasted long enough."""
        if self._clock.now_ms() - self._slice_ms >= _SLICE_MS:
            await anyio.lowlevel.checkpoint()
            self._slice_ms = self._clock.now_ms()
