"""The simulation finds every planted defect: a world that finds nothing proves nothing."""

import pytest

from tests.simulation.faults import FAULTS, Scenario
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.shrink import failure

_SEEDS = 24
_TICKETS, _HOURS = 60, 4.0


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_defect_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler in which one rule is broken breaks an invariant within a few small days."""
    mutant.plant(monkeypatch)
    faults = frozenset(mutant.only.split(",")) & frozenset(FAULTS)
    for seed in range(1, _SEEDS + 1):
        violation = failure(Scenario(seed=seed, tickets=_TICKETS, hours=_HOURS, faults=faults))
        if violation is not None:
            print(f"seed {seed}: {violation.name}: {violation.detail}")
            return
    pytest.fail(f"the defect lives: {mutant.breaks}")


def test_there_are_enough_defects_of_different_kinds() -> None:
    """Each is named once and says what it breaks."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 14
    assert all(mutant.breaks for mutant in MUTANTS)
