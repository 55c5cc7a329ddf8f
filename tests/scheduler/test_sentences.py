"""The sentences: who asked for what, what was answered, why it goes on."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from opensymphony.model import PersonMessage, TicketComment, TicketId, Usage, Verification
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler import sentences as s
from opensymphony.scheduler.decisions.runs import RunTotals
from opensymphony.scheduler.machine import STAGES, Stage
from opensymphony.scheduler.outcomes import OUTCOMES
from opensymphony.scheduler.records import Record
from tests.scheduler.playbook import Playbook
from tests.scheduler.test_asks import APPROVAL, QUESTION, asking
from tests.scheduler.test_requests import ask
from tests.scheduler.test_reviews import PULL, SECOND, in_review, observe, said
from tests.scheduler.test_timeline import told

A_1 = TicketId("A-1")
NOTHING = Record(sequence=1, event=e.TimePassed(at_ms=1), decisions=())


def texts(book: Playbook, kind: str) -> list[str]:
    return [entry.text for entry in told(book) if entry.kind == kind]


def test_every_stage_is_told_or_named_as_untold() -> None:
    assert set(s.UNTOLD_STAGES) < set(get_args(Stage)) == set(STAGES)


def test_what_an_operator_asks_for_is_told_with_who_and_what_was_answered() -> None:
    """A refusal too; a message as what was said."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    ask(book, "message", text="Mind the\nedge.", author="Ada")
    ask(book, "retry", author="Ada")
    ask(book, "pause", author="Ben")
    assert texts(book, "message") == ["Ada to the agent: Mind the edge."]
    refused, paused = texts(book, "requested")
    assert refused == "Ada was refused retry: a run works on it already"
    assert paused.startswith("Ben asked for pause: ")
    assert texts(book, "paused") == ["it was paused"]
    assert texts(book, "stop_begun") == ["the run is being stopped: an operator paused it (Ben)"]
    book.settle_all()
    ask(book, "resume", author="Ben")
    assert texts(book, "run_started")[-1] == "run 2 started: Ben asked for it (resume)"


def test_questions_and_approvals_are_told_with_who_answered() -> None:
    book = asking(QUESTION)
    assert texts(book, "asked") == ["the agent asks: Which colour? - red - blue"]
    ask(book, "message", text="red", author="Ada")
    assert texts(book, "answered") == ["Ada answered"]
    book = asking(APPROVAL)
    ask(book, "approve", author="Ada")
    assert texts(book, "answered") == [f"Ada approved it ({APPROVAL.digest[:12]})"]
    book = asking(APPROVAL)
    ask(book, "reject", author="Ben", text="no")
    assert texts(book, "answered") == ["Ben rejected it"]
    book = asking(APPROVAL)
    book.passes(90 * 86_400_000)
    assert "was not given in time" in texts(book, "answered")[0]


def test_a_comment_on_the_ticket_is_told_with_its_author() -> None:
    comment = TicketComment(id="1", number=1, author="{ada}", author_name="Ada Lovelace", text="go on")
    event = e.TicketCommented(at_ms=1, ticket_id=A_1, comment=comment)
    record = Record(sequence=1, event=event, decisions=())
    decision = d.RunStarted(ticket_id=A_1, at_ms=1, generation=2)
    assert s.run_started(record, decision).text == "run 2 started: Ada Lovelace said something on the ticket"


def test_reviews_are_told() -> None:
    """Opened, news, the round, the answers, the end."""
    book = in_review()
    assert texts(book, "pull_request") == ["the pull request is open: https://host/7"]
    observe(book, threads=(said(1),))
    assert texts(book, "review") == ["the review has news for the agent: 1 thread"]
    book.passes(60_000)
    assert texts(book, "review")[-1] == "round 1 of the review"
    book.until(c.CollectWork)
    book.answer(c.CollectWork, work=SECOND)
    book.settle_all()
    assert texts(book, "review")[-1] == "1 thread is answered"

    observe(book, msgspec.structs.replace(PULL, state="merged"))
    assert texts(book, "pull_request")[-1] == "the pull request was merged: https://host/7"


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_every_outcome_is_told_with_its_cost(outcome: str) -> None:
    """What needs nobody's attention is no failure."""
    totals = RunTotals(
        identifier="A-1",
        generation=3,
        day="2026-11-27",
        waited_ms=1,
        started_ms=1_000,
        usage=Usage(prompt_tokens=1_200, completion_tokens=34, cost_micros=56_700),
    )
    ended = d.RunEnded(
        ticket_id=A_1, at_ms=301_000, outcome=outcome, reason="because", failures=1, due_ms=331_000, totals=totals
    )  # type: ignore[arg-type]
    found = s.run_ended(NOTHING, ended)
    assert OUTCOMES[outcome].headline in found.text  # type: ignore[index]
    assert found.text.endswith("because; tried again in 30 s; it took 5 min, 1,234 tokens, 0.0567 in money")
    assert found.failed == (outcome in {"failed", "gave_up", "stalled", "no_progress", "timed_out", "over_budget"})
    earlier = d.RunEnded(ticket_id=A_1, at_ms=1, outcome=outcome, reason="", failures=0)  # type: ignore[arg-type]
    assert s.run_ended(NOTHING, earlier).text == f"the run ended: {OUTCOMES[outcome].headline}"  # type: ignore[index]


def test_a_verification_that_took_too_long_has_no_exit_code() -> None:
    """Of an earlier release the attempt is not known."""
    found = Verification(passed=False, exit_code=None, output_tail="", duration_ms=1)
    noted = d.VerificationNoted(ticket_id=A_1, verification=found)
    assert s.verification_noted(NOTHING, noted).text == "the verification failed: it took too long"


def test_a_message_without_a_name_is_an_operators() -> None:
    queued = d.MessageQueued(ticket_id=A_1, message=PersonMessage(text="x", at_ms=1))
    assert s.message_queued(NOTHING, queued).line(str) == "an operator to the agent: x"


@pytest.mark.parametrize(
    ("span_ms", "told_as"), [(-5, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (7_200_000, "2 h")]
)
def test_spans_have_one_unit(span_ms: int, told_as: str) -> None:
    assert s.duration(span_ms) == told_as
