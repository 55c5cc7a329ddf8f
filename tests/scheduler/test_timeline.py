"""What people are told of a ticket's past: every kind of decision has its sentence, or is named as bookkeeping."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from opensymphony.daemon.history import open_export
from opensymphony.model import TicketId, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import Record, decode_record
from opensymphony.scheduler.sentences import TEXT_CHARS_MAX, Said
from opensymphony.scheduler.timeline import BOOKKEEPING, TELLERS, entries
from opensymphony.views import TimelineEntry
from opensymphony.workflow.policy import AgentPolicy
from tests.histories.record import FOLDER
from tests.scheduler.playbook import Playbook, policy
from tests.scheduler.test_merging import look, merging
from tests.scheduler.test_reviews import in_review


def told(book: Playbook, name: str = "A-1") -> list[TimelineEntry]:
    """The timeline of a ticket, oldest first."""
    records = (decode_record(data) for data in book.records)
    return [entry for record in records for ticket_id, entry in entries(record) if ticket_id == name]


def test_every_kind_of_decision_is_told_or_named_as_bookkeeping() -> None:
    """Whoever adds one says here which it is."""
    kinds = set(get_args(d.Decision))
    assert set(TELLERS) | BOOKKEEPING == kinds
    assert not set(TELLERS) & BOOKKEEPING


def test_a_run_is_told_from_its_start_to_its_end() -> None:
    """In order, each with its run; signs of life, timers and outcomes as such are not told."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.VerifyWork)
    book.answer(c.VerifyWork, passed=False)
    book.settle_all()
    timeline = told(book)
    assert [entry.kind for entry in timeline if entry.kind != "stage_entered"] == [
        "seen",
        "run_started",
        "ticket_moved",
        "workspace",
        "conversation",
        "turn_begun",
        "turn_ended",
        "work",
        "verified",
        "turn_begun",
        "turn_ended",
        "work",
        "verified",
        "delivered",
        "ticket_moved",
        "run_ended",
    ]
    texts = {entry.kind: entry.text for entry in timeline}
    assert (texts["verified"], texts["turn_begun"]) == ("the verification passed (attempt 2)", "turn 2 began")
    assert texts["run_ended"].startswith("the run ended: Ready for review; it took 0 s, 110 tokens")
    assert texts["ticket_moved"] == "the ticket was moved from In Progress to In Review"
    [failed] = [entry for entry in timeline if entry.failed]
    assert failed.text == "the verification failed (attempt 1): exit code 1"
    assert {entry.generation for entry in timeline[1:]} == {1}
    assert [entry.sequence for entry in timeline] == sorted(entry.sequence for entry in timeline)


def test_the_decisions_of_one_event_go_to_their_tickets() -> None:
    """A run that ends makes room for another ticket: both are told, each its own."""
    book = Playbook(policy(agent=AgentPolicy(max_concurrent_agents=1)))
    book.ticket("A-1")
    book.ticket("B-1")
    book.settle_all()
    ended, started = told(book)[-1], told(book, "B-1")[1]
    assert ended.sequence == started.sequence
    assert (ended.kind, ended.generation) == ("run_ended", 1)
    assert started.text == "run 1 started: a place became free"
    assert told(book, "B-1")[0].text == "it was seen, in Todo"


def test_a_command_that_failed_is_told_with_what_follows() -> None:
    """Once: with its next try where there is one."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.PrepareWorkspace)
    book.fail(c.PrepareWorkspace)
    [delayed, *_] = [entry for entry in told(book) if entry.failed]
    assert "prepare workspace failed: it broke" in delayed.text
    book.settle_all()
    assert all(entry.generation for entry in told(book) if entry.kind == "run_ended")


def test_what_is_about_nobody_in_particular_is_in_no_timeline() -> None:
    """A day, a poll, a pause of everything."""
    book = Playbook()
    book.send(e.DayBegan(at_ms=book.now_ms, day="2026-11-27"))
    book.send(e.PollFailed(at_ms=book.now_ms, error="away"))
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="r", ticket_id=None, action="pause"))
    assert [found for data in book.records for found in entries(decode_record(data))] == []


def test_hostile_texts_stay_on_one_line_and_short() -> None:
    """A megabyte with escapes, line breaks and other controls becomes a sentence."""
    text = "\x1b[2J\x00evil\r\n\u202e" * 100_000
    decision = d.StopBegun(ticket_id=TicketId("A-1"), outcome="failed", reason=text)
    record = Record(sequence=1, event=e.TimePassed(at_ms=1), decisions=(decision,))
    [(_, entry)] = entries(record)
    assert len(entry.text) <= TEXT_CHARS_MAX
    assert entry.text.isprintable()
    assert "evil" in entry.text


SECRET = "first half\n  second half"


def wiped(text: str) -> str:
    return text.replace(SECRET, "[wiped]")


@pytest.mark.parametrize("before", [0, 280, 295, 590, 1_190, 2_390])
def test_a_text_is_cleaned_while_it_is_whole(before: int) -> None:
    """Cut in the middle of a secret, or folded, it would show half of it, or all: quoted or not."""
    text = "x" * before + SECRET
    decisions = (
        d.StopBegun(ticket_id=TicketId("A-1"), outcome="failed", reason=text),
        d.TurnSettled(ticket_id=TicketId("A-1"), at_ms=1, usage=Usage(), final_text=text),
        d.MergeAwaited(ticket_id=TicketId("A-1"), reason=text),
    )
    record = Record(sequence=1, event=e.TimePassed(at_ms=1), decisions=decisions)
    found = [entry.text for _, entry in entries(record, wiped)]
    assert len(found) == 3
    assert not [one for one in found if "first" in one or "second" in one]
    assert all(("[wiped]" in one) == (before < 290) for one in found[1:])


def test_what_comes_before_and_behind_a_quote_is_cleaned_too() -> None:
    said = Said("work", f"a {SECRET} ", quote=SECRET * 200, rest=f"; b {SECRET}")
    line = said.line(wiped)
    assert line.startswith("a [wiped] [wiped][wiped]") and line.endswith("…; b [wiped]")
    assert len(line) < 350 and "half" not in line


def test_a_merge_that_failed_is_told_once() -> None:
    """With what it waits for now."""
    book = in_review(merging())
    look(book)
    book.fail(c.MergePullRequest, "person")
    [failed] = [entry for entry in told(book) if entry.failed]
    assert (failed.kind, failed.text) == ("merge", "it is not merged by itself: the code host refuses it: it broke")
    [going, _] = [entry.text for entry in told(book) if entry.kind == "merge"]
    assert going == "it is merged by itself: it is approved as it is, and nothing speaks against it"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_days_full_of_everything_can_be_told(path: Path) -> None:
    """Every record of the histories: each entry is a sentence of a known ticket."""
    with open_export(path) as history:
        records = list(history.read_records(history.beginnings[0], history.last))
    found = [one for record in records for one in entries(record)]
    assert len(found) > len(records) / 2
    for ticket_id, entry in found:
        assert ticket_id and entry.kind and entry.text.isprintable() and "None" not in entry.text
    assert {"run_started", "run_ended", "verified", "turn_begun"} <= {entry.kind for _, entry in found}
