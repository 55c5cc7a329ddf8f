"""Tells the scheduler when a day of the budget's time zone begins.

By the machine's wall clock, looked at once a minute and at midnight: a machine that slept over midnight, a clock that
was set and a time zone that was changed are seen at the next look. A day is told once. One that goes back by a day (a
clock that was set, a zone further west) is not told: what was spent today would be forgotten.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import anyio

from opensymphony.clock import Clock
from opensymphony.daemon.loop import Post
from opensymphony.scheduler import events as e

_LOOK_MS = 60_000
"""A sleeping machine's timers stand still, so that nobody waits for midnight in one go."""


class Calendar:
    """Posts `DayBegan`."""

    def __init__(
        self,
        zone: Callable[[], str],
        post: Post,
        clock: Clock,
        *,
        day: str = "",
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """`zone` names the time zone in force, which was checked when it was read; `day` is the last one that was told."""
        self._zone = zone
        self._post = post
        self._clock = clock
        self._day = day
        self._sleep = sleep

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            wall_ms = self._clock.wall_ms()
            await self._sleep(min(_LOOK_MS, next_day_ms(wall_ms, self._zone()) - wall_ms) / 1000)
            await self.look()

    async def look(self) -> None:
        """Look once, and tell a day that is new."""
        day = day_of(self._clock.wall_ms(), self._zone())
        if day == self._day or _is_day_before(day, self._day):
            return
        self._day = day
        await self._post(e.DayBegan(at_ms=self._clock.now_ms(), day=day))


def day_of(wall_ms: int, zone: str) -> str:
    """The date in a time zone, as `YYYY-MM-DD`."""
    return _local(wall_ms, zone).date().isoformat()


def next_day_ms(wall_ms: int, zone: str) -> int:
    """When the next day begins there; a day may have 23 or 25 hours, and its first hour may be left out."""
    tomorrow = _local(wall_ms, zone).date() + timedelta(days=1)
    begins_ms = round(datetime.combine(tomorrow, time(), ZoneInfo(zone)).timestamp() * 1000)
    return max(begins_ms, wall_ms + 1)


def _local(wall_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone(ZoneInfo(zone))


def _is_day_before(day: str, known: str) -> bool:
    return bool(known) and date.fromisoformat(day) == date.fromisoformat(known) - timedelta(days=1)
