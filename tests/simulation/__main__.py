"""Run days until one fails: `python -m tests.simulation --tickets 1000 --hours 24 --seed 1 --seeds 10`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.faults import FAULTS, Scenario
from tests.simulation.shrink import describe, shrink
from tests.simulation.watch import Violation
from tests.simulation.world import World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--tickets", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many, one after the other")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--only", default="", help=f"of {', '.join(FAULTS)}, or none")
    parser.add_argument("--without", default="")
    parser.add_argument("--events", type=int, default=None, help="end the day after so many")
    parser.add_argument("--keep", action="store_true", help="do not make a failing day smaller")
    given = parser.parse_args()
    faults = set(given.only.split(",")) & set(FAULTS) if given.only else set(FAULTS)
    faults -= set(given.without.split(","))
    for seed in range(given.seed, given.seed + given.seeds):
        scenario = Scenario(
            seed=seed,
            tickets=given.tickets,
            hours=given.hours,
            faults=frozenset(faults),
            events_max=given.events,
        )
        began = time.process_time()
        world = World(scenario)
        try:
            world.run()
        except Violation as violation:
            print(describe(scenario, violation), file=sys.stderr)
            if not given.keep:
                print(describe(*shrink(scenario, violation)), file=sys.stderr)
            return 1
        spent = time.process_time() - began
        watch = world.watch
        print(
            f"seed {seed}: {len(world.board.cards)} tickets, {watch.steps} events, {dict(watch.outcomes)}, {spent:.1f} s"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
