"""What follows from the end of a turn."""

import msgspec
import pytest

from opensymphony.model import AgentFailure, Objection, TurnEnd, Work
from opensymphony.scheduler import commands as c
from opensymphony.scheduler.turns import CONTINUATION_DELAY_MS
from opensymphony.workflow.policy import AgentPolicy, ReportingPolicy, RepositoryPolicy, TransitionsPolicy
from tests.scheduler.playbook import GOOD_WORK, Playbook, policy


def test_a_failed_verification_goes_back_as_a_turn_in_the_same_conversation() -> None:
    """The agent gets the output of the check, and only that; the second check may pass."""
    book = Playbook()
    book.ticket("A-1")
    first = book.until(c.SendMessage)
    assert isinstance(first, c.SendMessage)
    book.until(c.VerifyWork)
    book.answer(c.VerifyWork, passed=False)
    second = book.pending(c.SendMessage)
    assert second.conversation_id == first.conversation_id
    assert "`make test`, which ended with exit code 1" in second.text
    assert "output" in second.text
    assert "Verification failed, sent back" in book.pending(c.WriteComment).body
    book.settle_all()
    assert book.entry("A-1").phase == "in_review"
    assert book.entry("A-1").verifications == 2
    assert book.entry("A-1").turns == 2


def test_verification_is_tried_only_as_often_as_the_policy_says() -> None:
    """After the last failed check a person is asked; the comment shows the end of the output."""
    book = Playbook()
    book.ticket("A-1")
    for _ in range(3):
        book.until(c.VerifyWork)
        book.answer(c.VerifyWork, passed=False)
    comment = book.until(c.WriteComment)
    assert isinstance(comment, c.WriteComment)
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.outcome) == ("needs_person", "gave_up")
    assert "failed 3 times" in entry.reason


def test_no_commit_is_asked_for_once_and_then_left_to_a_person() -> None:
    """`finished` without work is one continuation, never a loop."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.CollectWork)
    book.answer(c.CollectWork, work=Work(commit=None, commits_ahead=0))
    assert "SendMessage" not in book.kinds("A-1"), "it is asked after a fixed pause"
    book.passes(CONTINUATION_DELAY_MS)
    assert "SendMessage" in book.kinds("A-1")
    book.until(c.CollectWork)
    book.answer(c.CollectWork, work=Work(commit=None, commits_ahead=0))
    assert "WriteComment" in book.kinds("A-1")
    book.settle_all()
    assert book.entry("A-1").outcome == "needs_input"


def test_uncommitted_files_are_sent_back_by_name() -> None:
    """What is verified and pushed is what is committed, so leftovers are a turn."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.CollectWork)
    book.answer(c.CollectWork, work=Work(commit="d" * 40, commits_ahead=1, uncommitted=("left.py",)))
    book.until(c.SendMessage)
    assert "- left.py" in book.pending(c.SendMessage).text


