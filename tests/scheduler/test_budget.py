"""What agents may spend."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from opensymphony.model import TicketId, TurnEnd, TurnProgress, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.budget import call_ceiling, was_raised
from opensymphony.workflow.policy import AgentPolicy, BudgetLimit, BudgetPolicy, LlmPolicy, Policy
from tests.scheduler.playbook import Playbook, policy

CALL = 1_000
"""The most that one call takes in these tests: 800 tokens in, 200 out; 0.0016 in money."""


def limited(agents: int = 4, **scopes: BudgetLimit) -> Policy:
    base = policy(budget=BudgetPolicy(**scopes), agent=AgentPolicy(max_concurrent_agents=agents))
    conversation = base.openhands.conversation
    llm = LlmPolicy(
        max_input_tokens=800,
        max_output_tokens=200,
        input_cost_per_token_micros=1.0,
        output_cost_per_token_micros=4.0,
    )
    agent = msgspec.structs.replace(conversation.agent, llm=llm)
    openhands = msgspec.structs.replace(base.openhands, conversation=msgspec.structs.replace(conversation, agent=agent))
    return msgspec.structs.replace(base, openhands=openhands)


def tokens(number: int) -> BudgetLimit:
    return BudgetLimit(tokens=number)


def spends(book: Playbook, name: str, used: int, cost_micros: int = 0) -> None:
    """The conversation's totals stand at this now."""
    entry = book.entry(name)
    usage = Usage(prompt_tokens=used, cost_micros=cost_micros, model_calls=1)
    progress = TurnProgress(status="running", usage=usage)
    book.send(
        e.TurnProgressed(at_ms=book.now_ms, ticket_id=entry.ticket.id, generation=entry.generation, progress=progress)
    )


def started(book: Playbook, *names: str) -> None:
    for name in names:
        book.ticket(name)
        book.until(c.AwaitTurn, name)


def test_one_call_can_take_window_and_answer() -> None:
    """Where nobody says, those of today's large models; without prices it costs nothing that we know."""
    assert call_ceiling(limited()) == Usage(prompt_tokens=800, completion_tokens=200, cost_micros=1_600, model_calls=1)
    assert call_ceiling(policy()).total_tokens == 264_000
    assert call_ceiling(policy()).cost_micros == 0


@pytest.mark.parametrize("scope", ["run", "ticket", "day", "project"])
def test_at_a_limit_the_conversation_is_interrupted_and_a_person_is_asked(scope: Any) -> None:
    """The ticket says which budget it was and how much was spent."""
    book = Playbook(limited(**{scope: tokens(5_000)}))
    started(book, "A-1")
    spends(book, "A-1", 4_999)
    assert "StopRun" not in book.kinds()
    spends(book, "A-1", 5_400)
    assert book.pending(c.StopRun).conversation_id is not None
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.outcome, entry.scope) == ("needs_person", "over_budget", scope)
    assert f"the {scope}'s budget is used up: 5,400 tokens of 5,000 tokens are spent (budget.{scope})" in entry.reason


def test_money_is_a_limit_of_its_own() -> None:
    """In millionths, whatever the tokens are."""
    book = Playbook(limited(ticket=BudgetLimit(cost=0.01)))
    started(book, "A-1")
    spends(book, "A-1", 10, cost_micros=10_000)
    assert "StopRun" in book.kinds()
    book.settle_all()
    assert "0.01 in money of 0.01 in money are spent" in book.entry("A-1").reason


def test_a_shared_limit_stops_every_conversation_that_may_have_a_call_in_flight() -> None:
    """One that verifies its work spends nothing and goes on."""
    book = Playbook(limited(day=tokens(50_000)))
    started(book, "A-1", "B-1", "C-1")
    book.answer(c.AwaitTurn, "C-1", end=TurnEnd(status="finished", usage=Usage(prompt_tokens=1, model_calls=1)))
    spends(book, "A-1", 50_000)
    assert {command.ticket_id for command in book.state.pending.values() if isinstance(command, c.StopRun)} == {
        "A-1",
        "B-1",
    }
    book.settle_all()
    assert book.entry("B-1").outcome == "over_budget"
    assert book.entry("C-1").outcome == "succeeded"


