"""The stages of a run, one outcome after another."""

from opensymphony.model import Claim, ClaimAnswer, HookResult, TransitionAnswer
from opensymphony.scheduler import commands as c
from opensymphony.workflow.policy import HooksPolicy
from tests.scheduler.playbook import Playbook, policy, ticket


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


def test_the_ticket_is_read_again_before_the_claim() -> None:
    """A poll may be old: a ticket that was closed meanwhile is not claimed."""
    book = Playbook()
    book.ticket("A-1")
    book.answer(c.RereadTicket, ticket=ticket("A-1", "Done"))
    assert book.kinds() == []
    assert book.entry("A-1").phase == "closed"


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
    book.passes(301_000)
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
    book.answer(c.StopRun)
    assert book.pending(c.RunHook).name == "after_run"
    book.settle_all()
    assert book.entry("A-1").phase == "retrying"


def test_after_run_needs_no_before_run() -> None:
    """The hook after the work is owed to every run whose workspace was ready, whether or not one came before."""
    book = Playbook(policy(hooks=HooksPolicy(after_run="teardown")))
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.fail(c.AwaitTurn)
    book.answer(c.StopRun)
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
