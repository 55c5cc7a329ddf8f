"""How fast a site may be asked: pauses that it asks for, for everything, for one kind of call, or for one ticket.

Jira has three limits, all answered with 429 and told apart by `RateLimit-Reason`: points per hour for the whole site, bursts of
one kind of call, and writes to one ticket. Reads of the clock come from outside; nothing here waits longer than it must.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping

import anyio
from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.logs import get_logger

AT_ONCE_MAX = 8
"""Connections of one daemon; people's browsers use the same limits."""
_NEAR_PAUSE_MS = 1_000
"""Between two calls where the site says that less than a fifth of its limit is left: that share is for people."""
_PAUSE_MS = (2_000, 4_000, 8_000, 16_000)
_PAUSE_MAX_MS = 3_600_000
_WRITES = ((18, 2_000), (90, 30_000))
"""Of one ticket: a little below the 20 in 2 s and 100 in 30 s that Jira takes."""
_TICKETS_MAX = 1_024

log = get_logger(__name__)


class Usage(Struct, kw_only=True):
    """What was asked of the site, for people."""

    requests: int = 0
    refused: int = 0
    """Of these, answered with 429."""
    remaining: int | None = None
    """As the site said last."""
    paused_until_ms: int = 0


class Limits:
    """One for a site."""

    def __init__(self, clock: Clock, sleep: Callable[[float], Awaitable[None]] = anyio.sleep) -> None:
        """`sleep` takes seconds; a test passes its own."""
        self._clock = clock
        self._sleep = sleep
        self._slots = anyio.Semaphore(AT_ONCE_MAX)
        self._until: dict[str, int] = {}
        """When what a key stands for may be asked again: `""` is everything."""
        self._writes: dict[str, deque[int]] = {}
        self._near = False
        self._last_ms = 0
        self.usage = Usage()

    async def turn(self, call: str, ticket: str | None, *, patience_ms: int) -> int:
        """Wait until this may be asked. Returns 0, or how long it would have to wait when that is more than `patience_ms`.

        `call` names the kind of call; `ticket` the ticket that it writes to.
        """
        while True:
            wait_ms = self._wait_ms(call, ticket)
            if wait_ms <= 0:
                break
            if wait_ms > patience_ms:
                return wait_ms
            patience_ms -= wait_ms
            await self._sleep(wait_ms / 1000)
        now_ms = self._clock.now_ms()
        self._last_ms = now_ms
        if ticket is not None:
            self._note_write(ticket, now_ms)
        self.usage.requests += 1
        return 0

    def slot(self) -> anyio.Semaphore:
        """Held while a call is under way."""
        return self._slots

    def heard(self, headers: Mapping[str, str]) -> None:
        """What the answer to any call says of the limits."""
        self._near = headers.get("X-RateLimit-NearLimit", "").lower() == "true"
        remaining = headers.get("X-RateLimit-Remaining", "")
        if remaining.isdecimal():
            self.usage.remaining = int(remaining)

    def refused(self, headers: Mapping[str, str], call: str, ticket: str | None, attempt: int) -> int:
        """Take a 429 or 503 in; how long that pauses what was asked."""
        self.usage.refused += 1
        least_ms = retry_after_ms(headers)
        spread = 0.7 + 0.6 * self._clock.jitter()
        own_ms = int(_PAUSE_MS[min(attempt, len(_PAUSE_MS) - 1)] * spread)
        pause_ms = min(max(least_ms or 0, own_ms), _PAUSE_MAX_MS)
        reason = headers.get("RateLimit-Reason", "").lower()
        until_ms = self._clock.now_ms() + pause_ms
        if "per-issue" in reason and ticket is not None:
            key = f"ticket {ticket}"
        elif "burst" in reason:
            key = f"call {call}"
        else:
            key = ""
            self.usage.paused_until_ms = until_ms
        self._until[key] = max(self._until.get(key, 0), until_ms)
        log.warning("jira asks for a pause", reason=reason or "none", what=key or "everything", pause_ms=pause_ms)
        return pause_ms

    def _wait_ms(self, call: str, ticket: str | None) -> int:
        now_ms = self._clock.now_ms()
        for key in [key for key, until_ms in self._until.items() if until_ms <= now_ms]:
            del self._until[key]
        keys = ("", f"call {call}", *((f"ticket {ticket}",) if ticket is not None else ()))
        waits = [self._until.get(key, now_ms) - now_ms for key in keys]
        if self._near:
            waits.append(self._last_ms + _NEAR_PAUSE_MS - now_ms)
        if ticket is not None:
            waits.append(self._write_wait_ms(ticket, now_ms))
        return max(waits)

    def _note_write(self, ticket: str, now_ms: int) -> None:
        if len(self._writes) >= _TICKETS_MAX and ticket not in self._writes:
            del self._writes[next(iter(self._writes))]
        self._writes.setdefault(ticket, deque(maxlen=_WRITES[-1][0])).append(now_ms)

    def _write_wait_ms(self, ticket: str, now_ms: int) -> int:
        written = self._writes.get(ticket, ())
        wait_ms = 0
        for most, span_ms in _WRITES:
            recent = [at_ms for at_ms in written if at_ms > now_ms - span_ms]
            if len(recent) >= most:
                wait_ms = max(wait_ms, recent[-most] + span_ms - now_ms)
        return wait_ms


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """What `Retry-After` asks for, in seconds there; None when it says nothing that can be read."""
    try:
        return max(0, int(float(headers.get("Retry-After", "")) * 1000))
    except (ValueError, OverflowError):
        return None
