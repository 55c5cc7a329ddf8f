"""The protocol of claims: of several daemons on one board, one works on a ticket.

Out: what `ClaimTicket` asks for, in one place for every tracker. A tracker compares and writes; here is decided what may be
replaced, and what still has to be waited for.

1. *Whose it is.* A claim of ours, of whatever generation, is ours. Another's stands until it is stale.
2. *When it is stale.* Clocks of two machines may differ by hours, and a daemon that was asleep lags behind. So no two clocks
   are compared: a claim is stale when we have seen it unchanged for `stale_after_ms` of our own time. Its owner changes it
   three times as often. After our own start we have seen nothing yet, and wait that long.
3. *Trackers without a lock* let two daemons write at once; the later write stands. So after ours we wait `claim_settle_ms` and
   read again: what stands there then counts, for both. A first write that took longer than that, from the reading before it,
   may have come after another's second reading, and is withdrawn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.interfaces import Tracker
from opensymphony.logs import get_logger
from opensymphony.model import Claim, ClaimAnswer, TicketId

_OBSERVED_MAX = 20_000
"""Tickets of others that are remembered; the oldest goes first, and its claim stands the longer for it."""

log = get_logger(__name__)


class _Observed(Struct, frozen=True):
    claim: Claim
    since_ms: int


class Claims:
    """Belongs to one daemon and its tracker."""

    def __init__(self, tracker: Tracker, clock: Clock, sleep: Callable[[float], Awaitable[None]] = anyio.sleep) -> None:
        """`sleep` takes seconds; a test passes its own."""
        self._tracker = tracker
        self._clock = clock
        self._sleep = sleep
        self._observed: dict[TicketId, _Observed] = {}
        self._held: set[TicketId] = set()

    async def claim(self, ticket_id: TicketId, claim: Claim, *, stale_after_ms: int) -> ClaimAnswer:
        """Write `claim`, or renew ours, unless another's stands there that is not stale."""
        began_ms = self._clock.now_ms()
        answer = await self._tracker.claim(ticket_id, claim, replacing=None)
        if answer.holder is not None and self._is_stale(ticket_id, answer.holder, stale_after_ms):
            log.info("a stale claim is taken over", ticket=ticket_id, holder=answer.holder.instance)
            began_ms = self._clock.now_ms()
            answer = await self._tracker.claim(ticket_id, claim, replacing=answer.holder)
        if answer.granted:
            answer = await self._settled(ticket_id, claim, began_ms)
        if answer.granted:
            self._held.add(ticket_id)
            self._observed.pop(ticket_id, None)
        else:
            self._held.discard(ticket_id)
        return answer

    async def release(self, ticket_id: TicketId, claim: Claim) -> None:
        """Take our claim off again; another's is left alone."""
        self._held.discard(ticket_id)
        await self._tracker.release(ticket_id, claim)

    def _is_stale(self, ticket_id: TicketId, holder: Claim, stale_after_ms: int) -> bool:
        now_ms = self._clock.now_ms()
        seen = self._observed.get(ticket_id)
        if seen is None or seen.claim != holder:
            self._observed.pop(ticket_id, None)
            if len(self._observed) >= _OBSERVED_MAX:
                del self._observed[next(iter(self._observed))]
            self._observed[ticket_id] = _Observed(holder, now_ms)
            return False
        return now_ms - seen.since_ms > stale_after_ms

    async def _settled(self, ticket_id: TicketId, claim: Claim, began_ms: int) -> ClaimAnswer:
        """What stands on the ticket once nobody who read it before our write can still write."""
        settle_ms = self._tracker.claim_settle_ms
        if settle_ms <= 0:
            return ClaimAnswer(granted=True)
        renewed = ticket_id in self._held
        took_ms = self._clock.now_ms() - began_ms
        if took_ms >= settle_ms and not renewed:
            log.warning("a claim took too long and is withdrawn", ticket=ticket_id, took_ms=took_ms)
            await self._tracker.release(ticket_id, claim)
            return ClaimAnswer(granted=False)
        await self._sleep(settle_ms / 1000)
        found = await self._tracker.fetch_tickets([ticket_id])
        stands = found[0].claim if found else None
        if stands is None and renewed:
            return ClaimAnswer(granted=True)  # a write that was lost is nobody else's; the next renewal writes again
        if stands is not None and stands.instance == claim.instance:
            return ClaimAnswer(granted=True)
        return ClaimAnswer(granted=False, holder=stands)
