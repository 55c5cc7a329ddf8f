"""The stages of a run, one outcome after another."""

import pytest

from opensymphony.model import AgentFailure, Claim, ClaimAnswer, HookResult, TransitionAnswer, TurnEnd, Work
from opensymphony.scheduler import commands as c
from opensymphony.workflow.policy import AgentPolicy, HooksPolicy, ReportingPolicy, TransitionsPolicy
from tests.scheduler.playbook import GOOD_WORK, Playbook, policy, ticket


def test_a_ticket_goes_from_todo_to_review() -> None:
    """Each stage asks for one effect, and the ticket ends in review with its commit pushed."""
    book = Playbook()
    book.ticket("A-1")
    seen: list[str] = []
    while book.state.pending:
        command = next(iter(book.state.pending.values()))
        seen.append(type(command).__name__)
        book.answer_command(command)
    assert seen == [
        "RereadTicket",
        "ClaimTicket",
        "TransitionTicket",
        "WriteComment",
        "PrepareWorkspace",
        "OpenConversation",
        "SendMessage",
        "AwaitTurn",
        "CollectWork",
        "VerifyWork",
        "PushCommit",
        "TransitionTicket",
        "WriteComment",
        "ReleaseClaim",
    ]
    entry = book.entry("A-1")
    assert entry.phase == "in_review"
    assert entry.ticket.state == "In Review"
    assert entry.commit == "c" * 40
    assert entry.verified is True


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
    for expected in ("SendMessage", "WriteComment"):
        book.until(c.CollectWork)
        book.answer(c.CollectWork, work=Work(commit=None, commits_ahead=0))
        assert expected in book.kinds("A-1")
    book.settle_all()
    assert book.entry("A-1").outcome == "needs_input"


def test_uncommitted_files_are_sent_back_by_name() -> None:
    """What is verified and pushed is what is committed, so leftovers are a turn."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.CollectWork)
    book.answer(c.CollectWork, work=Work(commit="d" * 40, commits_ahead=1, uncommitted=("left.py",)))
    assert "- left.py" in book.pending(c.SendMessage).text


def test_the_ticket_is_read_again_before_the_claim() -> None:
    """A poll may be old: a ticket that was closed meanwhile is not claimed."""
    book = Playbook()
    book.ticket("A-1")
    book.answer(c.RereadTicket, ticket=ticket("A-1", "Done"))
    assert book.kinds() == []
    assert book.entry("A-1").phase == "waiting_to_start"


def test_a_ticket_that_is_gone_at_the_reread_is_forgotten() -> None:
    """Nothing is kept of a ticket that vanished before anything was done for it."""
    book = Playbook()
    book.ticket("A-1")
    book.answer(c.RereadTicket, ticket=None)
    assert book.state.entries == {}


def test_another_instances_claim_makes_the_ticket_wait() -> None:
    """We say whose it is and look again later, without counting a failure."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.ClaimTicket)
    holder = Claim(instance="two", generation=1, heartbeat_ms=book.now_ms)
    book.answer(c.ClaimTicket, answer=ClaimAnswer(granted=False, holder=holder))
    entry = book.entry("A-1")
    assert (entry.phase, entry.failures) == ("retrying", 0)
    assert "instance two works on it" in entry.reason
    book.passes(61_000)
    assert book.kinds() == ["RereadTicket"]


def test_a_person_who_moves_the_ticket_first_wins_over_our_transition() -> None:
    """The state that the tracker reports after our attempt decides."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.TransitionTicket)
    book.answer(c.TransitionTicket, answer=TransitionAnswer(moved=False, state="Done"))
    book.settle_all()
    assert book.entry("A-1").outcome == "cancelled"
    assert book.entry("A-1").ticket.state == "Done"


def test_hooks_run_around_the_run() -> None:
    """`before_run` comes before the agent, `after_run` after it whatever happened."""
    book = Playbook(policy(hooks=HooksPolicy(before_run="setup", after_run="teardown")))
    book.ticket("A-1")
    book.until(c.RunHook)
    assert book.pending(c.RunHook).name == "before_run"
    book.until(c.AwaitTurn)
    book.fail(c.AwaitTurn)
    assert book.pending(c.RunHook).name == "after_run"
    book.settle_all()
    assert book.entry("A-1").phase == "retrying"


def test_after_run_needs_no_before_run() -> None:
    """The hook after the work is owed to every run whose workspace was ready, whether or not one came before."""
    book = Playbook(policy(hooks=HooksPolicy(after_run="teardown")))
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.fail(c.AwaitTurn)
    assert book.pending(c.RunHook).name == "after_run"


def test_a_failing_before_run_starts_no_agent() -> None:
    """The hook's failure is the run's, and `after_run` is owed all the same."""
    book = Playbook(policy(hooks=HooksPolicy(before_run="setup", after_run="teardown")))
    book.ticket("A-1")
    book.until(c.RunHook)
    failed = HookResult(name="before_run", status="failed", exit_code=7, output_tail="no such tool\n")
    book.answer(c.RunHook, result=failed)
    assert book.pending(c.RunHook).name == "after_run"
    book.settle_all()
    assert "the hook before_run ended with exit code 7: no such tool" in book.entry("A-1").reason


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


def test_a_retry_goes_on_in_the_same_conversation_with_what_changed() -> None:
    """The second run of a ticket reopens its conversation and does not repeat the prompt."""
    book = Playbook()
    book.ticket("A-1")
    first = book.until(c.OpenConversation)
    assert isinstance(first, c.OpenConversation)
    book.until(c.AwaitTurn)
    book.fail(c.AwaitTurn)
    book.settle_all()
    book.passes(10_001)
    second = book.until(c.OpenConversation)
    assert isinstance(second, c.OpenConversation)
    assert second.conversation_id == first.conversation_id
    assert second.generation == 2
    book.answer(c.OpenConversation, created=False)
    assert book.pending(c.SendMessage).text.startswith("Work on A-1 goes on. The last run ended like this: it broke")
