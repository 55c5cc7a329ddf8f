"""Asks the tracker on its schedule and posts the differences: one event for each, and one for the poll itself."""

from __future__ import annotations

import anyio
import anyio.lowlevel

from opensymphony.clock import Clock
from opensymphony.daemon.loop import Post
from opensymphony.errors import BadAnswer, OpenSymphonyError, ServiceError
from opensymphony.interfaces import Tracker
from opensymphony.logs import get_logger
from opensymphony.model import Ticket, TicketId, encodable
from opensymphony.scheduler import events as e
from opensymphony.scheduler.decide import GONE
from opensymphony.scheduler.state import State

_REFRESH_MAX = 100
"""Ids in one refresh request."""
_SLICE = 200
"""Tickets compared before the loop gets its turn."""

log = get_logger(__name__)


class Poller:
    """Reads the tracker. Correctness rests on this; every other way only makes it look sooner."""

    def __init__(self, tracker: Tracker, state: State, clock: Clock, post: Post) -> None:
        self._tracker = tracker
        self._state = state
        self._clock = clock
        self._post = post
        self._wanted = anyio.Event()
        self.polls = 0
        """Polls that were completed or failed."""
        self.trouble: OpenSymphonyError | None = None
        """What the last poll failed with."""

    def refresh(self) -> None:
        """Look now; several calls before the next poll are one."""
        self._wanted.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            self._wanted = anyio.Event()
            await self.poll()
            policy = self._state.policy
            interval_ms = policy.polling.interval_ms if policy is not None else 1_000
            with anyio.move_on_after(interval_ms / 1000):
                await self._wanted.wait()

    async def poll(self) -> None:
        """Read once. A tracker in trouble changes nothing about any ticket."""
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
            self.trouble = None
            if problems is not None:
                await self._post(e.PollCompleted(at_ms=self._clock.now_ms(), problems=problems))
        self.polls += 1

    async def _fail(self, error: OpenSymphonyError) -> None:
        self.trouble = error
        await self._post(e.PollFailed(at_ms=self._clock.now_ms(), error=encodable(str(error))))

    async def _read(self) -> tuple[str, ...] | None:
        """What was wrong with single tickets; None when nobody has said yet what to look for."""
        policy = self._state.policy
        if policy is None:
            return None
        began_ms = self._clock.now_ms()
        page = await self._tracker.fetch_candidates(policy.tracker.active_states)
        seen: set[TicketId] = set()
        for index, ticket in enumerate(page.tickets):
            seen.add(ticket.id)
            entry = self._state.entries.get(ticket.id)
            if entry is None or entry.ticket != ticket:
                await self._post(e.TicketChanged(at_ms=self._clock.now_ms(), ticket=ticket, read_ms=began_ms))
            if index % _SLICE == _SLICE - 1:
                await anyio.lowlevel.checkpoint()
        return (*page.problems, *await self._refresh_others(seen))

    async def _refresh_others(self, seen: set[TicketId]) -> list[str]:
        """What we keep and the search no longer shows: moved on, closed, or gone. Returns what could not be read."""
        problems: list[str] = []
        kept = [
            ticket_id
            for ticket_id, entry in self._state.entries.items()
            if ticket_id not in seen and (entry.phase != "closed" or entry.workspace is not None)
        ]
        for start in range(0, len(kept), _REFRESH_MAX):
            ids = kept[start : start + _REFRESH_MAX]
            began_ms = self._clock.now_ms()
            found, unreadable = await self._fetch(ids)
            problems += unreadable.values()
            for ticket_id in ids:
                entry = self._state.entries.get(ticket_id)
                ticket = found.get(ticket_id)
                if entry is None or ticket_id in unreadable:
                    continue
                if ticket is None:
                    if entry.ticket.state != GONE:
                        await self._post(e.TicketVanished(at_ms=self._clock.now_ms(), ticket_id=ticket_id))
                elif entry.ticket != ticket:
                    changed = e.TicketChanged(at_ms=self._clock.now_ms(), ticket=ticket, read_ms=began_ms)
                    await self._post(changed)
        return problems

    async def _fetch(self, ids: list[TicketId]) -> tuple[dict[TicketId, Ticket], dict[TicketId, str]]:
        """The tickets, and what is wrong with those that cannot be read: one bad ticket never hides the others."""
        try:
            return {ticket.id: ticket for ticket in await self._tracker.fetch_tickets(ids)}, {}
        except BadAnswer as error:
            if len(ids) == 1:
                return {}, {ids[0]: str(error)}
        found: dict[TicketId, Ticket] = {}
        unreadable: dict[TicketId, str] = {}
        for ticket_id in ids:
            good, bad = await self._fetch([ticket_id])
            found.update(good)
            unreadable.update(bad)
        return found, unreadable
