"""The last stages of a run, and what becomes of the ticket."""

from typing import Any

import pytest

from opensymphony.model import Claim, ClaimAnswer, Cleanup, TicketId, TicketRef
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.workflow.policy import AgentPolicy, ReportingPolicy, TransitionsPolicy
from tests.scheduler.playbook import Playbook, policy


def test_failures_back_off_and_then_need_attention() -> None:
    """Each failure doubles the wait; the last one allowed goes to a person instead."""
    book = Playbook(policy(agent=AgentPolicy(max_failures=3)))
    book.ticket("A-1")
    waits: list[int] = []
    for _ in range(2):
        book.until(c.AwaitTurn)
        book.fail(c.AwaitTurn)
        book.settle_all()
        entry = book.entry("A-1")
        assert entry.due_ms is not None
        waits.append(entry.due_ms - book.now_ms)
        book.passes(entry.due_ms - book.now_ms)
    assert waits == [7_500, 15_000]
    book.until(c.AwaitTurn)
    book.fail(c.AwaitTurn)
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.outcome) == ("needs_person", "gave_up")
    assert "failure 3 in a row" in entry.reason


def test_an_error_that_needs_a_person_is_not_retried() -> None:
    """A wrong credential does not get better by trying."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.OpenConversation)
    book.fail(c.OpenConversation, "person")
    book.settle_all()
    assert book.entry("A-1").outcome == "needs_input"


def test_a_ticket_that_needs_attention_is_moved_where_the_policy_says() -> None:
    """`needs_attention` applies to questions and to giving up alike."""
    transitions = TransitionsPolicy(succeeded="In Review", needs_attention="Help Wanted")
    book = Playbook(policy(reporting=ReportingPolicy(transitions=transitions)))
    book.ticket("A-1")
    book.until(c.OpenConversation)
    book.fail(c.OpenConversation, "final")
    assert book.pending(c.TransitionTicket).to_state == "Help Wanted"
    book.settle_all()
    assert book.entry("A-1").ticket.state == "Help Wanted"
    book.ticket("A-1", "Help Wanted")
    assert book.kinds() == [], "our own move is no person's change"


def test_a_comment_that_cannot_be_written_does_not_keep_the_run_alive() -> None:
    """The last stages are tried a few times, then the ticket is let go."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.answer(c.AwaitTurn)
    book.until(c.PushCommit)
    book.answer(c.PushCommit)
    book.answer(c.TransitionTicket)
    for _ in range(5):
        book.fail(c.WriteComment)
        due_ms = book.state.timers[0][0]
        book.passes(due_ms - book.now_ms)
    book.fail(c.WriteComment)
    book.settle_all()
    assert book.entry("A-1").phase == "in_review"


def test_a_stop_is_tried_until_it_is_confirmed() -> None:
    """Stopped means confirmed stopped: a stop that fails leaves the run in its place."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.ticket("A-1", "Backlog")
    for _ in range(8):
        book.fail(c.StopRun)
        assert book.entry("A-1").run is not None
        book.passes(300_000)
    book.settle_all()
    assert book.entry("A-1").phase == "closed"


def test_a_workspace_with_unpushed_work_is_kept_and_said_so() -> None:
    """Closing a ticket never destroys work that exists nowhere else."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.ticket("A-1", "Done")
    book.until(c.CleanWorkspace)
    book.answer(c.CleanWorkspace, cleanup=Cleanup(removed=False, reason="2 commits were never pushed"))
    book.settle_all()
    assert book.entry("A-1").workspace is not None
    assert book.entry("A-1").note == "2 commits were never pushed"


def test_a_ticket_in_review_that_is_closed_loses_its_workspace() -> None:
    """The work was pushed; the person closed the ticket; nothing is left over."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    book.ticket("A-1", "Done")
    assert book.kinds() == ["CleanWorkspace"]
    book.settle_all()
    assert book.entry("A-1").workspace is None


def test_a_stop_while_the_conversation_is_opened_names_it() -> None:
    """It may exist on the server although nobody has told us: it is interrupted all the same."""
    book = Playbook()
    book.ticket("A-1")
    opening = book.until(c.OpenConversation)
    assert isinstance(opening, c.OpenConversation)
    book.ticket("A-1", "Backlog")
    assert book.pending(c.StopRun).conversation_id == opening.conversation_id


def test_a_policy_that_arrives_during_a_run_keeps_it_running() -> None:
    """Hot changes apply to what is decided next."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=policy(verify_command=None)))
    book.settle_all()
    assert book.entry("A-1").phase == "in_review"
    assert book.entry("A-1").verified is None


def test_a_shutdown_between_failures_does_not_reset_their_count() -> None:
    """Interrupted is neither a success nor a failure."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.fail(c.AwaitTurn)
    book.settle_all()
    book.passes(10_001)
    book.until(c.AwaitTurn)
    book.send(e.ShutdownRequested(at_ms=book.now_ms))
    book.settle_all()
    assert book.entry("A-1").failures == 1


def test_a_transition_that_fails_for_good_is_told() -> None:
    """The work is ready, and the comment says why the ticket stands where it stands."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.PushCommit)
    book.answer(c.PushCommit)
    book.fail(c.TransitionTicket, "person")
    assert "the ticket could not be moved: it broke" in book.pending(c.WriteComment).body
    book.settle_all()
    assert "could not be moved" in book.entry("A-1").reason


