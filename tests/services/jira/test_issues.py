"""What Jira says an issue is becomes a ticket, whatever is odd about it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensymphony.model import Claim
from opensymphony.services.jira.adf import to_document
from opensymphony.services.jira.comments import signed
from opensymphony.services.jira.issues import (
    FIELDS,
    Comment,
    Comments,
    Issue,
    Malformed,
    Reading,
    User,
    comments_of,
    has_open_relations,
    is_ours,
)
from opensymphony.services.jira.site import Site

SITE = Site(base_url="https://acme.example", project_key="PROJ", acceptance_criteria_field="customfield_1")
READING = Reading(
    site=SITE, account_id="us", assignee="me", unblocking=frozenset({"done"}), priorities=("10", "11", "12")
)


def issue(properties: dict[str, Any] | None = None, **fields: Any) -> Issue:
    needed: dict[str, Any] = {"summary": "A title", "status": {"name": "Todo"}, "project": {"key": "proj"}}
    wire = {"id": "1", "key": "PROJ-1", "fields": {**needed, **fields}, "properties": properties or {}}
    return msgspec.json.decode(msgspec.json.encode(wire), type=Issue)


def ticket(**fields: Any):
    return READING.ticket(issue(**fields))[0]


def other(name: str, category: str, number: str = "2") -> dict[str, Any]:
    return {
        "id": number,
        "key": f"PROJ-{number}",
        "fields": {"status": {"name": name, "statusCategory": {"key": category}}},
    }


def test_everything_that_is_there_arrives() -> None:
    """Text as Markdown, criteria and attachments below it, times as ISO 8601, ourselves as `me`."""
    found = ticket(
        description=to_document("Do **this**."),
        customfield_1=to_document("- it works"),
        attachment=[{"filename": "log.txt", "size": 12_345}],
        priority={"id": "11"},
        labels=["Ready", "ready ", "bug"],
        assignee={"accountId": "us"},
        created="2026-01-02T03:04:05.678+0100",
        updated="2026-01-02T03:04:05.678Z",
        issuetype={"name": "Bug", "hierarchyLevel": 0},
        parent=other("Open", "new", "9"),
        subtasks=[other("Open", "new", "3")],
        properties={"opensymphony.claim": {"instance": "one", "generation": 2, "heartbeat_ms": 3}},
    )
    assert (
        found.description
        == "Do **this**.\n\n## Acceptance criteria\n\n- it works\n\n## Attachments\n\n- log.txt (12,345 bytes)"
    )
    assert (found.priority, found.labels, found.assignee) == (2, ("ready", "bug"), "me")
    assert (found.created_at, found.updated_at) == ("2026-01-02T03:04:05.678+01:00", "2026-01-02T03:04:05.678Z")
    assert found.created_ms == 1_767_319_445_678
    assert found.claim == Claim(instance="one", generation=2, heartbeat_ms=3)
    assert found.url == "https://acme.example/browse/PROJ-1"
    assert found.parent is not None and found.parent.identifier == "PROJ-9"
    assert [child.id for child in found.children] == ["3"]
    assert has_open_relations(found)
    assert found.native_ref == {"id": "1", "project": "PROJ", "type": "Bug"}


def test_what_blocks_is_what_jira_counts_as_open() -> None:
    """By the name of the link and its direction; done is done, however the status is called."""
    links = [
        {"type": {"name": "blocks"}, "inwardIssue": other("In Progress", "indeterminate", "2")},
        {"type": {"name": "Blocks"}, "inwardIssue": other("Shipped", "done", "3")},
        {"type": {"name": "Blocks"}, "inwardIssue": other("Done", "done", "4")},
        {"type": {"name": "Blocks"}, "outwardIssue": other("Todo", "new", "5")},
        {"type": {"name": "Relates"}, "inwardIssue": other("Todo", "new", "6")},
        {"type": {"name": "Blocks"}, "inwardIssue": {"id": "7"}},
    ]
    assert [(one.id, one.state) for one in ticket(issuelinks=links).blocked_by] == [
        ("2", "In Progress"),
        ("4", "Done"),
        ("7", None),
    ]


def test_priorities_go_by_the_sites_own_order() -> None:
    """The most urgent is 1, there is nothing below 4, and an unknown one is none."""
    many = msgspec.structs.replace(READING, priorities=tuple("abcdef"))
    assert [many.ticket(issue(priority={"id": one}))[0].priority for one in "abcdefg"] == [1, 2, 3, 4, 4, 4, None]


def test_an_epic_is_never_worked_on_itself() -> None:
    assert not ticket(issuetype={"name": "Epic", "hierarchyLevel": 1}).dispatchable
    assert ticket(issuetype={"name": "Sub-task", "hierarchyLevel": -1}).dispatchable


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"summary": " "}, "it has no summary"),
        ({"summary": None}, "it has no summary"),
        ({"status": None}, "it has no status"),
        ({"status": {"name": ""}}, "it has no status"),
        ({"status": 7}, "it has no status"),
    ],
)
def test_what_cannot_be_a_ticket_says_why(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(Malformed, match=says):
        ticket(**fields)


def test_an_issue_that_was_moved_is_not_ours() -> None:
    assert READING.is_ours(issue())
    assert not READING.is_ours(issue(project={"key": "OTHER"}))
    with pytest.raises(Malformed, match="it has no project"):
        READING.is_ours(issue(project=None))


def test_our_comments_are_known_by_account_and_last_line() -> None:
    """A person may work with the same account, and anybody may quote us."""
    body = signed("Working on it.", "status")
    ours = Comment(id="1", author=User(accountId="us"), body=body)
    assert is_ours(ours, "us") and is_ours(ours, "us", "status")
    assert not is_ours(ours, "us", "stat")
    assert not is_ours(ours, "them")
    said = {"id": "2", "author": {"accountId": "us"}, "body": to_document("opensymphony:status says so\n\n/retry")}
    found = ticket(comment={"comments": [{"id": "1", "author": {"accountId": "us"}, "body": body}, said], "total": 2})
    assert [one.id for one in found.comments] == ["2"]


def test_comments_are_the_newest_in_order() -> None:
    """Their numbers rise; what has no number is left out; those that did not come along are asked for."""
    said = [
        {"id": str(100 - at), "author": {"accountId": "a", "displayName": "A\n B"}, "body": to_document(f"no {at}")}
        for at in range(30)
    ]
    found = ticket(comment={"comments": [*said, {"id": "x"}], "total": 30}).comments
    assert [one.number for one in found] == list(range(81, 101))
    assert found[0].author_name == "A B"
    assert comments_of(issue(comment={"comments": said, "total": 30})).is_whole
    assert not comments_of(issue(comment={"comments": said, "total": 31})).is_whole
    newest = Comments(comments=(Comment(id="200", body=to_document("new")),), total=31)
    assert [one.text for one in READING.ticket(issue(), newest)[0].comments] == ["new"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**40)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "key", "name", "type", "content", "text", "fields", "status", "comments", "attrs"]),
            inside,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from([*FIELDS, "customfield_1"]), JSON, max_size=8),
    st.dictionaries(st.just("opensymphony.claim"), JSON),
)
def test_no_issue_is_too_odd(fields: dict[str, Any], properties: dict[str, Any]) -> None:
    """It becomes a ticket that can be written down, or says why not; what was left out is told."""
    try:
        found, odd = READING.ticket(issue(properties, **fields))
    except Malformed:
        return
    assert msgspec.json.encode(found)
    assert set(odd) <= {*FIELDS, "customfield_1"}
