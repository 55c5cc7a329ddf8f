"""Whole days of tickets and trouble around the real scheduler, and that their account of it is a good one."""

import os
from collections.abc import Callable

import pytest

from opensymphony.scheduler.machine import PHASES, STAGES
from tests.simulation.faults import FAULTS, Scenario
from tests.simulation.shrink import describe, failure, shrink
from tests.simulation.watch import Violation
from tests.simulation.world import World

# A day of all trouble together, and days of one kind each, in which what that kind leads to is not drowned by the others.
_WITHOUT = ["", "second", "stops,outliving", "failures,lost_answers", "budgets,policy", "crash,restart,outliving"]
_TICKETS, _HOURS = 100, 8.0
_PARTS = [range(1, 51), range(51, 101)] if os.environ.get("CI") == "true" else [range(1, 21)]
"""Seeds that are played beside each other. Each part tries everything."""


def day(seed: int) -> Scenario:
    without = set(_WITHOUT[seed % len(_WITHOUT)].split(","))
    return Scenario(seed=seed, tickets=_TICKETS, hours=_HOURS, faults=frozenset(FAULTS) - without)


def run_day(seed: int) -> World:
    world = World(day(seed))
    try:
        world.run()
    except Violation as violation:
        smallest = shrink(day(seed), violation, tries=20)
        pytest.fail(f"{describe(day(seed), violation)}\n\nsmaller:\n{describe(*smallest)}")
    return world


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seeds", _PARTS, ids=str)
def test_days_of_trouble_keep_every_promise(seeds: range, record_property: Callable[[str, object], None]) -> None:
    """Whatever happens no invariant is broken, everything comes to rest when the world behaves again, and all of it was tried.

    Tried means: every stage was reached, and stages and phases changed in every way that stands in the tables of the machine.
    """
    stages: set[tuple[str, str]] = set()
    phases: set[tuple[str, str]] = set()
    tickets = events = 0
    for seed in seeds:
        world = run_day(seed)
        stages |= world.watch.stages_seen
        phases |= world.watch.phases_seen
        tickets += len(world.board.cards)
        events += world.watch.steps
    record_property("simulated", f"{tickets:,} tickets, {events:,} events in {len(seeds)} days")
    assert tickets >= len(seeds) * _TICKETS
    wanted = {(before, after) for before, rule in STAGES.items() for after in rule.leads_to}
    wanted |= {("working", "stopping"), ("preparing", "stopping"), ("verifying", "stopping")}
    assert {after for _, after in stages} == set(STAGES)
    assert wanted - stages == set()
    assert {(before, after) for before, rule in PHASES.items() for after in rule.leads_to} - phases == set()


def test_the_same_scenario_is_the_same_day() -> None:
    """Nothing but the seed decides: the same events lead to the same bytes."""
    scenario = Scenario(seed=5, tickets=8, hours=3)
    first, second = World(scenario), World(scenario)
    first.run()
    second.run()
    assert first.watch.steps == second.watch.steps
    assert [daemon.rows for daemon in first.daemons] == [daemon.rows for daemon in second.daemons]


def test_a_failing_day_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed still fails in the same way, with fewer tickets and less trouble, and says how to run it."""
    monkeypatch.setattr("opensymphony.scheduler.dispatch.nothing_starts", lambda state: None)
    scenario = Scenario(seed=4, tickets=12, hours=4, faults=frozenset({"disk", "people", "late", "doubled", "agents"}))
    found = failure(scenario)
    assert found is not None and found.name == "nothing_starts_against_a_rule"
    smaller, violation = shrink(scenario, found, tries=20)
    assert violation.name == found.name
    assert smaller.tickets < 12 and smaller.faults < scenario.faults and smaller.events_max is not None
    assert failure(smaller) is not None
    said = describe(smaller, violation)
    assert "nothing_starts_against_a_rule" in said and f"--events {smaller.events_max}" in said
