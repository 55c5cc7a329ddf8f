"""What an operator asks for."""

from __future__ import annotations

from typing import Any

import pytest

from opensymphony.model import TicketId, TransitionAnswer
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.workflow.policy import ReportingPolicy, TransitionsPolicy
from tests.scheduler.playbook import Playbook, policy


def ask(book: Playbook, action: Any, name: str | None = "A-1", **fields: Any) -> tuple[bool, str]:
    request_id = fields.pop("request_id", f"request {len(book.state.requests)}")
    ticket_id = TicketId(name) if name is not None else None
    asked = e.OperatorAsked(at_ms=book.now_ms, request_id=request_id, ticket_id=ticket_id, action=action, **fields)
    book.send(asked)
    return book.state.requests[request_id][:2]


def at_work(name: str = "A-1") -> Playbook:
    book = Playbook()
    book.ticket(name)
    book.until(c.AwaitTurn)
    return book


def test_stop_ends_the_run_and_leaves_the_ticket_to_a_person() -> None:
    """Who and why stand on the ticket; `retry` starts the next run."""
    book = at_work()
    assert ask(book, "stop", text="wrong  branch", author="ann")[0]
    assert "StopRun" in book.kinds()
    assert ask(book, "stop") == (False, "it is ending already")
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.reason) == ("needs_person", "an operator stopped it (ann): wrong branch")
    assert ask(book, "stop") == (False, "nobody works on it")
    assert ask(book, "retry")[0]
    assert book.pending(c.RereadTicket).generation == 2


def test_stop_puts_down_a_ticket_that_waits() -> None:
    """No run is needed for that."""
    book = Playbook()
    for name in ("A-1", "A-2", "A-3", "A-4", "B-1"):
        book.ticket(name)
    assert ask(book, "stop", "B-1")[0]
    assert book.entry("B-1").phase == "needs_person"


@pytest.mark.parametrize("action", ["stop", "retry", "pause", "resume", "message"])
def test_an_unknown_ticket_is_refused(action: Any) -> None:
    """The request is answered all the same."""
    assert ask(Playbook(), action, "X-1", text="hello") == (False, "no such ticket is known")


def test_a_request_is_answered_once() -> None:
    """Asked again with the same id, it gets the same answer and changes nothing."""
    book = at_work()
    first = ask(book, "stop", request_id="one")
    book.settle_all()
    ask(book, "retry")
    assert ask(book, "stop", request_id="one") == first
    assert "StopRun" not in book.kinds()
    assert book.send(e.OperatorAsked(at_ms=1, request_id="one", ticket_id=TicketId("A-1"), action="stop")) == ()


def test_only_the_newest_requests_are_remembered() -> None:
    """The list has an end."""
    book = Playbook()
    book.fold_every = 10_000
    for index in range(1_005):
        ask(book, "stop", "X-1", request_id=f"r{index}")
    assert len(book.state.requests) == 1_000
    assert "r4" not in book.state.requests
    assert "r5" in book.state.requests


def test_retry_needs_a_ticket_that_rests_and_is_ours() -> None:
    """What is under way, or closed, is refused with the reason."""
    book = at_work()
    assert ask(book, "retry") == (False, "a run works on it already")
    book.ticket("A-1", "Done")
    book.settle_all()
    assert ask(book, "retry") == (False, "it is closed: its state is Done")


