"""When the tracker is looked at next."""

import pytest

from opensymphony.daemon.pace import PAUSE_MAX_MS, Pace, longest_ms, shortest_ms
from opensymphony.workflow.policy import PollingPolicy

POLLING = PollingPolicy(interval_ms=30_000)
HOUR_MS = 3_600_000


def after_quiet(quiet_ms: int, *, busy: bool = False, jitter: float = 0.5, polling: PollingPolicy = POLLING) -> int:
    """How long the next look is away when nothing has happened for so long."""
    pace = Pace(0)
    pace.succeeded(quiet_ms, polling, busy=busy, jitter=jitter)
    return pace.due_ms - quiet_ms


@pytest.mark.parametrize(
    ("quiet_ms", "busy", "expected_ms"),
    [
        (1_000, False, 10_500),
        (59_000, True, 10_500),
        (61_000, True, 30_000),
        (61_000, False, 30_000),
        (10 * HOUR_MS, True, 30_000),
        (1_200_000, False, 60_000),
        (HOUR_MS, False, 114_000),
        (100 * HOUR_MS, False, 114_000),
    ],
)
def test_the_longer_it_is_quiet_the_later_the_next_look(quiet_ms: int, busy: bool, expected_ms: int) -> None:
    """Soon after a change, the ordinary time while something runs, and slowly up to the longest when nothing does."""
    assert after_quiet(quiet_ms, busy=busy) == expected_ms


def test_looks_are_spread_but_keep_all_bounds() -> None:
    """Whatever the jitter: a tenth around the ordinary time, never below the shortest, never above the longest."""
    for jitter in (0.0, 0.25, 0.999):
        assert 10_000 <= after_quiet(1, jitter=jitter) <= 11_000
        assert 27_000 <= after_quiet(100_000, jitter=jitter) <= 33_000
        assert 108_000 <= after_quiet(100 * HOUR_MS, jitter=jitter) <= 120_000
    assert len({after_quiet(100_000, jitter=jitter) for jitter in (0.0, 0.25, 0.999)}) == 3


def test_bounds_are_the_policys() -> None:
    """All three the same is one fixed pace."""
    assert (shortest_ms(POLLING), longest_ms(POLLING)) == (10_000, 120_000)
    assert shortest_ms(PollingPolicy(interval_ms=1)) == 1
    fixed = PollingPolicy(interval_ms=500, min_interval_ms=500, max_interval_ms=500)
    assert {after_quiet(quiet, jitter=0.9, polling=fixed) for quiet in (1, 2_000, HOUR_MS)} == {500}


def test_what_happens_in_a_long_wait_shortens_it() -> None:
    """To the shortest time from then; what happens again does not put it off."""
    pace = Pace(0)
    pace.succeeded(HOUR_MS, POLLING, busy=False, jitter=0.5)
    assert pace.stirred(HOUR_MS + 5_000, POLLING, 0.0)
    assert pace.due_ms == HOUR_MS + 15_000
    assert not pace.stirred(HOUR_MS + 6_000, POLLING, 0.0)
    assert pace.due_ms == HOUR_MS + 15_000


def test_trouble_doubles_the_wait_until_the_first_success() -> None:
    """Up to the longest time; what happens meanwhile does not make it sooner."""
    pace, waits = Pace(0), []
    for _ in range(5):
        pace.failed(HOUR_MS, POLLING, pause_ms=None, jitter=0.5)
        assert not pace.stirred(HOUR_MS, POLLING, 0.0)
        waits.append(pace.due_ms - HOUR_MS)
    assert waits == [30_000, 60_000, 114_000, 114_000, 114_000]
    pace.succeeded(HOUR_MS + 200_000, POLLING, busy=True, jitter=0.5)
    assert pace.due_ms == HOUR_MS + 230_000
    pace.failed(2 * HOUR_MS, POLLING, pause_ms=None, jitter=0.5)
    assert pace.due_ms == 2 * HOUR_MS + 30_000


def test_a_pause_that_was_asked_for_is_kept_to_the_end() -> None:
    """By the schedule, by what happens, and by a person; a shorter one later does not end it."""
    pace = Pace(0)
    pace.failed(1_000, POLLING, pause_ms=600_000, jitter=0.0)
    assert (pace.due_ms, pace.held_until_ms) == (601_000, 601_000)
    assert pace.asked(2_000) == 601_000
    assert not pace.stirred(3_000, POLLING, 0.0)
    pace.failed(4_000, POLLING, pause_ms=0, jitter=0.0)
    assert pace.due_ms == 601_000
    pace.succeeded(5_000, POLLING, busy=True, jitter=0.0)
    assert pace.due_ms == 601_000
    assert pace.asked(601_000) == 601_000
    assert pace.asked(700_000) == 700_000


def test_a_pause_that_a_write_was_told_holds_the_next_look() -> None:
    """It puts off what is due, and never brings it forward."""
    pace = Pace(0)
    pace.succeeded(0, POLLING, busy=True, jitter=0.0)
    pace.hold(0, 5_000)
    assert pace.due_ms == 10_000
    pace.hold(0, 60_000)
    assert (pace.due_ms, pace.asked(1)) == (60_000, 60_000)


@pytest.mark.parametrize(("pause_ms", "held_ms"), [(-5, 0), (10**15, PAUSE_MAX_MS)])
def test_a_pause_that_makes_no_sense_is_bounded(pause_ms: int, held_ms: int) -> None:
    """Nobody is held for ever by a wrong header."""
    pace = Pace(0)
    pace.failed(1_000, POLLING, pause_ms=pause_ms, jitter=0.0)
    assert pace.held_until_ms == 1_000 + held_ms


def test_trouble_without_end_is_still_a_number() -> None:
    """A tracker that was away for weeks is looked at as after an hour."""
    pace = Pace(0)
    for _ in range(5_000):
        pace.failed(0, POLLING, pause_ms=None, jitter=0.9)
    assert 108_000 <= pace.due_ms <= 120_000


def test_a_wish_is_due_at_once() -> None:
    """Also in the middle of trouble without a pause."""
    pace = Pace(0)
    pace.failed(0, POLLING, pause_ms=None, jitter=0.0)
    assert pace.asked(10) == 10
