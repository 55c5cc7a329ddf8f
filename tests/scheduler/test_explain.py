"""Why a ticket is, or is not, being worked on."""

from __future__ import annotations

import pytest

from opensymphony.model import Claim, ClaimAnswer, TicketId, TicketRef
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.explain import rules, sentence
from opensymphony.scheduler.view import explanation
from opensymphony.workflow.policy import AgentPolicy, BudgetLimit, BudgetPolicy, TrackerPolicy
from tests.scheduler.playbook import Playbook, policy

NAMES = [
    *("paused", "state", "tracker", "label", "assignee", "blocker", "child"),
    *("claim", "daemon", "budget", "overlap", "capacity"),
]


def broken(book: Playbook, name: str) -> list[tuple[str, str]]:
    return [(rule.name, rule.text) for rule in rules(book.state, book.entry(name)) if not rule.holds]


def test_every_rule_is_listed_in_its_order_and_says_how_it_stands() -> None:
    """Of a ticket that is being worked on, all hold."""
    book = Playbook()
    book.ticket("A-1")
    found = list(rules(book.state, book.entry("A-1")))
    assert [rule.name for rule in found] == NAMES
    assert all(rule.holds and rule.text and rule.since_ms is None for rule in found)
    assert sentence(book.state, book.entry("A-1")) == "run 1 is rereading"


@pytest.mark.parametrize(
    ("state", "fields", "name", "text"),
    [
        ("Backlog", {}, "state", "its state Backlog is not one of the active states"),
        ("Todo", {"dispatchable": False}, "tracker", "its tracker does not offer it for work"),
        ("Todo", {"labels": ()}, "label", "it lacks the label agent"),
        ("Todo", {"assignee": "eve"}, "assignee", "it is assigned to eve, not to bot"),
        (
            "Todo",
            {"blocked_by": (TicketRef(id=TicketId("B"), identifier="B-1", state="Todo"),)},
            "blocker",
            "it is blocked by B-1 (Todo)",
        ),
        (
            "Todo",
            {"children": (TicketRef(id=TicketId("C"), identifier="C-1"),)},
            "child",
            "it waits for its child C-1 (state unknown)",
        ),
    ],
)
def test_what_the_ticket_itself_lacks_is_said_with_since_when(
    state: str, fields: dict[str, object], name: str, text: str
) -> None:
    """The sentence is that of the first rule that does not hold."""
    tracker = TrackerPolicy(kind="files", required_labels=("agent",), assignee="bot")
    book = Playbook(policy(tracker=tracker))
    book.now_ms += 5_000
    book.ticket("A-1", state, **{"labels": ("agent",), "assignee": "bot", **fields})
    since_ms = book.now_ms
    book.passes(60_000)
    book.ticket("A-1", state, **{"labels": ("agent",), "assignee": "bot", "description": "new", **fields})
    assert broken(book, "A-1") == [(name, text)]
    explained = explanation(book.state, book.entry("A-1"))
    assert (explained.sentence, explained.since_ms) == (text, since_ms)


def test_a_full_house_a_label_and_a_state_are_told_apart() -> None:
    """Each with its number."""
    agent = AgentPolicy(
        max_concurrent_agents=2,
        max_concurrent_agents_by_state={"in progress": 2},
        max_concurrent_agents_by_label={"db": 1},
    )
    book = Playbook(policy(agent=agent))
    book.ticket("A-1", labels=("db",))
    book.ticket("B-1", labels=("db",))
    assert broken(book, "B-1") == [
        ("capacity", "it waits for a place: the limit for the label db is 1, and so many are at work")
    ]
    book.ticket("C-1")
    book.ticket("D-1")
    assert broken(book, "D-1") == [("capacity", "it waits for a place: 2 of 2 agents are at work")]


def test_a_place_is_waited_for_since_all_else_held() -> None:
    """Not since another rule began to keep the ticket."""
    book = Playbook(policy(agent=AgentPolicy(max_concurrent_agents=1)))
    book.ticket("A-1")

    def since_ms() -> int | None:
        [rule] = [rule for rule in explanation(book.state, book.entry("B-1")).rules if rule.name == "capacity"]
        assert not rule.holds
        return rule.since_ms

    book.ticket("B-1", blocked_by=(TicketRef(id=TicketId("X"), identifier="X", state="Todo"),))
    assert since_ms() is None
    book.passes(5_000)
    book.ticket("B-1")
    assert since_ms() == book.now_ms


def test_a_claim_of_another_daemon_names_it() -> None:
    """And the ticket is looked at again later."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.ClaimTicket)
    holder = Claim(instance="laptop-7", generation=3, heartbeat_ms=1)
    book.answer(c.ClaimTicket, answer=ClaimAnswer(granted=False, holder=holder))
    assert broken(book, "A-1") == [("claim", "instance laptop-7 works on it")]
    explained = explanation(book.state, book.entry("A-1"))
    assert "instance laptop-7 works on it" in explained.sentence
    assert explained.since_ms == book.now_ms


def test_a_pause_a_full_disk_and_a_shutdown_are_said() -> None:
    """Whatever keeps everything from starting, with since when where it is known."""
    book = Playbook()
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="p", ticket_id=None, action="pause"))
    paused_ms = book.now_ms
    book.now_ms += 10
    book.ticket("A-1")
    [rule] = [rule for rule in rules(book.state, book.entry("A-1")) if not rule.holds]
    assert (rule.name, rule.since_ms) == ("daemon", paused_ms)
    assert "resume --all" in rule.text
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="s", ticket_id=TicketId("A-1"), action="pause"))
    assert sentence(book.state, book.entry("A-1")).startswith("an operator paused it")
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="t", ticket_id=TicketId("A-1"), action="resume"))
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="q", ticket_id=None, action="resume"))
    book.settle_all()
    book.send(e.StorageNoted(at_ms=book.now_ms, error="only 3 MB are free"))
    book.ticket("B-1")
    assert sentence(book.state, book.entry("B-1")) == "nothing new starts: only 3 MB are free"
    book.send(e.StorageNoted(at_ms=book.now_ms, error=None))
    assert book.entry("B-1").run is not None
    book.send(e.ShutdownRequested(at_ms=book.now_ms))
    book.ticket("C-1")
    assert sentence(book.state, book.entry("C-1")) == "the daemon is stopping and starts nothing new"


def test_a_budget_that_does_not_suffice_is_said() -> None:
    """With what is spent and what a call may take."""
    book = Playbook(policy(budget=BudgetPolicy(day=BudgetLimit(tokens=100_000))))
    book.ticket("A-1")
    [(name, text)] = broken(book, "A-1")
    assert name == "budget"
    assert "the day's budget does not suffice: 0 tokens of 100,000 tokens are spent (budget.day)" in text
    assert "one model call may take 264,000 tokens" in text


def test_an_explanation_tells_what_is_under_way_and_how_runs_ended() -> None:
    """The newest run first."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    explained = explanation(book.state, book.entry("A-1"))
    assert explained.pending == tuple(book.state.pending)
    book.fail(c.AwaitTurn)
    book.settle_all()
    explained = explanation(book.state, book.entry("A-1"))
    assert explained.history == ("run 1: failed: it broke",)
    assert explained.pending == ()


def test_before_a_policy_is_in_force_nothing_else_can_be_said() -> None:
    """Only that."""
    book = Playbook()
    book.ticket("A-1")
    book.state.policy = None
    assert [rule.text for rule in rules(book.state, book.entry("A-1"))] == ["no policy is in force yet"]
