"""Makes a failing day smaller: fewer kinds of trouble, fewer tickets, fewer hours, and then its shortest prefix."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from tests.simulation.faults import FAULTS, Scenario
from tests.simulation.watch import Violation
from tests.simulation.world import World

TRIES_MAX = 120


def failure(scenario: Scenario) -> Violation | None:
    """How the day fails, if it does."""
    try:
        World(scenario).run()
    except Violation as violation:
        return violation
    return None


def shrink(scenario: Scenario, found: Violation, *, tries: int = TRIES_MAX) -> tuple[Scenario, Violation]:
    """The smallest day found that breaks the same invariant. Other seeds are tried for the smaller ones."""
    left = tries
    shrunk = True
    while shrunk and left > 0:
        shrunk = False
        for smaller in _smaller(scenario):
            left -= 1
            violation = failure(smaller)
            if violation is not None and violation.name == found.name:
                scenario, found, shrunk = smaller, violation, True
                break
            if left <= 0:
                break
    return _shortest(scenario, found)


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    for tickets in (scenario.tickets // 8, scenario.tickets // 2, scenario.tickets - 1):
        if 1 <= tickets < scenario.tickets:
            yield replace(scenario, tickets=tickets, hours=max(1.0, scenario.hours * tickets / scenario.tickets))
    for hours in (scenario.hours / 4, scenario.hours / 2):
        if hours >= 0.5:
            yield replace(scenario, hours=hours)
    names = [name for name in FAULTS if name in scenario.faults]
    if len(names) > 4:
        for half in (names[: len(names) // 2], names[len(names) // 2 :]):
            yield replace(scenario, faults=scenario.faults - set(half))
    for name in names:
        yield replace(scenario, faults=scenario.faults - {name})
    if scenario.tickets <= 20:
        for seed in range(1, 13):
            for tickets in (1, 3, scenario.tickets // 2):
                if 1 <= tickets < scenario.tickets:
                    yield replace(scenario, seed=seed, tickets=tickets)


def _shortest(scenario: Scenario, found: Violation) -> tuple[Scenario, Violation]:
    """The number of events after which it has failed, if it fails before the day's end."""
    shorter = replace(scenario, events_max=found.steps)
    violation = failure(shorter)
    if violation is not None and violation.name == found.name:
        return shorter, violation
    return scenario, found


def describe(scenario: Scenario, violation: Violation) -> str:
    """Everything that is needed to look into it."""
    faults = ", ".join(name for name in FAULTS if name in scenario.faults) or "none"
    return "\n".join(
        [
            f"seed {scenario.seed}: {scenario.tickets} tickets, {scenario.hours:g} hours, trouble: {faults}",
            f"broken: {violation.name}: {violation.sentence}",
            f"        {violation.detail}",
            "the last events:",
            *(f"  {line}" for line in violation.log),
            f"again: {scenario.command()}",
        ]
    )
