"""Ready tickets, places and timers."""

from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.evolve import evolve
from opensymphony.workflow.policy import AgentPolicy
from tests.scheduler.playbook import Playbook, policy, ticket


def test_a_ready_heap_does_not_grow_with_changes() -> None:
    """Ten thousand edits of one waiting ticket leave no ten thousand dead items."""
    book = Playbook()
    for name in ("A-1", "A-2", "A-3", "A-4"):
        book.ticket(name)
    book.ticket("B-1")
    state = book.state
    for index in range(10_000):
        shown = ticket("B-1", description=str(index))
        evolve(state, d.TicketTracked(at_ms=1, ticket=shown))
    assert sum(map(len, state.ready.values())) <= 200


def test_a_run_takes_a_place_of_the_state_that_it_is_in() -> None:
    """First of the state that it will lead to, then of the one the ticket is in."""
    limits = AgentPolicy(max_concurrent_agents_by_state={"in progress": 2, "rework": 1}, stall_timeout_ms=0)
    tracker = policy().tracker
    import msgspec

    tracker = msgspec.structs.replace(tracker, active_states=("Todo", "In Progress", "Rework"))
    book = Playbook(policy(agent=limits, tracker=tracker))
    entry = book.ticket("A-1")
    assert book.state.running[entry.ticket.id] == "state in progress"
    assert book.state.occupied == {"state in progress": 1}
    book.until(c.AwaitTurn)
    book.ticket("A-1", "Rework")
    assert book.state.running[entry.ticket.id] == "state rework"
    assert book.state.occupied == {"state rework": 1}
    book.ticket("A-1", "Done")
    book.settle_all()
    assert book.state.occupied == {}


def test_timers_do_not_grow_with_what_an_agent_does() -> None:
    """Every tool call that opens and closes sets a timer anew; the old ones are dropped."""
    book = Playbook()
    entry = book.ticket("A-1")
    book.until(c.AwaitTurn)
    for index in range(2_000):
        evolve(book.state, d.TimerSet(kind="stall", ticket_id=entry.ticket.id, generation=1, due_ms=10**9 + index))
    assert len(book.state.timers) <= 100
    assert entry.run is not None
    assert any(item[0] == entry.run.timers["stall"] for item in book.state.timers)
    assert any(item[2] == "heartbeat" for item in book.state.timers)