def test_retry_does_not_wait_for_the_backoff() -> None:
    """And begins to count failures anew."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.PrepareWorkspace)
    book.fail(c.PrepareWorkspace)
    book.settle_all()
    assert book.entry("A-1").phase == "retrying"
    assert ask(book, "retry")[0]
    assert book.pending(c.RereadTicket).generation == 2
    assert book.entry("A-1").failures == 0


def test_a_paused_ticket_is_stopped_and_goes_on_after_resume() -> None:
    """That is no failure; whatever happens to the ticket meanwhile starts nothing."""
    book = at_work()
    assert ask(book, "pause")[0]
    assert ask(book, "pause") == (False, "it is paused already")
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.outcome, entry.failures) == ("waiting_to_start", "interrupted", 0)
    book.ticket("A-1", "In Progress", description="more")
    assert entry.run is None
    assert ask(book, "resume") == (True, "it goes on")
    assert book.pending(c.RereadTicket).generation == 2
    assert ask(book, "resume")[0] is False


def test_a_pause_may_let_the_run_finish() -> None:
    """Then the next one does not start."""
    book = at_work()
    assert ask(book, "pause", finish=True) == (True, "it does not start before `resume`")
    book.settle_all()
    assert book.entry("A-1").phase == "in_review"
    book.ticket("A-1", "Todo", description="again")
    assert book.entry("A-1").run is None


@pytest.mark.parametrize("finish", [False, True])
def test_everything_can_be_paused_and_stays_so_over_a_restart(finish: bool) -> None:
    """Nothing new starts; what runs is stopped, or may finish."""
    book = at_work()
    assert ask(book, "pause", None, finish=finish)[0]
    assert ("StopRun" in book.kinds()) == (not finish)
    assert ask(book, "pause", None) == (False, "everything is paused already")
    book.settle_all()
    book.ticket("B-1")
    book.state = book.recovered()
    book.send(e.DaemonStarted(at_ms=book.now_ms, instance="one", version="again"))
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=policy()))
    assert book.state.running == {}
    assert ask(book, "resume", None) == (True, "work goes on")
    assert TicketId("B-1") in book.state.running
    assert ask(book, "resume", None)[0] is False


@pytest.mark.parametrize("action", ["stop", "retry", "message"])
def test_some_actions_need_a_ticket(action: Any) -> None:
    """Nobody stops everything by leaving a word out."""
    assert ask(Playbook(), action, None) == (False, f"{action} needs a ticket")


def test_a_message_is_given_with_the_next_turn_before_the_work_is_looked_at() -> None:
    """It is no continuation, and is given once."""
    book = at_work()
    assert ask(book, "message", text=" Mind the umlauts \n", author="ann")[0]
    book.answer(c.AwaitTurn)
    sent = book.pending(c.SendMessage)
    assert sent.text == "A message from ann:\n\nMind the umlauts"
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.turns, entry.messages) == ("in_review", 2, ())


def test_a_message_to_a_ticket_at_rest_wakes_it() -> None:
    """Its text is in what the agent is told first."""
    book = at_work()
    book.settle_all()
    assert ask(book, "message", text="One more thing")[0]
    book.until(c.SendMessage)
    assert "A message from an operator:\n\nOne more thing" in book.pending(c.SendMessage).text


def test_a_message_that_comes_while_the_last_stages_run_starts_the_next_run() -> None:
    """It is not forgotten because the work was done."""
    book = at_work()
    book.until(c.ReleaseClaim)
    assert ask(book, "message", text="Wait")[0]
    book.answer(c.ReleaseClaim)
    book.until(c.RereadTicket)
    assert book.pending(c.RereadTicket).generation == 2


def test_a_message_that_comes_while_the_work_is_checked_is_a_turn_before_the_end() -> None:
    """The run does not end with something unsaid."""
    book = at_work()
    book.until(c.PushCommit)
    ask(book, "message", text="Wait")
    book.answer(c.PushCommit)
    assert book.pending(c.SendMessage).text.endswith("Wait")


def test_a_message_that_could_not_be_sent_is_given_by_the_next_run() -> None:
    """A failure loses no words of a person."""
    book = at_work()
    ask(book, "message", text="Mind the umlauts")
    book.answer(c.AwaitTurn)
    book.fail(c.SendMessage)
    book.settle_all()
    assert [message.text for message in book.entry("A-1").messages] == ["Mind the umlauts"]
    due_ms = book.entry("A-1").due_ms
    assert due_ms is not None
    book.passes(due_ms - book.now_ms)
    book.until(c.SendMessage)
    assert "Mind the umlauts" in book.pending(c.SendMessage).text


@pytest.mark.parametrize(
    ("text", "answer"),
    [(" \n", "the message is empty"), ("x" * 20_001, "the message is longer than 20,000 characters")],
)
def test_a_message_has_something_to_say_and_an_end(text: str, answer: str) -> None:
    """Nonsense is refused at once."""
    assert ask(at_work(), "message", text=text) == (False, answer)


def test_messages_that_wait_are_limited() -> None:
    """Nobody fills the journal with them."""
    book = at_work()
    for index in range(50):
        assert ask(book, "message", text=f"number {index}")[0]
    assert ask(book, "message", text="one too many") == (False, "50 messages wait for the agent already")


def test_a_message_to_a_closed_ticket_is_refused() -> None:
    """Nobody would read it."""
    book = at_work()
    book.ticket("A-1", "Done")
    book.settle_all()
    assert ask(book, "message", text="Hello") == (False, "it is closed: its state is Done")


def test_a_message_from_before_a_stop_waits_with_the_ticket() -> None:
    """Who stops a ticket has the last word; what is said after that is an answer."""
    book = at_work()
    ask(book, "message", text="early")
    book.now_ms += 1
    ask(book, "stop")
    book.settle_all()
    assert (book.entry("A-1").phase, book.entry("A-1").generation) == ("needs_person", 1)
    assert len(book.entry("A-1").messages) == 1


def test_a_message_while_a_run_is_being_stopped_starts_the_next_one() -> None:
    """It gets both, in their order."""
    book = at_work()
    ask(book, "message", text="early")
    ask(book, "stop")
    book.now_ms += 1
    ask(book, "message", text="late")
    book.until(c.SendMessage)
    text = book.pending(c.SendMessage).text
    assert 0 < text.index("early") < text.index("late")


def test_retry_says_when_a_pause_is_in_the_way() -> None:
    """It will not start before `resume`."""
    book = at_work()
    book.settle_all()
    ask(book, "pause", None)
    assert ask(book, "retry") == (True, "it is moved back to In Progress and starts after `resume`")


def test_a_message_does_not_start_one_run_after_another() -> None:
    """It was said before the run that fails without having given it: it waits with the ticket for the next word."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.PrepareWorkspace)
    book.fail(c.PrepareWorkspace, "person")
    book.settle_all()
    assert ask(book, "message", text="try again")[0]
    book.until(c.PrepareWorkspace)
    book.fail(c.PrepareWorkspace, "person")
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.generation, len(entry.messages)) == ("needs_person", 2, 1)
    book.now_ms += 1
    assert ask(book, "message", text="now it is mended")[0]
    sent = book.until(c.SendMessage)
    assert isinstance(sent, c.SendMessage)
    assert "try again" in sent.text


