"""Issues are moved along their own workflow."""

from __future__ import annotations

import pytest

from opensymphony.errors import Refused
from opensymphony.interfaces import Tracker
from opensymphony.model import TicketId
from opensymphony.services.jira.issues import Category, Status
from opensymphony.services.jira.transitions import Transition, choose
from tests.fakes.jira import FakeJira, Screen

STEPS = (
    Transition(id="1", name="Start", to=Status(name="In Progress", statusCategory=Category(key="indeterminate"))),
    Transition(id="2", name="In Review", to=Status(name="Code Review", statusCategory=Category(key="indeterminate"))),
    Transition(id="3", name="Close", to=Status(name="Done", statusCategory=Category(key="done"))),
)


@pytest.mark.parametrize(
    ("wanted", "step"),
    [
        (" in progress ", "1"),
        ("In Review", "2"),
        ("Code Review", "2"),
        ("category:done", "3"),
        ("category: In Progress", "1"),
        ("category:to do", None),
        ("category:nonsense", None),
        ("Rework", None),
    ],
)
def test_a_step_is_chosen_by_where_it_leads(wanted: str, step: str | None) -> None:
    """Else by its own name, or by the category of the status."""
    found = choose(STEPS, wanted)
    assert (found.id if found else None) == step


async def move(tracker: Tracker, ticket: str, to: str, *, frm: str = "Todo"):
    return await tracker.transition(TicketId(ticket), from_states=[frm], to_state=to)


async def test_a_screen_that_wants_a_resolution_gets_one(jira: FakeJira, tracker: Tracker) -> None:
    """`Done` where it is offered, else the first."""
    jira.screens["Done"] = Screen(required={"resolution": {"allowedValues": [{"name": "Fixed"}, {"name": "Done"}]}})
    jira.screens["Released"] = Screen(required={"resolution": {"allowedValues": [{"name": "Fixed"}]}})
    one, two = jira.create(), jira.create()
    assert (await move(tracker, one, "Done")).moved
    assert (await move(tracker, two, "Released")).state == "Released"
    assert jira.issues[one].fields["resolution"] == {"name": "Done"}
    assert jira.issues[two].fields["resolution"] == {"name": "Fixed"}


async def test_a_screen_that_wants_more_is_for_a_person(jira: FakeJira, tracker: Tracker) -> None:
    """One with a value of its own does not."""
    jira.screens["Done"] = Screen(required={"worklog": {}})
    jira.screens["In Review"] = Screen(required={"reviewer": {"hasDefaultValue": True}})
    ticket = jira.create()
    with pytest.raises(Refused, match="demands 'Worklog', which only a person can give"):
        await move(tracker, ticket, "Done")
    assert jira.status(ticket) == "Todo"


async def test_where_there_is_no_way_the_ways_are_named(jira: FakeJira, tracker: Tracker) -> None:
    """Or the permission that is missing."""
    ticket = jira.create()
    jira.no_step_to.add("Needs Attention")
    with pytest.raises(
        Refused, match="no step leads from 'Todo' to 'Needs Attention'; there are: Backlog, To Do, In Progress"
    ):
        await move(tracker, ticket, "Needs Attention")
    jira.denied.add("TRANSITION_ISSUES")
    with pytest.raises(Refused, match="give our account the permission Transition issues"):
        await move(tracker, ticket, "In Progress")


async def test_a_lost_answer_moves_once(jira: FakeJira, tracker: Tracker) -> None:
    """It was done although nobody heard: looking tells. In conflict with somebody else it is tried again."""
    ticket = jira.create()
    jira.fail_next("POST", ".*/transitions", lost=True, status=500)
    answer = await move(tracker, ticket, "In Progress")
    assert (answer.moved, answer.state) == (True, "In Progress")
    assert jira.issues[ticket].transitions == 1
    jira.fail_next("POST", ".*/transitions", status=409)
    assert (await move(tracker, ticket, "Done", frm="In Progress")).moved
    assert jira.issues[ticket].transitions == 2


async def test_a_category_that_it_is_in_already_moves_nothing(jira: FakeJira, tracker: Tracker) -> None:
    ticket = jira.create(status="Released")
    answer = await move(tracker, ticket, "category:done", frm="Released")
    assert (answer.moved, answer.state) == (False, "Released")
