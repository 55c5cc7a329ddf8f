"""How fast a site is asked, and whom a pause concerns."""

from __future__ import annotations

import pytest

from opensymphony.http import retry_after_ms
from opensymphony.services.jira.limits import Limits
from tests.fakes.shifted_clock import Shifted

PATIENCE_MS = 20_000


class Site:
    """Limits whose waiting moves the clock."""

    def __init__(self) -> None:
        self.clock = Shifted()
        self.waited_ms = 0
        self.limits = Limits(self.clock, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waited_ms += round(seconds * 1000)
        self.clock.shift_ms += round(seconds * 1000)

    async def turn(self, call: str = "search", ticket: str | None = None) -> int:
        """How long was waited for it; negative: it would have been so long."""
        before = self.waited_ms
        refused = await self.limits.turn(call, ticket, patience_ms=PATIENCE_MS)
        return -refused or self.waited_ms - before


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.mark.parametrize(
    ("reason", "everything", "same_call", "same_ticket"),
    [
        ("jira-quota-global-based", True, True, True),
        ("jira-quota-tenant-based", True, True, True),
        ("jira-burst-based", False, True, False),
        ("jira-per-issue-on-write", False, False, True),
        ("", True, True, True),
    ],
)
async def test_a_pause_holds_up_what_it_is_about(
    site: Site, reason: str, everything: bool, same_call: bool, same_ticket: bool
) -> None:
    """Quotas everything, bursts one kind of call, writes one ticket; an unknown reason everything, to be safe."""
    site.limits.refused({"Retry-After": "5", "RateLimit-Reason": reason}, "write", "1", 0)
    paused = {
        "everything": await _waits(site, "search", "2"),
        "same call": await _waits(site, "write", "2"),
        "same ticket": await _waits(site, "move", "1"),
    }
    assert paused == {"everything": everything, "same call": same_call, "same ticket": same_ticket}


async def _waits(site: Site, call: str, ticket: str) -> bool:
    return site.limits._wait_ms(call, ticket) > 0


async def test_pauses_grow_and_are_kept(site: Site) -> None:
    """At least what is asked for, at least twice as long each time, spread, and never for hours."""
    pauses = [site.limits.refused({}, "write", None, attempt) for attempt in range(6)]
    assert all(
        least * 0.7 <= pause <= least * 1.3
        for least, pause in zip((2e3, 4e3, 8e3, 16e3, 16e3, 16e3), pauses, strict=True)
    )
    assert site.limits.refused({"Retry-After": "30"}, "write", None, 0) >= 30_000
    assert site.limits.refused({"Retry-After": "99999999"}, "write", None, 0) == 3_600_000
    assert await site.turn() < -3_000_000, "too long to be waited for here"
    assert site.limits.usage.refused == 8
    assert site.limits.usage.paused_until_ms > site.clock.now_ms()


async def test_writes_to_one_ticket_stay_below_what_jira_takes(site: Site) -> None:
    """20 in two seconds and 100 in thirty; others are not held up by it."""
    for _ in range(18):
        assert await site.turn("write", "1") == 0
    assert 1_900 <= await site.turn("write", "1") <= 2_000
    assert await site.turn("write", "2") == 0
    began_ms = site.clock.now_ms()
    for _ in range(200):
        assert await site.limits.turn("write", "1", patience_ms=60_000) == 0
    assert site.clock.now_ms() - began_ms >= 60_000 - 2_000


async def test_the_last_fifth_is_left_to_people(site: Site) -> None:
    """Slowly, until the site says that it is well again."""
    site.limits.heard({"X-RateLimit-NearLimit": "true", "X-RateLimit-Remaining": "37"})
    await site.turn()
    assert 900 <= await site.turn() <= 1_000
    assert site.limits.usage.remaining == 37
    site.limits.heard({"X-RateLimit-Remaining": "many"})
    assert await site.turn() == 0


@pytest.mark.parametrize(
    ("said", "means"),
    [("5", 5_000), ("0.5", 500), ("-1", 0), ("", None), ("soon", None), ("1e999", None), ("nan", None)],
)
def test_what_retry_after_says(said: str, means: int | None) -> None:
    assert retry_after_ms({"Retry-After": said}) == means
