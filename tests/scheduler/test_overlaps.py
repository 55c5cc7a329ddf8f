"""Who changes the same files is told, and kept apart where the policy wants it."""

from __future__ import annotations

import msgspec

from opensymphony.model import TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.overlaps import overlaps, why_overlapping
from opensymphony.workflow.policy import AgentPolicy
from tests.scheduler.playbook import GOOD_WORK, Playbook, policy


def with_two(wait: bool) -> Playbook:
    """A-1 and B-1 are in review with one file in common, C-1 with none."""
    book = Playbook(policy(verify_command=None, agent=AgentPolicy(wait_for_overlaps=wait)))
    for name, files in (("A-1", ("a.py", "both.py")), ("B-1", ("b.py", "both.py")), ("C-1", ("c.py",))):
        book.ticket(name)
        book.until(c.CollectWork, name)
        book.answer(c.CollectWork, name, work=msgspec.structs.replace(GOOD_WORK, files_changed=files))
        book.settle_all()
    return book


def retry(book: Playbook, name: str) -> None:
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id=f"retry {name}", ticket_id=TicketId(name), action="retry"))
    if book.kinds(name) == ["TransitionTicket"]:
        book.answer(c.TransitionTicket, name)


def test_tickets_in_review_that_change_the_same_file_are_told() -> None:
    """Each pair once, with the files."""
    book = with_two(wait=False)
    [found] = overlaps(book.state)
    assert (found.tickets, found.files, found.more) == (("A-1", "B-1"), ("both.py",), 0)


def test_a_closed_ticket_overlaps_with_nobody() -> None:
    """Its work is where it belongs, or nowhere."""
    book = with_two(wait=False)
    book.ticket("B-1", "Done")
    assert overlaps(book.state) == ()


def test_the_later_one_waits_where_the_policy_wants_it() -> None:
    """Until the other's run has ended; those without a file in common do not wait, and the reason is told."""
    book = with_two(wait=True)
    retry(book, "A-1")
    book.until(c.AwaitTurn, "A-1")
    retry(book, "B-1")
    retry(book, "C-1")
    assert book.entry("B-1").phase == "waiting_to_start" and book.entry("C-1").phase == "running"
    assert why_overlapping(book.state, book.entry("B-1")) == "it waits for A-1, which is at work on both.py too"
    book.answer(c.AwaitTurn, "A-1")
    other = msgspec.structs.replace(GOOD_WORK, commit="e" * 40, files_changed=("a.py", "both.py"))
    book.answer(c.CollectWork, "A-1", work=other)
    while book.entry("A-1").run is not None:
        book.answer_command(next(one for one in book.state.pending.values() if one.ticket_id == "A-1"))
    assert book.entry("B-1").phase == "running"


def test_by_default_nobody_waits() -> None:
    """Most overlaps are merged by git without a word."""
    book = with_two(wait=False)
    retry(book, "A-1")
    retry(book, "B-1")
    assert {book.entry(name).phase for name in ("A-1", "B-1")} == {"running"}
