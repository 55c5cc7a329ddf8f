"""Why a ticket is, or is not, being worked on: in one sentence, and rule by rule."""

from __future__ import annotations

from collections.abc import Iterator

from opensymphony.scheduler.budget import call_does_not_fit
from opensymphony.scheduler.dispatch import nothing_starts
from opensymphony.scheduler.eligibility import capacity_class, limits_of, order_rules, ours_rules, places_of
from opensymphony.scheduler.outcomes import OUTCOMES
from opensymphony.scheduler.overlaps import why_overlapping
from opensymphony.scheduler.state import Entry, State, ready_ms
from opensymphony.views import Rule
from opensymphony.workflow.policy import Policy

_MEANING = {
    "state": "its state is an active one",
    "tracker": "its tracker offers it for work",
    "label": "it has the labels that are asked for",
    "assignee": "it is assigned to whom it should be",
    "blocker": "nothing blocks it",
    "child": "it has no open children",
    "claim": "no other daemon holds it",
    "paused": "nobody has paused it",
    "daemon": "the daemon starts work",
    "budget": "the budget allows another run",
    "overlap": "nobody is at work on the same files",
    "capacity": "there is a place for it",
}


def sentence(state: State, entry: Entry) -> str:
    """One sentence: why the ticket is where it is."""
    run = entry.run
    if run is not None:
        if run.stopping is not None and run.stage == "stopping":
            return f"it is being stopped: {run.stopping.reason}"
        doing = f"run {run.generation} is {run.stage.replace('_', ' ')}"
        return entry.reason or doing if run.ending is not None else doing
    if entry.phase != "waiting_to_start":
        return _at_rest(entry)
    # One that is ready stands in a heap because its own rules hold; of a thousand that wait for a place nearly all are.
    conditions = _conditions(state, entry, own=ready_ms(entry) is None)
    return next((against for _, against, _ in conditions if against is not None), "it starts next")


def _at_rest(entry: Entry) -> str:
    rule = OUTCOMES.get(entry.outcome) if entry.outcome else None
    woken_by = rule.woken_by if rule is not None else ""
    if entry.scope not in (None, "day"):
        woken_by = woken_by.replace("a new day or ", "")
    woken = f"; woken by {woken_by}" if woken_by and entry.phase == "needs_person" else ""
    kept = f"; workspace kept: {entry.note}" if entry.note else ""
    said = entry.reason or (rule.headline.lower() if rule is not None else "")
    paused = "; an operator paused it" if entry.paused else ""
    return f"{said}{woken}{kept}{paused}"


def rules(state: State, entry: Entry) -> Iterator[Rule]:
    """Every condition on starting it, in the order in which they are looked at, each with how it stands and since when."""
    for name, against, since_ms in _conditions(state, entry):
        text = _MEANING[name] if against is None else against
        yield Rule(name=name, holds=against is None, text=text, since_ms=None if against is None else since_ms)


Condition = tuple[str, str | None, int | None]
"""Its name, what speaks against it, and since when."""


def _conditions(state: State, entry: Entry, *, own: bool = True) -> Iterator[Condition]:
    """In order. A picture asks for the first that fails, of each ticket; without `own`, those of the ticket itself are not."""
    policy = state.policy
    if policy is None:
        yield "daemon", "no policy is in force yet", None
        return
    if own:
        yield from _own_conditions(entry, policy)
    since_ms = state.paused_ms if state.paused else None
    yield "daemon", nothing_starts(state), since_ms
    breach = call_does_not_fit(state, policy, entry, live=len(state.running) + (entry.run is None))
    yield "budget", breach.text if breach is not None and entry.run is None else None, None
    yield "overlap", why_overlapping(state, entry) if entry.run is None else None, None
    yield "capacity", _no_place(state, entry) if entry.run is None else None, ready_ms(entry)


def _own_conditions(entry: Entry, policy: Policy) -> Iterator[Condition]:
    paused = f"an operator paused it: `opensymphony resume {entry.ticket.identifier}` goes on" if entry.paused else None
    yield "paused", paused, entry.paused_ms if entry.paused else None
    for name, against in (*ours_rules(entry.ticket, policy), *order_rules(entry.ticket, policy)):
        yield name, against, entry.hold_ms if name == entry.hold else None
    held_by = entry.reason if entry.phase == "retrying" and entry.abandoned else None
    yield "claim", held_by, entry.since_ms


def _no_place(state: State, entry: Entry) -> str | None:
    policy = state.policy
    assert policy is not None
    limit = policy.agent.max_concurrent_agents
    if len(state.running) >= limit:
        return f"it waits for a place: {len(state.running)} of {limit} agents are at work"
    for one in limits_of(capacity_class(entry.ticket, policy, starting=True)):
        places, taken = places_of(one, policy), state.occupied.get(one, 0)
        if taken >= places:
            return f"it waits for a place: the limit for the {one} is {places}, and so many are at work"
    return None
