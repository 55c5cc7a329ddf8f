"""How fast a site may be asked: pauses that it asks for, for everything, for one kind of call, or for one ticket.

Jira has three limits, all answered with 429 and told apart by `RateLimit-Reason`: points per hour for the whole site, bursts of
one kind of call, and writes to one ticket. Reads of the clock come from outside; nothing here waits longer than it must.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from opensymphony import http
from opensymphony.clock import Clock
from opensymphony.services.jira.site import SERVICE

_WRITES = ((18, 2_000), (90, 30_000))
"""Of one ticket: a little below the 20 in 2 s and 100 in 30 s that Jira takes."""
_TICKETS_MAX = 1_024


class Limits(http.Limits):
    """One for a site."""

    def __init__(self, clock: Clock, sleep: Callable[[float], Awaitable[None]] | None = None) -> None:
        """`sleep` takes seconds; a test passes its own."""
        super().__init__(SERVICE, clock, sleep)
        self._until: dict[str, int] = {}
        """When what a key stands for may be asked again: a kind of call, or a ticket."""
        self._writes: dict[str, deque[int]] = {}

    def _hold(self, headers: Mapping[str, str], call: str, about: str | None, until_ms: int) -> str:
        reason = headers.get("RateLimit-Reason", "").lower()
        if "per-issue" in reason and about is not None:
            key = f"ticket {about}"
        elif "burst" in reason:
            key = f"call {call}"
        else:
            return super()._hold(headers, call, about, until_ms)
        self._until[key] = max(self._until.get(key, 0), until_ms)
        return key

    def _wait_ms(self, call: str, about: str | None) -> int:
        now_ms = self._clock.now_ms()
        for key in [key for key, until_ms in self._until.items() if until_ms <= now_ms]:
            del self._until[key]
        waits = [super()._wait_ms(call, about), self._until.get(f"call {call}", now_ms) - now_ms]
        if about is not None:
            waits += [self._until.get(f"ticket {about}", now_ms) - now_ms, self._write_wait_ms(about, now_ms)]
        return max(waits)

    def _note(self, about: str | None) -> None:
        if about is not None:
            self._note_write(about, self._clock.now_ms())

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