@pytest.mark.parametrize(
    ("end", "phase", "outcome"),
    [
        (TurnEnd(status="stuck"), "retrying", "stalled"),
        (TurnEnd(status="paused"), "needs_person", "needs_input"),
        (TurnEnd(status="waiting_for_confirmation"), "needs_person", "needs_approval"),
        (TurnEnd(status="deleting"), "retrying", "failed"),
        (TurnEnd(status="unknown"), "retrying", "failed"),
        (TurnEnd(status="error"), "retrying", "failed"),
        (TurnEnd(status="error", failure=AgentFailure(code="X", detail="d", kind="transient")), "retrying", "failed"),
        (
            TurnEnd(status="error", failure=AgentFailure(code="X", detail="d", kind="auth")),
            "needs_person",
            "needs_input",
        ),
    ],
)
def test_every_end_of_a_turn_has_its_consequence(end: TurnEnd, phase: str, outcome: str) -> None:
    """No status of the agent-server leaves a run hanging."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.answer(c.AwaitTurn, end=end)
    book.settle_all()
    assert (book.entry("A-1").phase, book.entry("A-1").outcome) == (phase, outcome)


def test_a_run_has_at_most_its_turns() -> None:
    """`agent.max_turns` ends in a question to a person, with the work kept."""
    book = Playbook(policy(agent=AgentPolicy(max_turns=1)))
    book.ticket("A-1")
    book.until(c.VerifyWork)
    book.answer(c.VerifyWork, passed=False)
    book.settle_all()
    assert "agent.max_turns" in book.entry("A-1").reason


def test_without_a_target_state_the_work_waits_for_a_person_after_one_continuation() -> None:
    """A policy that names no state for success must not make an endless loop."""
    book = Playbook(policy(reporting=ReportingPolicy(transitions=TransitionsPolicy())))
    book.ticket("A-1")
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.turns, entry.commit) == ("needs_person", 2, GOOD_WORK.commit)


def test_without_a_repository_nothing_is_collected_or_pushed() -> None:
    """An empty workspace is the hooks' business; the check still decides."""
    book = Playbook(policy(repository=None))
    book.ticket("A-1")
    book.until(c.VerifyWork)
    book.settle_all()
    assert book.entry("A-1").phase == "in_review"
    assert book.entry("A-1").commit is None


def test_a_reopened_ticket_needs_a_new_commit() -> None:
    """What an earlier run delivered does not count again: the agent is asked once, then a person."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    book.ticket("A-1", "Todo", description="Please also mind the umlauts")
    book.until(c.CollectWork)
    book.answer(c.CollectWork)
    book.until(c.SendMessage)
    assert "without a new commit" in book.pending(c.SendMessage).text
    book.until(c.CollectWork)
    book.answer(c.CollectWork)
    book.settle_all()
    assert book.entry("A-1").outcome == "needs_input"
    book.ticket("A-1", "Todo", description="Please, really")
    book.until(c.CollectWork)
    book.answer(c.CollectWork, work=Work(commit="e" * 40, commits_ahead=2))
    book.settle_all()
    assert book.entry("A-1").outcome == "succeeded"


@pytest.mark.parametrize(
    ("failure", "phase", "words"),
    [
        (AgentFailure(code="X", detail="d", kind="auth", action="retry"), "retrying", "X: d"),
        (AgentFailure(code="X", detail="d", action="person", advice="check KEY"), "needs_person", "check KEY (X: d)"),
        (AgentFailure(code="X", detail="d", action="wait", retry_after_ms=7_200_000), "retrying", "X: d"),
    ],
)  # fmt: skip
def test_what_helps_is_the_runtimes_to_say(failure: AgentFailure, phase: str, words: str) -> None:
    """Its word counts more than the server's kind; its advice comes first in what a person reads."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.answer(c.AwaitTurn, end=TurnEnd(status="error", failure=failure))
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.reason.startswith(words)) == (phase, True)
    if failure.retry_after_ms is not None:
        assert entry.due_ms is not None
        assert entry.due_ms >= entry.since_ms + failure.retry_after_ms


def test_files_that_stay_uncommitted_are_left_to_a_person() -> None:
    """After two turns about them; they are named."""
    book = Playbook()
    book.ticket("A-1")
    for _ in range(3):
        book.until(c.CollectWork)
        book.answer(c.CollectWork, work=Work(commit="d" * 40, commits_ahead=1, uncommitted=("left.py",)))
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.outcome, "left.py" in entry.reason) == ("needs_input", True)


def test_work_that_is_not_to_be_pushed_stays_where_it_is() -> None:
    """`repository.push: false`: verified, and done."""
    book = Playbook(policy(repository=RepositoryPolicy(url="/repository", push=False)))
    book.ticket("A-1")
    book.until(c.VerifyWork)
    book.answer(c.VerifyWork)
    assert "PushCommit" not in book.kinds()
    book.settle_all()
    assert book.entry("A-1").phase == "in_review"


