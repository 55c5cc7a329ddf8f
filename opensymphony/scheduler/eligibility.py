"""Whether a ticket may be worked on, and if not, why: always one sentence that a person can act on."""

from __future__ import annotations

from opensymphony.model import Ticket
from opensymphony.workflow.policy import Policy, TrackerPolicy

_LAST_PRIORITY = 5
_SEPARATOR = "\x1f"


def among(state: str | None, states: tuple[str, ...]) -> bool:
    """Whether the state is one of these, compared as trackers do: without case and outer blanks."""
    if state is None:
        return False
    wanted = state.strip().casefold()
    return any(wanted == name.strip().casefold() for name in states)


def is_terminal(ticket: Ticket, tracker: TrackerPolicy) -> bool:
    return among(ticket.state, tracker.terminal_states)


def why_not_ours(ticket: Ticket, policy: Policy) -> str | None:
    """Why a run on this ticket may neither start nor go on; None when it may."""
    tracker = policy.tracker
    if is_terminal(ticket, tracker):
        return f"it is closed: its state is {ticket.state}"
    if not among(ticket.state, tracker.active_states):
        return f"its state {ticket.state} is not one of the active states"
    if not ticket.dispatchable:
        return "its tracker does not offer it for work"
    missing = [label for label in tracker.required_labels if label.strip().lower() not in ticket.labels]
    if missing:
        return f"it lacks the label {missing[0] or '(blank)'}"
    if tracker.assignee is not None and ticket.assignee != tracker.assignee:
        return f"it is assigned to {ticket.assignee or 'nobody'}, not to {tracker.assignee}"
    return None


def why_not_yet(ticket: Ticket, policy: Policy) -> str | None:
    """Why a ticket that is ours cannot start yet; None when it can. Does not look at capacity."""
    unblocking = policy.tracker.unblocking_states or policy.tracker.terminal_states
    for blocker in ticket.blocked_by:
        if not among(blocker.state, (*unblocking, *policy.tracker.terminal_states)):
            return f"it is blocked by {blocker.identifier} ({blocker.state or 'state unknown'})"
    for child in ticket.children:
        if not among(child.state, (*unblocking, *policy.tracker.terminal_states)):
            return f"it waits for its child {child.identifier} ({child.state or 'state unknown'})"
    return None


def resting_mark(ticket: Ticket) -> str:
    """What a person sees of a ticket; when it changes, somebody wants something."""
    parts = (ticket.state, ticket.title, ticket.description or "", ",".join(ticket.labels), ticket.assignee or "")
    return _SEPARATOR.join(part.replace(_SEPARATOR, " ") for part in parts)


def moved_mark(mark: str, state: str) -> str:
    """The same mark after we moved the ticket ourselves: whatever else a person changed still differs."""
    return state + mark[mark.index(_SEPARATOR) :]


def start_order(ticket: Ticket) -> tuple[int, int, str]:
    """Most urgent first, then oldest, then by identifier; what has no priority or date comes last."""
    priority = ticket.priority if ticket.priority in (1, 2, 3, 4) else _LAST_PRIORITY
    created_ms = ticket.created_ms if ticket.created_ms is not None else 2**62
    return priority, created_ms, ticket.identifier


def starting_class(ticket: Ticket, policy: Policy) -> str:
    """The limit that counts for a run that has yet to move its ticket: that of the state it will lead to, if there is one."""
    started = (policy.reporting.transitions.started or "").strip().lower()
    return started if started in policy.agent.max_concurrent_agents_by_state else capacity_class(ticket, policy)


def capacity_class(ticket: Ticket, policy: Policy) -> str:
    """The limit that a run of this ticket counts against; empty for the global limit alone."""
    state = ticket.state.strip().lower()
    return state if state in policy.agent.max_concurrent_agents_by_state else ""
