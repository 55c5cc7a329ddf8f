"""The columns of the board."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from opensymphony.tui.columns import cell, columns, due, pull, stage, why
from opensymphony.views import PullRequestView
from tests.tui.scenes import HOSTILE, NOW_MS, QUESTION, TICKETS, ticket

NAMES = [view.identifier for view in TICKETS]


@pytest.mark.parametrize("width", range(20, 240, 3))
def test_columns_fill_the_width_and_no_more(width: int) -> None:
    """At every width identifier and title are there, and each row is as wide as the others."""
    found = columns(width, NAMES)
    assert {"ticket", "title"} <= {column.name for column in found}
    for view in (*TICKETS, *HOSTILE.tickets):
        row = " ".join(cell(column, view, NOW_MS) for column in found if column.width)
        assert cell_len(row) + 2 <= max(width, 22)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (38, "ticket title since"),
        (58, "ticket title stage since due"),
        (78, "ticket title stage why since due"),
        (98, "ticket title stage why since due cost"),
        (140, "ticket title stage why since due turns tokens cost pr"),
    ],
)
def test_what_matters_most_stays(width: int, shown: str) -> None:
    """Figures go first, then the sentence, then the stage."""
    assert " ".join(column.name for column in columns(width, NAMES)) == shown


def test_a_column_without_anything_is_left_out() -> None:
    """Money where none was spent, reviews where there are none."""
    shown = {column.name for column in columns(160, NAMES, money_spent=False, reviews=False)}
    assert not shown & {"cost", "pr"} and "tokens" in shown


def test_the_stage_is_the_nearest_word() -> None:
    """What it waits for, what its pull request does, the tracker's state where nothing happens."""
    said = {view.identifier: stage(view) for view in TICKETS}
    assert said["SHOP-131"] == "question" and said["SHOP-118"] == "working" and said["SHOP-101"] == "pr open"
    assert said["SHOP-140"] == "To Do" and said["SHOP-109"] == "retrying"
    assert stage(ticket("A", "", "waiting_to_start", paused=True)) == "paused"
    assert stage(ticket("A", "", "needs_person")) == "stopped"
    soon = PullRequestView(id="5", url="", state="open", starts_ms=NOW_MS)
    assert stage(ticket("A", "", "in_review", pull_request=soon)) == "restarts"


def test_when_something_is_due() -> None:
    """A retry, a review, the end of a question; what should have been is now."""
    assert due(ticket("A", "", "retrying", due_ms=NOW_MS + 95_000), NOW_MS) == "1m"
    assert due(ticket("A", "", "retrying", due_ms=NOW_MS - 1), NOW_MS) == "now"
    assert due(ticket("A", "", "needs_person", asked=QUESTION), NOW_MS) == "48m"
    soon = PullRequestView(id="5", url="", state="open", starts_ms=NOW_MS + 5_000)
    assert due(ticket("A", "", "in_review", pull_request=soon), NOW_MS) == "5s"
    assert due(ticket("A", "", "running"), NOW_MS) == ""


def test_a_pull_request_is_a_number_and_its_open_threads() -> None:
    """Or its own name where it has no number."""
    assert pull(None) == ""
    assert pull(PullRequestView(id="57", url="", state="open", open_threads=2)) == "#57 +2"
    assert pull(PullRequestView(id="change-x", url="", state="open")) == "change-x"


def test_the_sentence_says_what_a_person_wants_to_know() -> None:
    """What is asked before all, what the agent does while it runs."""
    assert why(TICKETS[0]).startswith("asks: Shall") and why(TICKETS[1]).startswith("wants to: terminal")
    assert why(TICKETS[2]) == "ran the tests of the basket: 2 of 41 fail"
    assert why(ticket("A", "", "retrying", error="it broke")) == "it broke"
