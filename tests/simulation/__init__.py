"""A seeded simulation of whole days: the real scheduler and record encoding in a pretended world.

    python -m tests.simulation --tickets 1000 --hours 24 --seed 7

Time is virtual, so that a day takes seconds. One `random.Random` makes everything that happens: the same scenario is the same
day. `faults.py` lists the kinds of trouble, `invariants.py` and `whole.py` what holds whatever happens, `mutants.py` defects
that the invariants have to find. A scenario that fails is made smaller (`shrink.py`) and printed with the command to run it.
"""