def test_no_turn_begins_that_could_break_a_limit() -> None:
    """After the first turn less is left than one call may take."""
    book = Playbook(limited(run=tokens(CALL + 500)))
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.answer(c.AwaitTurn, end=TurnEnd(status="finished", usage=Usage(prompt_tokens=600, model_calls=1)))
    book.until(c.VerifyWork)
    book.answer(c.VerifyWork, passed=False)
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.outcome, entry.scope, entry.turns) == ("over_budget", "run", 1)
    assert "one model call may take 1,000 tokens" in entry.reason


def test_a_ticket_starts_only_if_a_call_of_every_conversation_fits() -> None:
    """The third of three has to wait, and says for what."""
    book = Playbook(limited(day=tokens(2 * CALL + 100)))
    book.ticket("A-1")
    book.ticket("B-1")
    book.ticket("C-1")
    assert list(book.state.running) == ["A-1", "B-1"]
    assert book.entry("C-1").phase == "waiting_to_start"
    book.settle_all()
    assert book.entry("C-1").phase == "in_review"


def test_a_ticket_without_budget_is_put_down_again_and_says_so() -> None:
    """A person who wants more of it has to raise the limit first; `retry` says so at once."""
    book = Playbook(limited(ticket=tokens(CALL + 100)))
    started(book, "A-1")
    spends(book, "A-1", 1_100)
    book.settle_all()
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="r", ticket_id=book.entry("A-1").ticket.id, action="retry"))
    accepted, answer, _ = book.state.requests["r"]
    assert not accepted
    assert "the ticket's budget does not suffice" in answer
    book.ticket("A-1", "In Progress", description="more")
    entry = book.entry("A-1")
    assert (entry.phase, entry.outcome, entry.generation) == ("needs_person", "over_budget", 1)
    assert "its budget is used up" in book.pending(c.WriteComment).body


def test_a_call_that_a_crash_cut_off_is_counted_once_when_its_turn_is_not_taken_up() -> None:
    """It is stopped at once for want of budget, and its server cannot say any more what it cost."""
    book = Playbook(limited(day=tokens(3_500)))
    started(book, "A-1")
    spends(book, "A-1", 3_000)
    book.send(e.DaemonStarted(at_ms=book.now_ms, instance="one", version="again"))
    book.answer(c.StopRun, usage=None)
    book.settle_all()
    assert book.entry("A-1").usage.total_tokens == 3_000 + CALL
    assert book.state.spent_day.total_tokens == 3_000 + CALL


def test_a_new_day_resumes_what_the_day_stopped_and_nothing_else() -> None:
    """Its budget is whole again."""
    book = Playbook(limited(day=tokens(5_000), ticket=tokens(20_000)))
    book.send(e.DayBegan(at_ms=book.now_ms, day="2026-11-25"))
    started(book, "A-1")
    spends(book, "A-1", 6_000)
    book.settle_all()
    assert book.state.spent_day.prompt_tokens == 6_000
    assert book.send(e.DayBegan(at_ms=book.now_ms, day="2026-11-25")) == ()
    book.send(e.DayBegan(at_ms=book.now_ms, day="2026-11-26"))
    assert book.state.spent_day == Usage()
    assert book.state.spent_project.prompt_tokens == 6_000
    assert book.pending(c.RereadTicket).generation == 2


def test_a_day_that_turns_while_its_last_victim_ends_resumes_that_too() -> None:
    """It would wait a whole day although nothing was spent; what the same day stops waits for the next."""
    book = Playbook(limited(day=tokens(5_000)))
    book.send(e.DayBegan(at_ms=book.now_ms, day="2026-11-25"))
    started(book, "A-1")
    spends(book, "A-1", 6_000)
    book.pending(c.StopRun)
    book.now_ms += 1
    book.send(e.DayBegan(at_ms=book.now_ms, day="2026-11-26"))
    book.answer(c.StopRun, usage=Usage(prompt_tokens=6_000, model_calls=1))
    book.until(c.RereadTicket)
    assert book.pending(c.RereadTicket).generation == 2
    book.until(c.AwaitTurn)
    spends(book, "A-1", 12_000)
    book.settle_all()
    assert (book.entry("A-1").phase, book.entry("A-1").generation) == ("needs_person", 2)


