"""Which records are found again, and by what."""

from __future__ import annotations

import msgspec

from opensymphony.daemon.marking import TIMELINE, VERIFICATIONS, marks_of
from opensymphony.model import TicketId, TurnProgress, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import decode_record
from opensymphony.scheduler.timeline import entries
from opensymphony.store.marks import Marks
from opensymphony.views import RunFigures
from tests.scheduler.playbook import Playbook


def marks(book: Playbook) -> list[Marks]:
    return [found for data in book.records if (found := marks_of(decode_record(data))) is not None]


def test_exactly_the_records_that_tell_something_are_marked() -> None:
    """With each ticket that they tell of."""
    book = Playbook()
    book.ticket("A-1")
    book.ticket("B-1")
    book.settle_all()
    wanted = {
        (record.sequence, ticket_id) for record in map(decode_record, book.records) for ticket_id, _ in entries(record)
    }
    found = {(one.sequence, ticket_id) for one in marks(book) for topic, ticket_id in one.about if topic == TIMELINE}
    assert found == wanted != set()
    verified = [ticket_id for one in marks(book) for topic, ticket_id in one.about if topic == VERIFICATIONS]
    assert sorted(verified) == ["A-1", "B-1"]


def test_a_sign_of_life_is_not_marked() -> None:
    """There are thousands of them."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    before = len(marks(book))
    progress = TurnProgress(status="running", usage=Usage(prompt_tokens=5), summary="reads")
    book.send(e.TurnProgressed(at_ms=book.now_ms + 1, ticket_id=TicketId("A-1"), generation=1, progress=progress))
    assert len(marks(book)) == before


def test_a_run_and_a_day_leave_their_figures() -> None:
    book = Playbook()
    book.send(e.DayBegan(at_ms=book.now_ms, day="2026-11-27"))
    book.ticket("A-1")
    book.settle_all()
    book.send(e.DayBegan(at_ms=book.now_ms, day="2026-11-28"))
    [run] = [run for one in marks(book) for run in one.runs]
    assert (run.ticket_id, run.generation, run.day, run.succeeded) == ("A-1", 1, "2026-11-27", True)
    figures = msgspec.json.decode(run.body, type=RunFigures)
    assert (figures.identifier, figures.outcome, figures.usage.total_tokens) == ("A-1", "succeeded", 110)
    assert figures.started_ms < figures.ended_ms
    [(day, body)] = [day for one in marks(book) for day in one.days]
    assert (day, msgspec.json.decode(body, type=Usage).total_tokens) == ("2026-11-27", 110)


def test_a_command_that_failed_marks_its_ticket() -> None:
    """Also where nothing else is told of it."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.WriteComment)
    before = len(marks(book))
    book.fail(c.WriteComment, "final")
    assert len(marks(book)) == before + 1