def test_a_branch_that_cannot_be_named_needs_a_person() -> None:
    """Before anything is made; a text of the ticket may be empty."""
    book = Playbook(policy(repository=RepositoryPolicy(url="/repository", branch="{{ issue.description }}")))
    book.ticket("A-1")
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.workspace) == ("needs_person", None)
    assert "branch" in entry.reason


def test_a_history_that_is_too_long_twice_needs_a_person() -> None:
    """Once it goes on with a summary in another conversation, if the run has a turn left."""
    too_long = AgentFailure(code="context_overflow", detail="too long", kind="unknown", action="rehydrate")
    end = TurnEnd(status="error", failure=too_long)
    book = Playbook()
    book.ticket("A-1")
    first = book.until(c.AwaitTurn)
    book.answer(c.AwaitTurn, end=end)
    opened = book.until(c.OpenConversation)
    assert isinstance(first, c.AwaitTurn)
    assert isinstance(opened, c.OpenConversation)
    assert (opened.predecessor, opened.conversation_id == first.conversation_id) == (first.conversation_id, False)
    book.until(c.AwaitTurn)
    book.answer(c.AwaitTurn, end=end)
    book.settle_all()
    assert "make the ticket smaller" in book.entry("A-1").reason
    book = Playbook(policy(agent=AgentPolicy(max_turns=1)))
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.answer(c.AwaitTurn, end=end)
    book.settle_all()
    assert "1 turns (agent.max_turns)" in book.entry("A-1").reason


def test_the_next_turn_is_looked_for_behind_the_one_before() -> None:
    """Over a restart too; another conversation has another log."""
    book = Playbook()
    book.ticket("A-1")
    first = book.until(c.AwaitTurn)
    assert isinstance(first, c.AwaitTurn)
    assert first.after is None
    book.answer(c.AwaitTurn, end=TurnEnd(status="finished", last_seq=9, last_event_id="e9"))
    book.until(c.VerifyWork)
    book.answer(c.VerifyWork, passed=False)
    second = book.until(c.AwaitTurn)
    assert isinstance(second, c.AwaitTurn)
    assert second.after is not None
    assert (second.after.seq, second.after.event_id) == (9, "e9")
    too_long = AgentFailure(code="context_overflow", detail="too long", kind="unknown", action="rehydrate")
    book.answer(c.AwaitTurn, end=TurnEnd(status="error", failure=too_long, last_seq=20, last_event_id="e20"))
    third = book.until(c.AwaitTurn)
    assert isinstance(third, c.AwaitTurn)
    assert (third.conversation_id == second.conversation_id, third.after) == (False, None)


def test_what_must_not_be_pushed_goes_back_and_then_to_a_person() -> None:
    """The agent is asked to mend it, so often as for files that it leaves uncommitted."""
    book = Playbook(policy(verify_command=None))
    book.ticket("A-1")
    bad = msgspec.structs.replace(
        GOOD_WORK, objections=(Objection(kind="conflict", text="a.py holds conflict markers"),)
    )
    for _ in range(2):
        book.until(c.CollectWork)
        book.answer(c.CollectWork, work=bad)
        book.planned_passes()
        assert "a.py holds conflict markers" in book.pending(c.SendMessage).text
    book.until(c.CollectWork)
    book.answer(c.CollectWork, work=bad)
    book.settle_all()
    entry = book.entry("A-1")
    assert entry.phase == "needs_person" and "nothing was pushed: a.py holds conflict markers" in entry.reason
    assert entry.commit is None


def test_a_secret_in_the_work_is_a_person_s_business_at_once() -> None:
    """It is neither pushed nor told to the model again."""
    book = Playbook(policy(verify_command=None))
    book.ticket("A-1")
    book.until(c.CollectWork)
    found = (Objection(kind="secret", text="a.py:3 holds what looks like a private key"),)
    book.answer(c.CollectWork, work=msgspec.structs.replace(GOOD_WORK, objections=found))
    book.settle_all()
    entry = book.entry("A-1")
    assert entry.phase == "needs_person" and "a.py:3 holds what looks like a private key" in entry.comment
