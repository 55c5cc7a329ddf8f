"""Which tickets are shown, and in which order: a picture, a filter and an order in; rows out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from msgspec import Struct

from opensymphony.model import Phase, TicketId
from opensymphony.views import TicketView

GROUPS: tuple[tuple[str, tuple[Phase, ...]], ...] = (
    ("waiting for you", ("needs_person",)),
    ("running", ("running", "stopping")),
    ("retrying", ("retrying",)),
    ("in review", ("in_review",)),
    ("waiting to start", ("waiting_to_start",)),
    ("closed", ("closed",)),
)
FOLDED = frozenset({"closed"})
"""Until somebody unfolds them."""

Order = Literal["start", "since", "spent", "name", "priority"]
ORDERS: tuple[Order, ...] = ("start", "since", "spent", "name", "priority")
ORDER_NAMES: dict[Order, str] = {
    "start": "as they start",
    "since": "longest first",
    "spent": "most spent first",
    "name": "by name",
    "priority": "by priority",
}

FIELDS: dict[str, Callable[[TicketView], Iterable[str]]] = {
    "phase": lambda view: (view.phase, view.phase.replace("_", " ")),
    "state": lambda view: (view.state,),
    "stage": lambda view: (view.stage or "",),
    "label": lambda view: view.labels,
    "id": lambda view: (view.identifier,),
    "title": lambda view: (view.title,),
    "why": lambda view: (view.reason, view.error or ""),
    "pr": lambda view: (view.pull_request.state, view.pull_request.id) if view.pull_request else (),
    "is": lambda view: _being(view),
}
"""What can stand before a colon in a filter."""


class GroupRow(Struct, frozen=True, kw_only=True):
    """The heading of a group."""

    name: str
    number: int
    folded: bool


Row = GroupRow | TicketView


def key(row: Row) -> str:
    """Names a row for good, wherever it moves."""
    return f"group {row.name}" if isinstance(row, GroupRow) else f"ticket {row.id}"


def rows(
    tickets: Sequence[TicketView],
    *,
    wanted: Callable[[TicketView], bool] | None = None,
    order: Order = "start",
    reverse: bool = False,
    folded: frozenset[str] = FOLDED,
) -> list[Row]:
    """Headings and tickets as they stand on the board; a group without a ticket is left out."""
    members: dict[str, list[TicketView]] = {name: [] for name, _ in GROUPS}
    for view in tickets:
        if wanted is None or wanted(view):
            members[_GROUP_OF[view.phase]].append(view)
    found: list[Row] = []
    for name, views in members.items():
        if views:
            found.append(GroupRow(name=name, number=len(views), folded=name in folded))
            if name not in folded:
                found += ordered(views, order, reverse=reverse)
    return found


def ordered(views: list[TicketView], order: Order, *, reverse: bool = False) -> list[TicketView]:
    """Tickets of one group; those that are the same stay in the order in which they start."""
    rank = _RANKS[order]
    found = list(views) if rank is None else sorted(views, key=rank)
    return found[::-1] if reverse else found


def matcher(query: str) -> Callable[[TicketView], bool] | None:
    """What a filter means: each word has to be found, `-word` must not be; `phase:running` looks in one field. None: all."""
    terms = [_term(word) for word in query.casefold().split()[:_TERMS_MAX]]
    wanted = [term for term in terms if term is not None]
    return (lambda view: all(term(view) for term in wanted)) if wanted else None


def position(shown: Sequence[Row], cursor: str, before: int) -> int:
    """Where a cursor goes that stood on this row: along with it, or where it was when that row is gone."""
    for at, row in enumerate(shown):
        if key(row) == cursor:
            return at
    return max(0, min(before, len(shown) - 1))


def first_ticket(shown: Sequence[Row]) -> int:
    """Where the cursor stands at first."""
    return next((at for at, row in enumerate(shown) if not isinstance(row, GroupRow)), 0)


def find(tickets: Sequence[TicketView], id: TicketId) -> TicketView | None:
    """The ticket of this id in a picture; None when it is gone."""
    return next((view for view in tickets if view.id == id), None)


_TERMS_MAX = 12
_GROUP_OF: dict[Phase, str] = {phase: name for name, phases in GROUPS for phase in phases}
_RANKS: dict[Order, Callable[[TicketView], tuple[float, str]] | None] = {
    "start": None,
    "since": lambda view: (view.since_ms, ""),
    "spent": lambda view: (-(view.usage.cost_micros * 1e9 + view.usage.total_tokens), ""),
    "name": lambda view: (0, _natural(view.identifier)),
    "priority": lambda view: (view.priority if view.priority is not None else float("inf"), ""),
}


def _natural(identifier: str) -> str:
    """`A-2` before `A-10`."""
    head, _, tail = identifier.rpartition("-")
    return f"{head}-{tail.zfill(12)}" if tail.isdigit() else identifier


def _being(view: TicketView) -> Iterable[str]:
    yield from ("paused",) if view.paused else ()
    yield from (view.asked.kind, "asked") if view.asked is not None else ()
    yield from ("failed",) if view.error else ()
    yield from ("verified",) if view.verified else ()


def _term(word: str) -> Callable[[TicketView], bool] | None:
    negated = word.startswith("-") and len(word) > 1
    name, colon, value = word.removeprefix("-").partition(":")
    fields = FIELDS.get(name) if colon else None
    looked = value if fields is not None else word.removeprefix("-") if negated else word
    if not looked:
        return None

    def holds(view: TicketView) -> bool:
        texts = fields(view) if fields is not None else _everything(view)
        return any(looked in text.casefold() for text in texts) != negated

    return holds


def _everything(view: TicketView) -> Iterable[str]:
    yield from (view.identifier, view.title, view.state, view.reason, view.activity, *view.labels)
    yield view.asked.text if view.asked is not None else ""
