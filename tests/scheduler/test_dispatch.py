"""Which tickets start, and in which order."""

from opensymphony.model import TicketId, TicketRef
from opensymphony.scheduler import commands as c
from opensymphony.workflow.policy import AgentPolicy, TrackerPolicy
from tests.scheduler.playbook import Playbook, policy


def started(book: Playbook) -> list[str]:
    return [command.ticket_id for command in book.state.pending.values() if isinstance(command, c.RereadTicket)]


def test_the_most_urgent_and_oldest_ticket_starts_first() -> None:
    """Priority, then age, then identifier; what has neither comes last."""
    book = Playbook(policy(agent=AgentPolicy(max_concurrent_agents=1)))
    book.ticket("A-0", priority=4)
    for name, priority, created_ms in [
        ("C-1", None, 1),
        ("B-2", 2, 200),
        ("B-1", 2, 100),
        ("A-9", 1, 900),
        ("D", 7, 0),
    ]:
        book.ticket(name, priority=priority, created_ms=created_ms)
    order: list[str] = []
    while book.state.pending:
        command = next(iter(book.state.pending.values()))
        if isinstance(command, c.RereadTicket):
            order.append(command.ticket_id)
        book.answer_command(command)
    assert order == ["A-0", "A-9", "B-1", "B-2", "D", "C-1"]


def test_no_more_run_than_the_limits_allow() -> None:
    """Globally, and for a state that has a limit of its own, which never starves the others."""
    limits = AgentPolicy(max_concurrent_agents=3, max_concurrent_agents_by_state={"todo": 1})
    book = Playbook(policy(agent=limits))
    for name in ("A-1", "A-2", "A-3"):
        book.ticket(name, "Todo", priority=1)
    for name in ("B-1", "B-2", "B-3"):
        book.ticket(name, "In Progress", priority=3)
    assert started(book) == ["A-1", "B-1", "B-2"]


def test_a_blocked_ticket_starts_when_its_blocker_lets_go() -> None:
    """A blocker whose state cannot be seen blocks; the policy says which states unblock."""
    tracker = TrackerPolicy(kind="files", unblocking_states=("In Review",))
    book = Playbook(policy(tracker=tracker))
    unseen = TicketRef(id=TicketId("X"), identifier="X", state=None)
    book.ticket("A-1", blocked_by=(unseen,))
    assert started(book) == []
    book.ticket("A-1", blocked_by=(TicketRef(id=TicketId("X"), identifier="X", state="In Progress"),))
    assert started(book) == []
    book.ticket("A-1", blocked_by=(TicketRef(id=TicketId("X"), identifier="X", state="in review"),))
    assert started(book) == ["A-1"]


def test_a_parent_waits_for_its_children() -> None:
    """Leaves first."""
    book = Playbook()
    child = TicketRef(id=TicketId("A-2"), identifier="A-2", state="Todo")
    book.ticket("A-1", children=(child,))
    assert started(book) == []
    book.ticket("A-1", children=(TicketRef(id=TicketId("A-2"), identifier="A-2", state="Done"),))
    assert started(book) == ["A-1"]


def test_required_labels_are_all_needed_and_a_blank_one_matches_nothing() -> None:
    """Symphony's rule, so that a typing error in a policy never opens the gate."""
    book = Playbook(policy(tracker=TrackerPolicy(kind="files", required_labels=("agent", "ready"))))
    book.ticket("A-1", labels=("agent",))
    book.ticket("A-2", labels=("ready", "agent"))
    assert started(book) == ["A-2"]
    blank = Playbook(policy(tracker=TrackerPolicy(kind="files", required_labels=("",))))
    blank.ticket("A-1", labels=("agent",))
    assert started(blank) == []


def test_a_freed_place_is_filled_at_once() -> None:
    """No poll is needed for the next ticket to start."""
    book = Playbook(policy(agent=AgentPolicy(max_concurrent_agents=1)))
    book.ticket("A-1")
    book.ticket("A-2")
    assert started(book) == ["A-1"]
    book.until(c.ReleaseClaim)
    book.answer(c.ReleaseClaim)
    assert started(book) == ["A-2"]


def test_our_own_move_counts_against_the_state_it_leads_to() -> None:
    """Tickets that all become In Progress at their start are limited by that state's limit."""
    limits = AgentPolicy(max_concurrent_agents=4, max_concurrent_agents_by_state={"in progress": 1})
    book = Playbook(policy(agent=limits))
    for name in ("A-1", "A-2", "A-3"):
        book.ticket(name, "Todo")
    assert started(book) == ["A-1"]
    book.until(c.AwaitTurn)
    assert started(book) == []
