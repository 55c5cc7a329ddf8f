"""What only Jira does: an index that lags, issues that move away, tokens that see nothing, pages, few requests."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from opensymphony.errors import BadAnswer, NotFound, Refused, Unreachable
from opensymphony.interfaces import Tracker
from opensymphony.model import Claim, PullRequest, TicketId
from opensymphony.services.jira.tracker import JiraTracker
from tests.fakes.jira import AGENT, FakeJira
from tests.services.jira.world import JiraWorld


def asked(jira: FakeJira) -> Counter[str]:
    """How often each was asked since the last time."""
    found = Counter(f"{method} {path}" for method, path in jira.requests)
    jira.requests.clear()
    return found


async def candidates(tracker: Tracker, *states: str) -> list[str]:
    return [ticket.title for ticket in (await tracker.fetch_candidates(states or ("Todo", "In Progress"))).tickets]


async def test_a_quiet_board_costs_one_request(jira: FakeJira, tracker: Tracker) -> None:
    """What did not change is not read again; what has others that decide about it is, a hundred at once."""
    for number in range(5):
        jira.create(f"T{number}")
    assert await candidates(tracker) == ["T0", "T1", "T2", "T3", "T4"]
    assert asked(jira) == {
        "GET /myself": 1,
        "POST /search/jql": 1,
        "GET /priority/search": 1,
        "POST /issue/bulkfetch": 1,
    }
    assert await candidates(tracker) == ["T0", "T1", "T2", "T3", "T4"]
    assert asked(jira) == {"POST /search/jql": 1}
    first, second = list(jira.issues)[:2]
    jira.edit(first, summary="Changed")
    assert (await candidates(tracker))[0] == "Changed"
    assert asked(jira) == {"POST /search/jql": 1, "POST /issue/bulkfetch": 1}
    jira.link(first, second)
    await candidates(tracker)
    jira.issues[second].fields["status"] = "Done"  # nothing of the first was changed by that
    page = await tracker.fetch_candidates(["Todo"])
    assert [ref.state for ticket in page.tickets for ref in ticket.blocked_by] == ["Done"]


async def test_many_issues_come_in_pages_and_batches(jira: FakeJira, tracker: Tracker) -> None:
    """In the order in which they were made."""
    names = [f"T{number:03}" for number in range(250)]
    for name in names:
        jira.create(name)
    assert await candidates(tracker) == names
    assert asked(jira)["POST /search/jql"] == asked(jira)["POST /issue/bulkfetch"] + 3 == 3
    ids = [TicketId(one) for one in jira.issues]
    assert [ticket.title for ticket in await tracker.fetch_tickets(ids[::-1])] == names[::-1]
    assert asked(jira)["POST /issue/bulkfetch"] == 3


async def test_an_index_that_lags_decides_nothing(jira: FakeJira, tracker: Tracker) -> None:
    """It shows an issue late, or where it was; what the issue says is what it says now."""
    ticket = jira.create("Moved")
    assert await candidates(tracker) == ["Moved"]
    jira.lag = 3
    jira.edit(ticket, status="Done", summary="Closed")
    assert await candidates(tracker) == ["Moved"], "the index does not know better yet"
    [found] = await tracker.fetch_tickets([TicketId(ticket)])
    assert (found.state, found.title) == ("Done", "Closed"), "and before anything is begun it is read by its id"
    assert await candidates(tracker) == [], "what was read once is never taken back"
    new = jira.create("New")
    assert "New" not in await candidates(tracker)
    for _ in range(3):
        await candidates(tracker)
    assert await candidates(tracker) == ["New"]
    assert new


async def test_what_we_write_is_not_forgotten_by_a_lagging_index(jira: FakeJira, tracker: Tracker) -> None:
    """The next poll reads an issue again that we wrote to, however old the index thinks it is."""
    ticket = TicketId(jira.create())
    assert len(await candidates(tracker)) == 1
    jira.lag = 10
    await tracker.transition(ticket, from_states=["Todo"], to_state="In Review")
    assert await candidates(tracker) == []
    claim = Claim(instance="one", generation=1, heartbeat_ms=2)
    other = TicketId(jira.create())
    for _ in range(11):
        await candidates(tracker)
    await tracker.claim(other, claim, replacing=None)
    [shown] = (await tracker.fetch_candidates(["Todo"])).tickets
    assert shown.claim == claim


async def test_an_issue_that_was_moved_to_another_project_is_gone(jira: FakeJira, tracker: Tracker) -> None:
    ticket = jira.create()
    assert len(await tracker.fetch_tickets([TicketId(ticket)])) == 1
    jira.edit(ticket, project="OTHER")
    assert await tracker.fetch_tickets([TicketId(ticket)]) == ()
    assert await candidates(tracker) == []


async def test_a_token_that_sees_nothing_is_no_empty_board(jira: FakeJira, tracker: Tracker) -> None:
    """Jira answers those that it does not know with nothing; nothing is concluded from that."""
    ticket = jira.create()
    assert len(await candidates(tracker)) == 1
    jira.anonymous = True
    jira.tokens = {"another"}
    with pytest.raises(Refused, match="does not take our token"):
        await candidates(tracker)
    assert isinstance(tracker, JiraTracker)
    tracker._account_ms -= 120_000
    with pytest.raises(Refused):
        await tracker.fetch_tickets([TicketId(ticket)])


async def test_the_scope_is_part_of_the_question(world: JiraWorld, jira: FakeJira) -> None:
    """Assigned to us, a condition of the owners', other projects left out."""
    jira.create("Ours", assignee=AGENT, labels=["agent"])
    jira.create("Theirs", assignee="acc-ada", labels=["agent"])
    jira.create("Unlabelled", assignee=AGENT)
    jira.create("Elsewhere", project="OTHER", assignee=AGENT, labels=["agent"])
    async with world.open(jql="labels = agent", assignee="me") as tracker:
        page = await tracker.fetch_candidates(["Todo"])
        assert [(ticket.title, ticket.assignee) for ticket in page.tickets] == [("Ours", "me")]
    async with world.open(assignee="acc-ada") as tracker:
        assert [ticket.title for ticket in (await tracker.fetch_candidates(["Todo"])).tickets] == ["Theirs"]


