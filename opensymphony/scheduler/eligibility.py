"""Whether a ticket may be worked on, and if not, why: always one sentence that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from msgspec import structs

from opensymphony.model import Ticket
from opensymphony.workflow.policy import Policy, TrackerPolicy

GONE = "(gone)"
"""Stands for the state of a ticket that the tracker does not show any more."""

_LAST_PRIORITY = 5
_SEPARATOR = "\x1f"

Hold = tuple[str, str]
"""Name of a rule that does not hold, and one sentence about it."""


def among(state: str | None, states: tuple[str, ...]) -> bool:
    """Whether the state is one of these, compared as trackers do: without case and outer blanks."""
    return state is not None and _plain(state) in _all_plain(states)


@lru_cache(1_000)
def _plain(state: str) -> str:
    return state.strip().casefold()


@lru_cache(100)
def _all_plain(states: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(_plain, states))


def is_terminal(ticket: Ticket, tracker: TrackerPolicy) -> bool:
    return among(ticket.state, tracker.terminal_states)


def as_gone(ticket: Ticket) -> Ticket:
    """As we keep it while the tracker does not show it: whatever it looks like when it comes back, it looks different."""
    return structs.replace(ticket, state=GONE)


def ours_rules(ticket: Ticket, policy: Policy) -> Iterator[tuple[str, str | None]]:
    """The rules on whose ticket it is, by name and in order, each with what is against it; None when it holds."""
    tracker = policy.tracker
    if is_terminal(ticket, tracker):
        yield "state", f"it is closed: its state is {ticket.state}"
    elif not among(ticket.state, tracker.active_states):
        yield "state", f"its state {ticket.state} is not one of the active states"
    else:
        yield "state", None
    yield "tracker", None if ticket.dispatchable else "its tracker does not offer it for work"
    missing = [label for label in tracker.required_labels if label.strip().lower() not in ticket.labels]
    yield "label", f"it lacks the label {missing[0] or '(blank)'}" if missing else None
    mine = tracker.assignee is None or ticket.assignee == tracker.assignee
    yield "assignee", None if mine else f"it is assigned to {ticket.assignee or 'nobody'}, not to {tracker.assignee}"


def order_rules(ticket: Ticket, policy: Policy) -> Iterator[tuple[str, str | None]]:
    """The rules on whether it is the ticket's turn yet. Capacity, budget and pauses are not among them."""
    done = (*(policy.tracker.unblocking_states or ()), *policy.tracker.terminal_states)
    blocker = next((one for one in ticket.blocked_by if not among(one.state, done)), None)
    yield (
        "blocker",
        f"it is blocked by {blocker.identifier} ({blocker.state or 'state unknown'})" if blocker is not None else None,
    )
    child = next((one for one in ticket.children if not among(one.state, done)), None)
    yield (
        "child",
        f"it waits for its child {child.identifier} ({child.state or 'state unknown'})" if child is not None else None,
    )


def why_not_ours(ticket: Ticket, policy: Policy) -> str | None:
    """Why a run on this ticket may neither start nor go on; None when it may."""
    return next((against for _, against in ours_rules(ticket, policy) if against), None)


def why_not_yet(ticket: Ticket, policy: Policy) -> str | None:
    """Why a ticket that is ours cannot start yet; None when it can. Does not look at capacity."""
    return next((against for _, against in order_rules(ticket, policy) if against), None)


def hold_of(ticket: Ticket, policy: Policy) -> Hold | None:
    """The first rule of the ticket's own that keeps it from starting; None when none does."""
    for rules in (ours_rules, order_rules):
        for name, against in rules(ticket, policy):
            if against is not None:
                return name, against
    return None


def resting_mark(ticket: Ticket) -> str:
    """What a person sees of a ticket; when it changes, somebody wants something."""
    parts = (ticket.state, ticket.title, ticket.description or "", ",".join(ticket.labels), ticket.assignee or "")
    return _SEPARATOR.join(part.replace(_SEPARATOR, " ") for part in parts)


def moved_mark(mark: str, state: str) -> str:
    """The same mark after we moved the ticket ourselves: whatever else a person changed still differs."""
    return state + mark[mark.index(_SEPARATOR) :]


def start_order(ticket: Ticket) -> tuple[int, int, str]:
    """Most urgent first, a leaf before a parent, then oldest, then by identifier; no priority or date comes last."""
    priority = ticket.priority if ticket.priority in (1, 2, 3, 4) else _LAST_PRIORITY
    created_ms = ticket.created_ms if ticket.created_ms is not None else 2**62
    return 2 * priority + bool(ticket.children), created_ms, ticket.identifier


def capacity_class(ticket: Ticket, policy: Policy, *, starting: bool = False) -> str:
    """The further limits that a run of this ticket counts against, joined; empty for the global limit alone.

    `starting`: the run has yet to move its ticket, and counts already where it will lead to.
    """
    agent = policy.agent
    if not agent.max_concurrent_agents_by_state and not agent.max_concurrent_agents_by_label:
        return ""
    states = [ticket.state.strip().lower()]
    if starting and policy.reporting.transitions.started:
        states.append(policy.reporting.transitions.started.strip().lower())
    found = [f"state {name}" for name in dict.fromkeys(states) if name in agent.max_concurrent_agents_by_state]
    found += [f"label {name}" for name in ticket.labels if name in agent.max_concurrent_agents_by_label]
    return _SEPARATOR.join(found)


def limits_of(name: str) -> list[str]:
    """The single limits of a capacity class, such as `state todo` and `label database`."""
    return name.split(_SEPARATOR) if name else []


def places_of(limit: str, policy: Policy) -> int:
    """How many runs a single limit allows."""
    kind, _, name = limit.partition(" ")
    agent = policy.agent
    table = agent.max_concurrent_agents_by_state if kind == "state" else agent.max_concurrent_agents_by_label
    return table.get(name, agent.max_concurrent_agents)
