"""When a day of the budget begins."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from opensymphony.clock import Clock
from opensymphony.daemon.calendar import Calendar, day_of, next_day_ms
from opensymphony.scheduler import events as e

HOUR_MS = 3_600_000


def at(text: str, zone: str = "UTC") -> int:
    """Milliseconds of a local time."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


class Ended(Exception):
    """The pretended time is over."""


class Wall(Clock):
    """A machine whose wall clock the test holds."""

    def __init__(self, wall_ms: int) -> None:
        super().__init__()
        self.now = wall_ms

    def wall_ms(self) -> int:
        return self.now


class World:
    """A calendar in virtual time, and the days that it told with the wall time of each."""

    def __init__(self, start_ms: int, zone: str = "UTC", *, day: str = "") -> None:
        self.zone = zone
        self.clock = Wall(start_ms)
        self.told: list[tuple[str, int]] = []
        self.until_ms = 0
        self.calendar = Calendar(lambda: self.zone, self.post, self.clock, day=day, sleep=self.sleep)

    async def post(self, event: e.Event) -> None:
        assert isinstance(event, e.DayBegan)
        self.told.append((event.day, self.clock.now))

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0, "it never looks without a pause"
        self.clock.now += round(seconds * 1000)
        if self.clock.now >= self.until_ms:
            raise Ended

    async def runs(self, hours: int) -> None:
        self.until_ms = self.clock.now + hours * HOUR_MS
        with pytest.raises(Ended):
            await self.calendar.run()


async def test_each_midnight_is_told_once_and_on_time() -> None:
    """The first day at once, every further one in the moment in which it begins."""
    world = World(at("2026-11-25T22:30"))
    await world.calendar.look()
    await world.runs(49)
    assert world.told == [
        ("2026-11-25", at("2026-11-25T22:30")),
        ("2026-11-26", at("2026-11-26T00:00")),
        ("2026-11-27", at("2026-11-27T00:00")),
    ]


@pytest.mark.parametrize(
    ("zone", "start", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T00:00", 23),
        ("Europe/Berlin", "2026-10-25T00:00", 25),
        ("America/New_York", "2026-11-01T00:00", 25),
        ("Australia/Lord_Howe", "2026-04-05T00:00", 24.5),
        ("Asia/Kolkata", "2026-03-29T00:00", 24),
        ("Africa/Cairo", "2026-04-24T01:00", 23),  # its midnight is left out: the day begins at one o'clock
    ],
)
def test_a_day_is_as_long_as_it_is_there(zone: str, start: str, hours: float) -> None:
    """Clocks are put forward and back; the day after begins at its own midnight."""
    begins_ms = at(start, zone)
    assert next_day_ms(begins_ms - 1, zone) == begins_ms
    assert next_day_ms(begins_ms, zone) - begins_ms == hours * HOUR_MS
    assert (day_of(begins_ms - 1, zone), day_of(begins_ms, zone)) < (start[:10], f"{start[:10]}~")


async def test_a_machine_that_slept_over_midnight_is_told_when_it_wakes() -> None:
    """Only the day that it is; those that were slept away are nobody's."""
    world = World(at("2026-11-25T22:00"), day="2026-11-25")
    world.clock.now = at("2026-11-28T07:12")
    await world.runs(1)
    assert [day for day, _ in world.told] == ["2026-11-28"]


async def test_a_restart_tells_no_day_twice() -> None:
    """The journal knows which day it is; what was spent stays spent."""
    world = World(at("2026-11-25T22:30"), day="2026-11-25")
    await world.calendar.look()
    assert world.told == []


async def test_a_changed_zone_is_seen() -> None:
    """Further east it may be tomorrow already; back in the west today's spending is not forgotten."""
    world = World(at("2026-11-25T20:00"))
    await world.calendar.look()
    world.zone = "Asia/Tokyo"
    await world.calendar.look()
    world.zone = "America/Los_Angeles"
    await world.calendar.look()
    assert [day for day, _ in world.told] == ["2026-11-25", "2026-11-26"]


async def test_a_clock_that_was_far_wrong_is_put_right() -> None:
    """A start in the year 2031 does not keep every day until then from beginning."""
    world = World(at("2031-01-01T00:00"))
    await world.calendar.look()
    world.clock.now = at("2026-11-25T20:00")
    await world.calendar.look()
    assert [day for day, _ in world.told] == ["2031-01-01", "2026-11-25"]
