"""People close, merge and decline whenever they like, and say more than anybody can read: a review copes with that."""

from __future__ import annotations

import msgspec

from opensymphony.scheduler import commands as c
from opensymphony.workflow.policy import ReportingPolicy, TransitionsPolicy
from tests.scheduler.test_reviews import OURS, PULL, QUIET_MS, in_review, observe, said

MERGED = msgspec.structs.replace(PULL, state="merged")
DECLINED = msgspec.structs.replace(PULL, state="declined")


def test_the_end_of_a_pull_request_moves_no_closed_ticket() -> None:
    """A look that was under way when somebody closed the ticket neither reopens nor moves it."""
    for end in (MERGED, DECLINED):
        book = in_review()
        book.ticket("A-1", state="Done")
        book.settle_all()
        observe(book, end)
        assert book.entry("A-1").phase == "closed" and not book.kinds()


def test_what_was_said_on_a_closed_ticket_waits_for_nobody() -> None:
    """Nothing is kept for an agent that will not come."""
    book = in_review()
    book.ticket("A-1", state="Done")
    book.settle_all()
    observe(book, threads=(said(1),))
    assert not book.entry("A-1").messages


def test_a_remark_just_before_the_merge_begins_no_round() -> None:
    """Also where the policy names no state for what was merged, so that the ticket stays where it is."""
    transitions = TransitionsPolicy(started="In Progress", succeeded="In Review")
    book = in_review(msgspec.structs.replace(OURS, reporting=ReportingPolicy(transitions=transitions)))
    observe(book, threads=(said(1),))
    observe(book, MERGED)
    book.settle_all()
    book.passes(QUIET_MS)
    assert not any(isinstance(one, c.TransitionTicket) for one in book.state.pending.values())
    assert book.entry("A-1").phase == "in_review" and book.entry("A-1").generation == 1
