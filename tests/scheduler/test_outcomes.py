"""One table for the ends of runs."""

from typing import get_args

from opensymphony.scheduler.outcomes import OUTCOMES, Outcome


def test_every_outcome_has_its_row() -> None:
    """What it leads to, who wakes the ticket, and what the ticket says."""
    assert set(OUTCOMES) == set(get_args(Outcome))
    for rule in OUTCOMES.values():
        assert rule.headline
        assert rule.woken_by
        assert rule.counts_as_failure == (rule.phase == "retrying")