def moved_back() -> Playbook:
    """In review, and on its way back to work: somebody has said what is left to do."""
    book = at_work()
    book.settle_all()
    assert book.entry("A-1").phase == "in_review"
    book.ticket("A-1", "In Review")
    assert ask(book, "message", text="one more thing")[0]
    return book


def test_a_ticket_that_cannot_be_moved_back_yet_is_moved_later() -> None:
    """Whoever asked was told that it starts: a tracker that is away for a minute must not make that untrue."""
    book = moved_back()
    for _ in range(3):
        book.fail(c.TransitionTicket)
        assert book.entry("A-1").phase == "in_review"
        book.passes(60_000)
    assert book.pending(c.TransitionTicket).to_state == "In Progress"
    book.answer(c.TransitionTicket)
    assert book.pending(c.RereadTicket).generation == 2
    book.passes(120_000)
    assert "TransitionTicket" not in book.kinds()


def test_a_ticket_is_moved_back_once_however_often_somebody_asks() -> None:
    """What is asked meanwhile rides on the same move; a second one would go on by itself after the first has succeeded."""
    book = moved_back()
    book.fail(c.TransitionTicket)
    assert ask(book, "message", text="and another")[0]
    book.pending(c.TransitionTicket)
    assert ask(book, "message", text="and a third")[0]
    assert book.kinds().count("TransitionTicket") == 1
    book.answer(c.TransitionTicket)
    assert book.entry("A-1").phase == "running"
    book.passes(60_000)
    assert "TransitionTicket" not in book.kinds()


def test_what_was_parked_meanwhile_is_not_moved_back() -> None:
    """The move that failed was wanted before a person was asked to decide."""
    book = moved_back()
    book.fail(c.TransitionTicket)
    assert book.entry("A-1").move_ms == book.now_ms + 60_000
    assert ask(book, "stop")[0]
    assert ask(book, "stop") == (False, "nobody works on it")
    book.passes(600_000)
    assert book.entry("A-1").phase == "needs_person" and "TransitionTicket" not in book.kinds()


def test_a_ticket_that_was_taken_for_closed_starts_when_it_was_moved_back() -> None:
    """Somebody had moved it where we put what needs a person; an operator wants it tried again all the same."""
    moves = TransitionsPolicy(started="In Progress", needs_attention="Backlog")
    book = Playbook(policy(reporting=ReportingPolicy(transitions=moves), verify_command=None))
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.ticket("A-1", state="Backlog")
    book.settle_all()
    assert book.entry("A-1").phase == "closed"
    assert ask(book, "retry")[0]
    book.until(c.TransitionTicket)
    book.fail(c.TransitionTicket)
    book.passes(60_000)
    book.answer(c.TransitionTicket, answer=TransitionAnswer(moved=True, state="In Progress"))
    assert book.entry("A-1").phase == "running"
