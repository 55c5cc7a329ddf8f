"""Whole days of tickets and trouble around the real scheduler, and that their account of it is a good one."""

import os
from collections import Counter

import pytest

from opensymphony.scheduler.machine import LAST_STAGES, PHASES, STAGES
from tests.simulation.faults import FAULTS, Scenario
from tests.simulation.shrink import describe, failure, shrink
from tests.simulation.watch import Violation, Watch
from tests.simulation.world import World

# A day of all trouble together, and days of one kind each, in which what that kind leads to is not drowned by the others.
_WITHOUT = ["", "second", "stops,outliving", "failures,lost_answers", "budgets,policy", "crash,restart,outliving"]
_TICKETS = 100
_DAYS = 100 if os.environ.get("CI") == "true" else 20

SEEN: list[Watch] = []
TICKETS: Counter[str] = Counter()


def day(seed: int) -> Scenario:
    without = set(_WITHOUT[seed % len(_WITHOUT)].split(","))
    return Scenario(seed=seed, tickets=_TICKETS, faults=frozenset(FAULTS) - without)


@pytest.mark.parametrize("seed", range(1, _DAYS + 1))
def test_a_day_of_trouble_keeps_every_promise(seed: int) -> None:
    """Whatever happens, no invariant is broken, and when the world behaves again everything comes to rest."""
    world = World(day(seed))
    try:
        world.run()
    except Violation as violation:
        smallest = shrink(day(seed), violation, tries=20)
        pytest.fail(f"{describe(day(seed), violation)}\n\nsmaller:\n{describe(*smallest)}")
    SEEN.append(world.watch)
    TICKETS["tickets"] += len(world.board.cards)
    TICKETS["events"] += world.watch.steps


def test_the_days_have_seen_every_row_of_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    """Every stage was left and every phase was changed in every way that the tables of the machine know."""
    if len(SEEN) < _DAYS:
        for seed in range(1, 21 - len(SEEN)):  # run alone, or on another worker than the days
            world = World(day(seed))
            world.run()
            SEEN.append(world.watch)
            TICKETS["tickets"] += len(world.board.cards)
            TICKETS["events"] += world.watch.steps
    stages = {pair for watch in SEEN for pair in watch.stages_seen}
    phases = {pair for watch in SEEN for pair in watch.phases_seen}
    wanted = {(before, after) for before, rule in STAGES.items() for after in rule.leads_to}
    wanted |= {(before, "stopping") for before in STAGES if before not in (*LAST_STAGES, "stopping")}
    wanted |= {("stopping", after) for after in LAST_STAGES}
    assert wanted - stages == set()
    assert {(before, after) for before, rule in PHASES.items() for after in rule.leads_to} - phases == set()
    with capsys.disabled():
        print(f"\nsimulation: {TICKETS['tickets']} tickets, {TICKETS['events']} events in {len(SEEN)} days")


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
    scenario = Scenario(seed=1, tickets=12, hours=4, faults=frozenset({"disk", "people", "late", "doubled", "agents"}))
    found = failure(scenario)
    assert found is not None and found.name == "nothing_starts_against_a_rule"
    smaller, violation = shrink(scenario, found, tries=20)
    assert violation.name == found.name
    assert smaller.tickets < 12 and smaller.faults < scenario.faults and smaller.events_max is not None
    assert failure(smaller) is not None
    said = describe(smaller, violation)
    assert "nothing_starts_against_a_rule" in said and f"--events {smaller.events_max}" in said
