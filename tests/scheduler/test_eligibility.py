"""Why a ticket may or may not be worked on."""

import pytest

from opensymphony.model import TicketId, TicketRef
from opensymphony.scheduler.eligibility import capacity_class, resting_mark, start_order, why_not_ours, why_not_yet
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
    assert capacity_class(ticket("A", "In Progress "), chosen) == "in progress"
    assert capacity_class(ticket("A", "Todo"), chosen) == ""


def test_a_claim_is_not_what_a_person_sees() -> None:
    """Our own heartbeat never wakes a ticket."""
    from opensymphony.model import Claim

    quiet = ticket("A-1")
    claimed = ticket("A-1", claim=Claim(instance="one", generation=1, heartbeat_ms=5))
    assert resting_mark(quiet) == resting_mark(claimed)
    assert resting_mark(quiet) != resting_mark(ticket("A-1", description="please"))
