"""Which tickets are shown, in which order."""

from __future__ import annotations

import pytest

from opensymphony.tui import grouping
from opensymphony.tui.grouping import GroupRow
from tests.tui.scenes import TICKETS, ticket, used


def names(query: str) -> list[str]:
    wanted = grouping.matcher(query)
    return [view.identifier for view in TICKETS if wanted is None or wanted(view)]


def test_what_waits_for_a_person_stands_first() -> None:
    """Then what runs, is retried, is in review, waits; what is closed is folded."""
    rows = grouping.rows(TICKETS)
    headings = [(row.name, row.number, row.folded) for row in rows if isinstance(row, GroupRow)]
    assert headings == [
        ("waiting for you", 2, False),
        ("running", 3, False),
        ("retrying", 1, False),
        ("in review", 1, False),
        ("waiting to start", 2, False),
        ("closed", 1, True),
    ]
    shown = [row.identifier for row in rows if not isinstance(row, GroupRow)]
    assert shown == [view.identifier for view in TICKETS if view.phase != "closed"]
    assert len(grouping.rows(TICKETS, folded=frozenset())) == len(TICKETS) + 6


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("phase:running", ["SHOP-118", "SHOP-120", "SHOP-122"]),
        ("phase:running -zürich", ["SHOP-118", "SHOP-122"]),
        ("PHASE:Running UMLAUT", ["SHOP-120"]),
        ("label:basket", ["SHOP-118"]),
        ("is:approval", ["SHOP-127"]),
        ("is:asked", ["SHOP-131", "SHOP-127"]),
        ("is:failed", ["SHOP-109"]),
        ("is:verified pr:open", ["SHOP-101"]),
        ("pr:57", ["SHOP-101"]),
        ("stage:verif", ["SHOP-120"]),
        ("state:done", ["SHOP-88"]),
        ("id:shop-14", ["SHOP-140", "SHOP-141"]),
        ("title:imprint", ["SHOP-88"]),
        ("why:overloaded", ["SHOP-109"]),
        ("left-pad", ["SHOP-127"]),
        ("http://no", []),
        ("phase:", [view.identifier for view in TICKETS]),
    ],
)
def test_a_filter_finds(query: str, found: list[str]) -> None:
    """In one field, or anywhere; a word that is no field is a text with a colon."""
    assert names(query) == found


def test_an_empty_filter_is_none() -> None:
    """Also one of blanks."""
    assert grouping.matcher("  ") is None


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("start", "B-2 B-10 A-3"),
        ("since", "A-3 B-10 B-2"),
        ("spent", "B-10 B-2 A-3"),
        ("name", "A-3 B-2 B-10"),
        ("priority", "A-3 B-10 B-2"),
    ],
)
def test_tickets_are_put_in_order(order: grouping.Order, found: str) -> None:
    """Within their group; reversed it is the same the other way round."""
    views = [
        ticket("B-2", "", "running", 1, usage=used(10, 5)),
        ticket("B-10", "", "running", 2, usage=used(10, 6), priority=2),
        ticket("A-3", "", "running", 3, usage=used(900, 0), priority=1),
    ]
    assert [view.identifier for view in grouping.ordered(views, order)] == found.split()
    assert [view.identifier for view in grouping.ordered(views, order, reverse=True)] == found.split()[::-1]


def test_the_cursor_goes_with_its_ticket() -> None:
    """Wherever it moves; where it is gone, the place stays."""
    rows = grouping.rows(TICKETS)
    at = grouping.position(rows, "ticket id-SHOP-118", 0)
    assert grouping.key(rows[at]) == "ticket id-SHOP-118"
    assert grouping.position(rows, "ticket gone", 3) == 3
    assert grouping.position(rows[:2], "ticket gone", 9) == 1
    assert grouping.position([], "ticket gone", 9) == 0
    assert (grouping.first_ticket(rows), grouping.first_ticket([])) == (1, 0)
    assert grouping.find(TICKETS, TICKETS[2].id) is TICKETS[2]