def test_a_raised_limit_resumes_what_it_stopped() -> None:
    """Another scope's does not."""
    book = Playbook(limited(ticket=tokens(5_000)))
    started(book, "A-1")
    spends(book, "A-1", 6_000)
    book.settle_all()
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=limited(ticket=tokens(5_000), day=tokens(90_000))))
    assert book.entry("A-1").phase == "needs_person"
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=limited(ticket=tokens(50_000))))
    assert book.pending(c.RereadTicket).generation == 2


def test_only_a_higher_limit_or_none_is_a_raised_one() -> None:
    """Of either unit."""
    few, many, none = limited(day=tokens(1)), limited(day=tokens(2)), limited()
    assert was_raised(few, many, "day")
    assert was_raised(few, none, "day")
    assert not was_raised(many, few, "day")
    assert not was_raised(none, few, "day")
    assert not was_raised(few, many, "run")


def test_what_was_in_flight_at_a_crash_counts_at_its_ceiling_until_it_is_known() -> None:
    """Then at what it was, neither doubled nor lost."""
    book = Playbook(limited(day=tokens(50_000)))
    started(book, "A-1")
    spends(book, "A-1", 3_000)
    book.send(e.DaemonStarted(at_ms=book.now_ms, instance="one", version="again"))
    assert book.state.spent_day.total_tokens == 3_000 + CALL
    assert book.entry("A-1").run is not None
    spends(book, "A-1", 3_400)
    assert book.state.spent_day.total_tokens == 3_400
    assert book.state.spent_project.total_tokens == 3_400


def test_a_run_that_never_tells_its_usage_again_stays_at_the_ceiling() -> None:
    """A conversation that is gone may have been billed: the call at the crash, and the one after it that was cut off."""
    book = Playbook(limited(day=tokens(50_000)))
    started(book, "A-1")
    spends(book, "A-1", 3_000)
    book.send(e.DaemonStarted(at_ms=book.now_ms, instance="one", version="again"))
    book.fail(c.AwaitTurn)
    book.settle_all()
    assert book.entry("A-1").usage.total_tokens == 3_000 + 2 * CALL
    assert book.state.spent_day.total_tokens == 3_000 + 2 * CALL


@pytest.mark.parametrize("lost", ["server", "stop"])
def test_a_call_that_is_cut_off_counts_when_nobody_can_say_its_cost(lost: str) -> None:
    """The agent-server was given up, or has lost the conversation."""
    book = Playbook(limited(day=tokens(50_000)))
    started(book, "A-1")
    spends(book, "A-1", 3_000)
    book.fail(c.AwaitTurn, "server" if lost == "server" else "retry")
    if lost == "stop":
        book.answer(c.StopRun, usage=None)
    assert book.state.spent_day.total_tokens == 3_000 + CALL


def test_no_call_is_in_flight_between_two_turns() -> None:
    """A crash while our own check runs counts nothing."""
    book = Playbook(limited(day=tokens(50_000)))
    book.ticket("A-1")
    book.until(c.VerifyWork)
    spent = book.state.spent_day
    book.send(e.DaemonStarted(at_ms=book.now_ms, instance="one", version="again"))
    assert book.state.spent_day == spent


def test_a_day_that_turns_takes_what_is_unknown_with_it() -> None:
    """It may be spent today."""
    book = Playbook(limited(day=tokens(50_000)))
    started(book, "A-1")
    book.send(e.DaemonStarted(at_ms=book.now_ms, instance="one", version="again"))
    book.send(e.DayBegan(at_ms=book.now_ms, day="2026-11-26"))
    assert book.state.spent_day.total_tokens == CALL
    spends(book, "A-1", 200)
    assert book.state.spent_day.total_tokens == 200


def test_a_confirmed_stop_settles_what_the_conversation_has_used() -> None:
    """The call that was cut off is billed all the same."""
    book = Playbook(limited(run=tokens(5_000)))
    started(book, "A-1")
    spends(book, "A-1", 5_000)
    book.answer(c.StopRun, usage=Usage(prompt_tokens=5_700, model_calls=9))
    assert book.state.spent_project.total_tokens == 5_700
    book.settle_all()
    assert book.entry("A-1").usage.total_tokens == 5_700


