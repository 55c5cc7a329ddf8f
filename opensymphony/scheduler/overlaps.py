"""Tickets that change the same files: whoever merges second will have to sort it out, so it is better known before.

What a ticket changes is known once its work was looked at; before, nobody can say.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from opensymphony.model import TicketId
from opensymphony.scheduler.state import Entry, State
from opensymphony.views import Overlap

_FILES_SHOWN = 5
_PAIRS_MAX = 100


def overlaps(state: State) -> tuple[Overlap, ...]:
    """Pairs of tickets, at work or in review, that change the same files."""
    changing: dict[str, list[Entry]] = {}
    for entry in state.entries.values():
        if entry.files and _counts(entry):
            for path in entry.files:
                changing.setdefault(path, []).append(entry)
    shared: dict[tuple[str, str], list[str]] = {}
    for path, entries in changing.items():
        for one, other in islice(_pairs(entries), _PAIRS_MAX):
            pair = (one.ticket.identifier, other.ticket.identifier)
            if pair in shared or len(shared) < _PAIRS_MAX:
                shared.setdefault(pair, []).append(path)
    return tuple(
        Overlap(tickets=pair, files=tuple(files[:_FILES_SHOWN]), more=max(0, len(files) - _FILES_SHOWN))
        for pair, files in sorted(shared.items())
    )


def _pairs(entries: list[Entry]) -> Iterator[tuple[Entry, Entry]]:
    ordered = sorted(entries, key=lambda entry: entry.ticket.identifier)
    for at, one in enumerate(ordered):
        for other in ordered[at + 1 :]:
            yield one, other


def _counts(entry: Entry) -> bool:
    is_open = entry.pull is not None and entry.pull.pull_request.state == "open"
    return entry.run is not None or is_open or entry.phase == "in_review"


def why_overlapping(state: State, entry: Entry) -> str | None:
    """What a ticket has to wait for, where the policy wants that: another one that is at work on the same files."""
    policy = state.policy
    if policy is None or not policy.agent.wait_for_overlaps or not entry.files:
        return None
    mine = set(entry.files)
    for ticket_id in state.running:
        other = state.entries[TicketId(ticket_id)]
        if other is not entry and not mine.isdisjoint(other.files):
            both = sorted(mine.intersection(other.files))
            more = f" and {len(both) - 1} more" if len(both) > 1 else ""
            return f"it waits for {other.ticket.identifier}, which is at work on {both[0]}{more} too"
    return None