async def test_a_state_that_the_site_does_not_have_is_told(jira: FakeJira, tracker: Tracker) -> None:
    with pytest.raises(Refused, match="The value 'nonsense' does not exist for the field 'status'"):
        await candidates(tracker, "Nonsense")


async def test_a_search_without_end_ends(jira: FakeJira, tracker: Tracker) -> None:
    """The same page again and again is no page; trouble with single issues is no absence."""
    for _ in range(3):
        jira.create()
    jira.fail_next(
        "POST", "/search/jql", status=200, body={"issues": [], "nextPageToken": "a", "isLast": False}, times=9
    )
    with pytest.raises(BadAnswer, match="does not come to an end"):
        await candidates(tracker)
    jira.faults.clear()
    jira.fail_next("POST", "/issue/bulkfetch", status=200, body={"issues": [], "issueErrors": [{"id": "1"}]})
    with pytest.raises(Unreachable):
        await tracker.fetch_tickets([TicketId("1")])


async def test_comments_behind_many_others_are_found(jira: FakeJira, tracker: Tracker) -> None:
    """An issue comes with its oldest ones: the newest are asked for."""
    ticket = jira.create()
    for number in range(60):
        jira.say(ticket, f"no {number}")
    [found] = await tracker.fetch_tickets([TicketId(ticket)])
    assert [comment.text for comment in found.comments] == [f"no {number}" for number in range(40, 60)]


async def test_without_its_priorities_a_site_is_worked_on_all_the_same(jira: FakeJira, tracker: Tracker) -> None:
    jira.create(priority="1")
    jira.fail_next("GET", "/priority/search", status=403)
    page = await tracker.fetch_candidates(["Todo"])
    assert [ticket.priority for ticket in page.tickets] == [None]


async def test_a_claim_that_is_something_else_is_none(jira: FakeJira, tracker: Tracker) -> None:
    """Somebody has written into our property: it is written over."""
    ticket = TicketId(jira.create())
    jira.issues[ticket].properties["opensymphony.claim"] = ["what"]
    claim = Claim(instance="one", generation=1, heartbeat_ms=2)
    assert (await tracker.claim(ticket, claim, replacing=None)).granted
    assert (await tracker.fetch_tickets([ticket]))[0].claim == claim


async def test_the_life_of_a_ticket_is_few_requests(jira: FakeJira, tracker: Tracker) -> None:
    """Read, claimed, moved, commented twice, moved, given back: what one ticket costs besides the polls."""
    ticket = TicketId(jira.create())
    await candidates(tracker)
    asked(jira)
    claim = Claim(instance="one", generation=1, heartbeat_ms=2)
    await tracker.fetch_tickets([ticket])
    await tracker.claim(ticket, claim, replacing=None)
    await tracker.transition(ticket, from_states=["Todo"], to_state="In Progress")
    await tracker.upsert_comment(ticket, "status", "Working on it.")
    await tracker.upsert_comment(ticket, "status", "Done.")
    await tracker.transition(ticket, from_states=["In Progress"], to_state="In Review")
    await tracker.release(ticket, claim)
    total = sum(asked(jira).values())
    assert total <= 20, total


async def test_a_pull_request_is_linked_once(jira: FakeJira, tracker: Tracker) -> None:
    """Done again, also after a lost answer, it is the same link; another pull request is another one."""
    ticket = jira.create()
    pull = PullRequest(
        id="7",
        url="https://bitbucket.org/acme/app/pull-requests/7",
        title="Mend",
        state="open",
        branch="b",
        base="main",
    )
    jira.fail_next("POST", ".*/remotelink", lost=True, status=500)
    await tracker.link(TicketId(ticket), pull)
    await tracker.link(TicketId(ticket), msgspec.structs.replace(pull, title="Mend it well " + "x" * 300))
    [link] = jira.issues[ticket].remote_links.values()
    assert link["object"]["url"] == pull.url and link["object"]["title"].startswith("Pull request 7: Mend it well")
    await tracker.link(TicketId(ticket), msgspec.structs.replace(pull, id="8", url=f"{pull.url}8"))
    assert len(jira.issues[ticket].remote_links) == 2
    with pytest.raises(NotFound):
        await tracker.link(TicketId("99999"), pull)
