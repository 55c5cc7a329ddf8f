"""Decides what happens next: `step` is the whole of it.

An event comes in; `decide` says what follows from it, `follow_up` what that entails, and `fill` what may start because of
it; `evolve` applies each decision to the state before the next of the three looks. None of them reads a clock, a file or
a network, so a day can be replayed in a second.
"""

from opensymphony.scheduler.decide import decide
from opensymphony.scheduler.decisions import Decision
from opensymphony.scheduler.dispatch import fill
from opensymphony.scheduler.endings import follow_up
from opensymphony.scheduler.events import Event
from opensymphony.scheduler.evolve import evolve
from opensymphony.scheduler.state import State


def step(state: State, event: Event) -> tuple[Decision, ...]:
    """Take one event: decide, follow up, fill free places. Returns every decision in order, already applied."""
    taken = _applied(state, decide(state, event))
    if not taken:
        return ()
    newest = follow_up(state, taken, event)
    while newest:
        taken += _applied(state, newest)
        newest = follow_up(state, newest, event)
    filled = fill(state, event.at_ms)
    if filled:
        taken += _applied(state, filled)
        taken += _applied(state, follow_up(state, filled, event))
    return taken


def _applied(state: State, decisions: tuple[Decision, ...]) -> tuple[Decision, ...]:
    for decision in decisions:
        evolve(state, decision)
    return decisions