def test_a_clean_up_that_fails_is_tried_again() -> None:
    """Ten minutes later, as long as the ticket stays closed."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    book.ticket("A-1", "Done")
    book.fail(c.CleanWorkspace)
    assert book.kinds() == []
    book.passes(600_001)
    assert book.kinds() == ["CleanWorkspace"]


def test_a_claim_that_is_refused_for_good_goes_to_a_person() -> None:
    """A read-only board is not tried ten thousand times a day."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.ClaimTicket)
    book.fail(c.ClaimTicket, "person")
    book.settle_all()
    assert book.entry("A-1").phase == "needs_person"
    book.passes(10**7)
    assert book.kinds() == []


def test_a_claim_that_fails_for_now_waits_longer_each_time() -> None:
    """Tracker trouble is no failure of the ticket, and no reason to hammer it."""
    book = Playbook()
    book.ticket("A-1")
    waits: list[int] = []
    for _ in range(3):
        book.until(c.ClaimTicket)
        book.fail(c.ClaimTicket)
        due_ms = book.entry("A-1").due_ms
        assert due_ms is not None
        waits.append(due_ms - book.now_ms)
        book.passes(due_ms - book.now_ms)
    assert waits == [7_500, 15_000, 30_000]
    assert book.entry("A-1").failures == 0


def test_a_claim_is_renewed_while_the_last_stages_wait_for_the_tracker() -> None:
    """A tracker that is away for long does not make the ticket another daemon's."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.PushCommit)
    book.answer(c.PushCommit)
    assert book.entry("A-1").run is not None
    while "ClaimTicket" not in book.kinds("A-1"):
        book.passes(60_000)
    renewed = book.pending(c.ClaimTicket).claim
    book.answer(c.ClaimTicket)
    assert book.entry("A-1").claim == renewed


def test_a_claim_that_is_lost_in_the_last_stages_ends_all_writing() -> None:
    """The ticket is another daemon's: it is neither moved nor commented on, nor is their claim taken off."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.PushCommit)
    book.answer(c.PushCommit)
    moved = book.pending(c.TransitionTicket)
    while "ClaimTicket" not in book.kinds("A-1"):
        book.passes(60_000)
    taken = ClaimAnswer(granted=False, holder=Claim(instance="two", generation=1, heartbeat_ms=1))
    book.answer(c.ClaimTicket, answer=taken)
    assert "StopRun" not in book.kinds()
    book.answer_command(moved)
    book.settle_all()
    assert book.entry("A-1").run is None
    last = [record for record in book.records[-4:] if b"WriteComment" in record or b"ReleaseClaim" in record]
    assert last == []


def test_a_ticket_that_was_missed_once_before_its_claim_is_taken_up_again() -> None:
    """It has a workspace, and looks as before when the tracker shows it again: that must be a change all the same."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.CollectWork)
    book.fail(c.CollectWork)
    book.settle_all()
    book.passes(10_000_000)
    book.answer(c.RereadTicket, ticket=None)
    assert book.entry("A-1").phase == "closed"
    book.ticket("A-1", "In Progress")
    assert book.pending(c.RereadTicket).generation == 3


@pytest.mark.parametrize("action", ["pause", "message"])
def test_what_people_left_with_a_ticket_is_kept_when_the_tracker_misses_it(action: Any) -> None:
    """A tracker that forgets a ticket for one look must not start one that is paused, or lose what was said."""
    book = Playbook()
    book.ticket("A-1", blocked_by=(TicketRef(id=TicketId("X-1"), identifier="X-1", state="Todo"),))
    asked = e.OperatorAsked(
        at_ms=book.now_ms, request_id="one", ticket_id=TicketId("A-1"), action=action, text="use the new table"
    )
    book.send(asked)
    book.send(e.TicketVanished(at_ms=book.now_ms, ticket_id=TicketId("A-1")))
    book.ticket("A-1")
    entry = book.entry("A-1")
    assert entry.paused is (action == "pause")
    assert len(entry.messages) == (action == "message")
    assert ("RereadTicket" in book.kinds()) is (action == "message")


def test_a_ticket_that_was_closed_long_ago_is_forgotten_unless_it_left_something() -> None:
    """Otherwise the state would grow for ever; the number of its last run is kept."""
    book = Playbook()
    for name in ("A-1", "A-2", "A-3"):
        book.ticket(name)
        book.until(c.AwaitTurn, name)
        book.ticket(name, "Done")
    book.until(c.CleanWorkspace, "A-2")
    book.answer(c.CleanWorkspace, "A-2", cleanup=Cleanup(removed=False, reason="it holds work"))
    book.settle_all()
    asked = e.OperatorAsked(at_ms=book.now_ms, request_id="one", ticket_id=TicketId("A-3"), action="pause")
    book.send(asked)
    book.send(e.DayBegan(at_ms=book.now_ms + 20 * 86_400_000, day="2026-11-25"))
    assert list(book.state.entries) == ["A-1", "A-2", "A-3"]
    book.now_ms += 31 * 86_400_000
    book.send(e.DayBegan(at_ms=book.now_ms, day="2026-12-26"))
    assert list(book.state.entries) == ["A-2", "A-3"]
    assert book.ticket("A-1").generation == 2


def test_what_a_ticket_has_spent_is_kept_when_the_tracker_misses_it() -> None:
    """Its budget would begin anew: here after its workspace has gone with its closing."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    book.ticket("A-1", "Done")
    book.settle_all()
    spent = book.entry("A-1").usage
    assert spent.total_tokens > 0
    assert book.entry("A-1").workspace is None
    book.send(e.TicketVanished(at_ms=book.now_ms, ticket_id=TicketId("A-1")))
    book.ticket("A-1")
    assert book.entry("A-1").usage == spent
    assert book.pending(c.RereadTicket).generation == 2