def test_what_a_conversation_used_while_nobody_looked_is_paid_by_the_next_run() -> None:
    """It is opened again with higher totals than were last heard."""
    book = Playbook(limited(project=tokens(90_000)))
    started(book, "A-1")
    spends(book, "A-1", 3_000)
    book.fail(c.AwaitTurn)
    book.answer(c.StopRun, usage=book.entry("A-1").conversation_usage)
    book.settle_all()
    due_ms = book.entry("A-1").due_ms
    assert due_ms is not None
    book.passes(due_ms - book.now_ms)
    book.until(c.OpenConversation)
    book.answer(c.OpenConversation, created=False, usage=Usage(prompt_tokens=3_500, model_calls=2))
    assert book.state.spent_project.total_tokens == 3_500
    assert book.entry("A-1").usage.total_tokens == 3_000


def test_a_turn_that_no_budget_is_left_for_does_not_go_on_after_a_crash() -> None:
    """What was in flight may have used up the rest: it is stopped, not resumed."""
    book = Playbook(limited(day=tokens(3_500)))
    started(book, "A-1")
    spends(book, "A-1", 3_000)
    book.send(e.DaemonStarted(at_ms=book.now_ms, instance="one", version="again"))
    assert "StopRun" in book.kinds()
    book.answer(c.StopRun, usage=Usage(prompt_tokens=3_100, model_calls=2))
    book.settle_all()
    assert book.entry("A-1").outcome == "over_budget"
    assert book.state.spent_day.prompt_tokens == 3_100


def test_a_limit_that_is_raised_while_a_run_is_being_stopped_lets_it_go_on() -> None:
    """Nobody has to raise it a second time."""
    book = Playbook(limited(ticket=tokens(5_000)))
    started(book, "A-1")
    spends(book, "A-1", 6_000)
    assert "StopRun" in book.kinds()
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=limited(ticket=tokens(90_000))))
    book.until(c.RereadTicket)
    assert book.pending(c.RereadTicket).generation == 2


def asks_for_more(book: Playbook, request_id: str) -> tuple[bool, str]:
    asked = e.OperatorAsked(at_ms=book.now_ms, request_id=request_id, ticket_id=TicketId("A-1"), action="budget")
    book.send(asked)
    return book.state.requests[request_id][:2]


def spent_up(scope: str) -> Playbook:
    book = Playbook(limited(**{scope: tokens(5_000)}))
    started(book, "A-1")
    spends(book, "A-1", 5_400)
    book.answer(c.StopRun, usage=Usage(prompt_tokens=5_400, model_calls=1))
    book.settle_all()
    assert book.entry("A-1").phase == "needs_person"
    return book


def test_a_person_lets_a_ticket_spend_its_budget_once_more() -> None:
    """Each time by the whole of it, until it is used up again."""
    book = spent_up("ticket")
    assert asks_for_more(book, "r1") == (
        True,
        "budget.ticket counts 2 times for it now: it starts as soon as there is a place",
    )
    book.until(c.OpenConversation)
    book.answer(c.OpenConversation, created=False, usage=Usage(prompt_tokens=5_400, model_calls=1))
    book.until(c.AwaitTurn)
    spends(book, "A-1", 9_900)
    assert "StopRun" not in book.kinds()
    spends(book, "A-1", 10_100)
    book.answer(c.StopRun, usage=Usage(prompt_tokens=10_100, model_calls=2))
    book.settle_all()
    assert "of 10,000 tokens are spent" in book.entry("A-1").reason
    assert asks_for_more(book, "r2")[1].startswith("budget.ticket counts 3 times for it now")


def test_a_runs_budget_is_new_with_the_next_run() -> None:
    book = spent_up("run")
    assert asks_for_more(book, "r1")[0]
    book.until(c.AwaitTurn)
    assert book.entry("A-1").grants == 0


@pytest.mark.parametrize("scope", ["day", "project"])
def test_what_all_share_is_raised_elsewhere(scope: str) -> None:
    assert asks_for_more(spent_up(scope), "r1") == (
        False,
        f"the {scope}'s budget is used up, not its own: raise budget.{scope} in WORKFLOW.md",
    )


def test_where_no_budget_is_in_the_way_nothing_is_granted() -> None:
    book = Playbook(limited(ticket=tokens(5_000)))
    started(book, "A-1")
    assert asks_for_more(book, "r1") == (False, "no budget of its own is in its way")
    assert book.entry("A-1").grants == 0
