"""Reads tickets again by their ids, a hundred at once, and keeps those apart that cannot be read.

One bad ticket spoils the answer for the others of its request. It is found by halving, told as a problem, and from then on
asked for alone and more and more rarely; a ticket with a run is asked for at every look. What the search may cost is limited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence, Set
from itertools import islice

from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, NotFound, OpenSymphonyError, ServiceError
from opensymphony.interfaces import Tracker
from opensymphony.logs import get_logger
from opensymphony.model import Ticket, TicketId

REQUEST_MAX = 100
"""Ids in one request."""
SEARCH_MAX = 32
"""Requests of one look that only search for bad tickets: about fourteen are found with them, the others at the next looks."""
ALONE_MAX = 10
"""Bad tickets that one look asks for again."""
PROBLEMS_MAX = 100
"""Lines about bad tickets; the last one counts the others."""
_PAUSE_MAX = 16
"""Looks between two tries of a bad ticket."""

Take = Callable[[Sequence[TicketId], dict[TicketId, Ticket], int], Awaitable[None]]
"""Told of each answer: the ids asked for, the tickets that are there, and when it was asked."""

log = get_logger(__name__)


class _Bad(Struct):
    """A ticket that could not be read alone."""

    problem: str
    due: int
    """Number of the look that tries it again."""
    pause: int = 1


class Rereader:
    """Belongs to one poller and remembers the bad tickets of its tracker."""

    def __init__(self, tracker: Tracker, clock: Clock) -> None:
        self._tracker = tracker
        self._clock = clock
        self._bad: dict[TicketId, _Bad] = {}
        self._look = 0
        self._search_left = 0
        self._unread = 0

    async def read(self, ids: Sequence[TicketId], urgent: Set[TicketId], take: Take) -> None:
        """Read them all, `urgent` ones first. Raises what makes the whole tracker unreadable."""
        self._look += 1
        self._search_left, self._unread = SEARCH_MAX, 0
        wanted = set(ids)
        for ticket_id in [known for known in self._bad if known not in wanted]:
            del self._bad[ticket_id]
        alone = self._alone(urgent)
        good = [ticket_id for ticket_id in ids if ticket_id not in self._bad]
        good.sort(key=lambda ticket_id: ticket_id not in urgent)
        for start in range(0, len(good), REQUEST_MAX):
            await self._ask(good[start : start + REQUEST_MAX], take)
        for ticket_id in alone:
            await self._ask([ticket_id], take)

    def problems(self) -> list[str]:
        """What could not be read, as of the last look."""
        found = [bad.problem for bad in islice(self._bad.values(), PROBLEMS_MAX)]
        if len(self._bad) > PROBLEMS_MAX:
            found.append(f"{len(self._bad) - PROBLEMS_MAX} more tickets cannot be read")
        if self._unread:
            found.append(
                f"{self._unread} tickets could not be read again because of others; the next looks go on with them"
            )
        return found

    def _alone(self, urgent: Set[TicketId]) -> list[TicketId]:
        due = [ticket_id for ticket_id, bad in self._bad.items() if bad.due <= self._look or ticket_id in urgent]
        due.sort(key=lambda ticket_id: (ticket_id not in urgent, self._bad[ticket_id].due))
        return due[:ALONE_MAX]

    async def _ask(self, ids: Sequence[TicketId], take: Take) -> None:
        began_ms = self._clock.now_ms()
        try:
            found = await self._tracker.fetch_tickets(ids)
        except (BadAnswer, NotFound) as error:
            await self._narrow(ids, error, take)
        except OpenSymphonyError:
            raise
        except Exception as error:
            # A defect of ours that one strange ticket brings out must not hide the others.
            if len(ids) == 1 and ids[0] not in self._bad:
                log.exception("a ticket cannot be read", ticket=ids[0])
            said = " ".join(str(error).split()) or type(error).__name__
            await self._narrow(ids, ServiceError("tracker", f"{said} (a defect)"), take)
        else:
            if len(ids) == 1 and self._bad.pop(ids[0], None) is not None:
                for other in self._bad.values():
                    other.due = self._look  # whatever was wrong may be over for all of them
            await take(ids, {ticket.id: ticket for ticket in found}, began_ms)

    async def _narrow(self, ids: Sequence[TicketId], error: ServiceError, take: Take) -> None:
        if len(ids) == 1:
            self._note(ids[0], str(error))
            return
        middle = len(ids) // 2
        for half in (ids[:middle], ids[middle:]):
            if self._search_left <= 0:
                self._unread += len(half)
                continue
            self._search_left -= 1
            await self._ask(half, take)

    def _note(self, ticket_id: TicketId, problem: str) -> None:
        bad = self._bad.get(ticket_id)
        if bad is None:
            self._bad[ticket_id] = _Bad(problem=problem, due=self._look + 1)
            return
        bad.problem, bad.pause = problem, min(bad.pause * 2, _PAUSE_MAX)
        bad.due = self._look + bad.pause
