"""What an operator sees, and why."""

import msgspec

from opensymphony.model import ServerState, TicketId, TicketRef
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.view import find_entry, snapshot
from opensymphony.workflow.policy import AgentPolicy
from tests.scheduler.playbook import Playbook, policy, ticket


def reasons(book: Playbook) -> dict[str, str]:
    shown = snapshot(book.state, sequence=1, at_ms=book.now_ms, server=ServerState(status="ready"), status="running")
    return {view.identifier: f"{view.phase}: {view.reason}" for view in shown.tickets}


def test_every_ticket_has_one_sentence_that_explains_it() -> None:
    """Running, waiting for a place, blocked, not ours, waiting for a person: each says why."""
    book = Playbook(policy(agent=AgentPolicy(max_concurrent_agents=1, max_turns=1)))
    book.ticket("A-1", priority=1)
    book.ticket("A-2", priority=2)
    book.ticket("A-3", priority=3, blocked_by=(TicketRef(id=TicketId("A-1"), identifier="A-1", state="Todo"),))
    book.ticket("A-4", "Backlog")
    assert reasons(book) == {
        "A-1": "running: run 1 is rereading",
        "A-2": "waiting_to_start: it waits for a place: 1 of 1 agents are at work",
        "A-3": "waiting_to_start: it is blocked by A-1 (Todo)",
        "A-4": "waiting_to_start: its state Backlog is not one of the active states",
    }
    shown = snapshot(book.state, sequence=1, at_ms=book.now_ms, server=ServerState(status="ready"), status="running")
    assert [view.identifier for view in shown.tickets if view.ready_ms is not None] == ["A-2"]
    book.until(c.VerifyWork)
    book.answer(c.VerifyWork, passed=False)
    assert "A-1" in reasons(book)


def test_usage_and_counts_survive_the_end_of_a_run() -> None:
    """What a ticket cost is the sum over its runs."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    shown = snapshot(book.state, sequence=9, at_ms=book.now_ms, server=ServerState(status="ready"), status="running")
    view = shown.tickets[0]
    assert (view.turns, view.attempts, view.usage.total_tokens) == (1, 1, 110)
    assert (shown.spent_project, shown.spent_day, view.ready_ms) == (view.usage, view.usage, None)
    assert shown.usage == view.usage
    assert view.reason == "ready for review"


def test_a_run_that_ends_well_is_explained_too() -> None:
    """While the last stages of a success run, the sentence says which one."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.PushCommit)
    book.answer(c.PushCommit)
    server = ServerState(status="ready")
    view = snapshot(book.state, sequence=1, at_ms=book.now_ms, server=server, status="running").tickets[0]
    assert view.reason == "run 1 is transitioning"


def test_a_ticket_is_found_as_people_write_it() -> None:
    """The exact name before the id, the id before a name in other letters, and that only where one alone is meant."""
    book = Playbook()
    for name, identifier in (("1", "A-1"), ("A-1", "other"), ("3", "b-3"), ("4", "B-4"), ("5", "b-4")):
        shown = msgspec.structs.replace(ticket(name), identifier=identifier)
        book.send(e.TicketChanged(at_ms=book.now_ms, ticket=shown))
    found = {said: find_entry(book.state, said) for said in ("A-1", "3", "B-3", "OTHER", "b-4", "B-4", "X", "")}
    assert {said: entry.ticket.id if entry else None for said, entry in found.items()} == {
        "A-1": "1",
        "3": "3",
        "B-3": "3",
        "OTHER": "A-1",
        "b-4": "5",
        "B-4": "4",
        "X": None,
        "": None,
    }


def test_a_ticket_that_starts_again_is_ready_since_it_was_woken() -> None:
    """Not since it was seen first: what it was worked on is no wait."""
    book = Playbook(policy(agent=AgentPolicy(max_concurrent_agents=1)))
    book.ticket("A-1")
    book.ticket("B-1", priority=4)
    book.until(c.AwaitTurn)
    a_1 = TicketId("A-1")
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="1", ticket_id=a_1, action="stop"))
    book.until(c.ReleaseClaim, "A-1")
    book.answer(c.ReleaseClaim, "A-1")
    book.until(c.AwaitTurn, "B-1")
    book.now_ms += 50_000
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="2", ticket_id=a_1, action="retry"))
    shown = snapshot(book.state, sequence=1, at_ms=book.now_ms, server=ServerState(status="ready"), status="running")
    assert {view.identifier: view.ready_ms for view in shown.tickets} == {"A-1": book.now_ms, "B-1": None}
