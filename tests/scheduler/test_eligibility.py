"""Why a ticket may or may not be worked on."""

import pytest

from opensymphony.model import TicketId, TicketRef
from opensymphony.scheduler.eligibility import (
    capacity_class,
    hold_of,
    limits_of,
    places_of,
    resting_mark,
    start_order,
    why_not_ours,
    why_not_yet,
)
from opensymphony.workflow.policy import AgentPolicy, TrackerPolicy
from tests.scheduler.playbook import policy, ticket


@pytest.mark.parametrize(
    ("fields", "tracker", "reason"),
    [
        ({"state": " todo "}, {}, None),
        ({"state": "Done"}, {}, "it is closed: its state is Done"),
        ({"state": "Backlog"}, {}, "its state Backlog is not one of the active states"),
        ({"dispatchable": False}, {}, "its tracker does not offer it for work"),
        ({"labels": ("a",)}, {"required_labels": ("A", "b")}, "it lacks the label b"),
        ({"assignee": None}, {"assignee": "agent"}, "it is assigned to nobody, not to agent"),
        ({"assignee": "agent"}, {"assignee": "agent"}, None),
    ],
)
def test_a_ticket_is_ours_by_state_offer_labels_and_assignee(
    fields: dict[str, object], tracker: dict[str, object], reason: str | None
) -> None:
    """The first thing in the way is named."""
    shown = ticket("A-1", **{"state": "Todo", **fields})
    assert why_not_ours(shown, policy(tracker=TrackerPolicy(kind="files", **tracker))) == reason


def test_a_blocker_in_a_terminal_state_never_blocks() -> None:
    """Whatever else unblocks is added to that."""
    blocker = TicketRef(id=TicketId("B"), identifier="B", state="done")
    chosen = policy(tracker=TrackerPolicy(kind="files", unblocking_states=("In Review",)))
    assert why_not_yet(ticket("A-1", blocked_by=(blocker,)), chosen) is None


def test_what_has_no_priority_or_date_starts_last() -> None:
    """A priority out of range counts as none."""
    urgent = ticket("C", priority=1, created_ms=9)
    odd = ticket("A", priority=0, created_ms=1)
    undated = ticket("B", priority=1)
    assert sorted([odd, undated, urgent], key=start_order) == [urgent, undated, odd]


def test_a_state_with_a_limit_is_a_class_of_its_own() -> None:
    """Others share the global limit."""
    chosen = policy(agent=AgentPolicy(max_concurrent_agents_by_state={"in progress": 1}))
    assert capacity_class(ticket("A", "In Progress "), chosen) == "state in progress"
    assert capacity_class(ticket("A", "Todo"), chosen) == ""
    assert capacity_class(ticket("A", "Todo"), chosen, starting=True) == "state in progress"


def test_a_label_with_a_limit_counts_beside_the_state() -> None:
    """A ticket with several limited labels takes a place of each."""
    agent = AgentPolicy(
        max_concurrent_agents_by_state={"todo": 2}, max_concurrent_agents_by_label={"database": 1, "slow": 3}
    )
    chosen = policy(agent=agent)
    name = capacity_class(ticket("A", labels=("slow", "ui", "database")), chosen)
    assert limits_of(name) == ["state todo", "label slow", "label database"]
    assert [places_of(limit, chosen) for limit in limits_of(name)] == [2, 3, 1]
    assert limits_of("") == []


def test_a_leaf_starts_before_a_parent_of_the_same_priority() -> None:
    """Whatever is older; a more urgent parent comes first all the same."""
    child = TicketRef(id=TicketId("C"), identifier="C", state="Done")
    parent = ticket("A", priority=2, created_ms=1, children=(child,))
    leaf = ticket("B", priority=2, created_ms=2)
    urgent = ticket("D", priority=1, children=(child,))
    assert sorted([parent, leaf, urgent], key=start_order) == [urgent, leaf, parent]


def test_the_first_rule_that_does_not_hold_is_named() -> None:
    """By the name under which `explain` lists it."""
    child = TicketRef(id=TicketId("C"), identifier="C-1", state="Todo")
    assert hold_of(ticket("A", children=(child,)), policy()) == ("child", "it waits for its child C-1 (Todo)")
    assert hold_of(ticket("A", "Backlog", children=(child,)), policy()) is not None
    assert hold_of(ticket("A"), policy()) is None


def test_a_claim_is_not_what_a_person_sees() -> None:
    """Our own heartbeat never wakes a ticket."""
    from opensymphony.model import Claim

    quiet = ticket("A-1")
    claimed = ticket("A-1", claim=Claim(instance="one", generation=1, heartbeat_ms=5))
    assert resting_mark(quiet) == resting_mark(claimed)
    assert resting_mark(quiet) != resting_mark(ticket("A-1", description="please"))
