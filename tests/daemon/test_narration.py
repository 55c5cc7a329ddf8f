"""What a person reads in the log of a daemon at work."""

from pathlib import Path

import msgspec
import pytest

from opensymphony import logs
from opensymphony.daemon.narration import Narration
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from tests.scheduler.playbook import Playbook
from tests.scheduler.test_reviews import OURS, PULL, observe, said


@pytest.fixture
def told(tmp_path: Path):
    """A scheduler whose decisions are told, and the lines so far as `level event key=value`."""
    logs.set_up(directory=str(tmp_path))
    book = Playbook()
    narration = Narration(book.state)
    send = book.send

    def send_and_tell(event: e.Event):
        decisions = send(event)
        narration(decisions, event.at_ms)
        return decisions

    book.send = send_and_tell

    def lines() -> list[dict[str, object]]:
        return [msgspec.json.decode(line) for line in (tmp_path / logs.FILE_NAME).read_text().splitlines()]

    yield book, lines
    logs.shut_down()


def test_a_run_is_told_from_its_begin_to_its_end(told):
    """Each step that means something to a person is one line with the ticket and the run; a failed check is a warning."""
    book, lines = told
    book.ticket("A-1")
    for kind in (c.RereadTicket, c.ClaimTicket, c.TransitionTicket, c.PrepareWorkspace, c.OpenConversation):
        book.answer(kind)
    book.answer(c.SendMessage)
    book.answer(c.AwaitTurn)
    book.answer(c.CollectWork)
    book.answer(c.VerifyWork, passed=False)
    events = [line["event"] for line in lines()]
    assert events[0] == "run begun" and "verification failed" in events
    assert {(line["issue_identifier"], line["run"]) for line in lines()} == {("A-1", 1)}
    assert [line["level"] for line in lines() if line["event"] == "verification failed"] == ["warning"]


def test_a_problem_is_told_once(told):
    """A malformed ticket is malformed at every poll, and said once."""
    book, lines = told
    for at_ms in (0, 100_000, 200_000):
        book.send(e.PollCompleted(at_ms=book.now_ms + at_ms, problems=("A-2.md:3: no title",)))
    assert [(line["event"], line["problem"]) for line in lines()] == [("ticket problem", "A-2.md:3: no title")]


def test_what_an_operator_asked_and_what_keeps_everything_is_told(told):
    """A pause, its answer, trouble with the disk and the end of it; a refused request too."""
    book, lines = told
    book.ticket("A-1")
    for request_id in ("one", "two"):
        book.send(e.OperatorAsked(at_ms=book.now_ms, request_id=request_id, ticket_id=None, action="pause"))
    book.send(e.StorageNoted(at_ms=book.now_ms, error="only 3 MB are free"))
    book.send(e.StorageNoted(at_ms=book.now_ms, error=None))
    book.send(e.DayBegan(at_ms=book.now_ms, day="2026-11-26"))
    found = [(line["event"], line["level"]) for line in lines()]
    assert [name for name, _ in found[1:]] == [
        "paused",
        "run is being stopped",
        "request accepted",
        "request refused",
        "nothing new starts",
        "the disk is well again",
        "a day of the budget begins",
    ]
    assert ("nothing new starts", "warning") in found


def test_a_review_is_told(told):
    """That there is a pull request, that somebody said something, and that it is over."""
    book, lines = told
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=OURS))
    book.ticket("A-1")
    book.settle_all()
    observe(book, threads=(said(1),))
    observe(book, msgspec.structs.replace(PULL, state="declined"))
    events = [
        (line["event"], line["level"]) for line in lines() if "pull" in line["event"] or "review" in line["event"]
    ]
    assert events == [
        ("pull request open", "info"),
        ("the review has news", "info"),
        ("pull request declined", "warning"),
    ]
