"""What a run took stands in the record of its end."""

from __future__ import annotations

from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import decode_record
from opensymphony.workflow.policy import AgentPolicy
from tests.scheduler.playbook import Playbook, policy


def ends(book: Playbook) -> list[d.RunEnded]:
    decided = [one for data in book.records for one in decode_record(data).decisions]
    return [one for one in decided if isinstance(one, d.RunEnded)]


def test_a_run_tells_its_day_its_wait_and_what_it_used() -> None:
    """The second ticket waited for the place of the first; each counts only its own."""
    book = Playbook(policy(agent=AgentPolicy(max_concurrent_agents=1)))
    book.send(e.DayBegan(at_ms=book.now_ms, day="2026-11-27"))
    book.ticket("A-1")
    book.now_ms += 5_000
    began_ms = book.now_ms
    book.ticket("B-1")
    book.settle_all()
    first, second = (ended.totals for ended in ends(book))
    assert first is not None and second is not None
    assert (first.identifier, first.generation, first.day, first.waited_ms) == ("A-1", 1, "2026-11-27", 0)
    assert (second.identifier, second.usage.total_tokens) == ("B-1", 110)
    assert second.waited_ms == second.started_ms - began_ms > 0


def test_a_ticket_that_starts_again_has_waited_since_it_was_woken_only() -> None:
    """Not since it was seen first: what it was worked on, and the pause of its backoff, is no wait for a place."""
    book = Playbook(policy(agent=AgentPolicy(max_concurrent_agents=1)))
    book.ticket("A-1")
    book.settle_all()
    book.passes(3_600_000)
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="r", ticket_id=book.entry("A-1").ticket.id, action="retry"))
    book.settle_all()
    again = ends(book)[-1].totals
    assert again is not None
    assert (again.generation, again.waited_ms < 60_000) == (2, True)


def test_a_day_that_ends_tells_what_it_cost() -> None:
    book = Playbook()
    for day in ("2026-11-27", "2026-11-28"):
        book.send(e.DayBegan(at_ms=book.now_ms, day=day))
        if day == "2026-11-27":
            book.ticket("A-1")
            book.settle_all()
    decided = [one for data in book.records for one in decode_record(data).decisions if isinstance(one, d.DayTurned)]
    assert [(one.day, one.before, one.spent.total_tokens) for one in decided] == [
        ("2026-11-27", "", 0),
        ("2026-11-28", "2026-11-27", 110),
    ]
