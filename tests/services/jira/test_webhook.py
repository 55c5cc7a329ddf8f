"""What a webhook of Jira says, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensymphony.interfaces import BadDelivery
from opensymphony.services import open_webhooks
from opensymphony.services.jira.webhook import AppWebhook, JiraWebhook
from opensymphony.workflow.policy import TrackerPolicy
from tests.fakes.jira import WEBHOOK_SECRET, FakeJira
from tests.fakes.jira_oauth import CLIENT_SECRET

WEBHOOK = JiraWebhook()


def read(body: Any, **headers: str):
    return WEBHOOK.read(headers, body if isinstance(body, bytes) else json.dumps(body).encode())


async def test_it_says_who_did_what_to_which_issue(jira: FakeJira) -> None:
    """In words; the id of the delivery is the sender's."""
    ticket = jira.create()
    items = [
        {"field": "assignee", "fromString": None, "toString": "Agent", "to": "acc-agent"},
        {"field": "status", "fromString": "Todo", "toString": "In Progress"},
    ]
    body, identifier = jira.event(ticket, items=items)
    found = WEBHOOK.read({key.lower(): value for key, value in jira.signed(body, identifier).items()}, body)
    assert (found.service, found.id, found.event) == ("jira", identifier, "jira:issue_updated")
    assert (found.ticket_id, found.ticket, found.author) == (ticket, "PROJ-1", "acc-ada")
    assert found.changes == "assignee: nobody -> Agent; status: Todo -> In Progress"
    assert found.at_ms > 1_700_000_000_000
    said = read({"webhookEvent": "comment_created", "issue": {"id": 7, "key": "PROJ-2"}, "comment": {"body": "x"}})
    assert (said.ticket_id, said.changes, said.id, said.at_ms) == ("7", "a comment", "", 0)


async def test_only_what_is_signed_is_genuine(jira: FakeJira) -> None:
    """By the raw body: a blank more is another one."""
    body, identifier = jira.event(jira.create())
    headers = {key.lower(): value for key, value in jira.signed(body, identifier).items()}
    assert WEBHOOK.is_genuine(WEBHOOK_SECRET, headers, body)
    assert not WEBHOOK.is_genuine(WEBHOOK_SECRET, headers, body + b" ")
    assert not WEBHOOK.is_genuine(WEBHOOK_SECRET, {}, body)
    assert not WEBHOOK.is_genuine("", headers, body)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"webhookEvent": 7}', b"\xff", b'{"webhookEvent": "x", "issue": []}']
)
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(BadDelivery, match="no event of Jira"):
        read(body)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_texts_of_others_stay_on_one_line(event: str, key: str, name: str) -> None:
    """And can be written down."""
    found = read(
        {
            "webhookEvent": event,
            "issue": {"id": key, "key": key},
            "changelog": {"items": [{"field": name, "toString": name}]},
        }
    )
    for text in (found.event, found.ticket, found.ticket_id, found.changes):
        assert "\n" not in text
        assert isinstance(text.encode(), bytes)


def test_webhooks_are_opened_by_name_and_way_of_signing_in() -> None:
    """With an OAuth app its own come first, which need no secret besides the app's."""

    def kinds(kind: str, **provider: str) -> list[type]:
        return [type(one) for one in open_webhooks(TrackerPolicy(kind=kind, provider=dict(provider)))]

    assert kinds("jira") == [JiraWebhook]
    assert kinds("jira", oauth_client_id="app") == [AppWebhook, JiraWebhook]
    assert kinds("files") == kinds("../jira") == []


async def test_an_apps_call_bears_a_token_that_says_nothing_of_the_body(jira: FakeJira) -> None:
    """Made by the app's secret; what a header of the other kind says does not count."""
    app = AppWebhook()
    body, identifier = jira.event(jira.create())
    headers = {key.lower(): value for key, value in jira.borne(body, identifier).items()}
    assert app.is_genuine(CLIENT_SECRET, headers, body)
    assert app.is_genuine(CLIENT_SECRET, headers, b"another")
    assert not app.is_genuine(f"not {CLIENT_SECRET}", headers, body)
    assert not app.is_genuine(CLIENT_SECRET, WEBHOOK.sign(CLIENT_SECRET, body), body)
    assert not app.is_genuine(CLIENT_SECRET, {}, body)
    assert app.is_genuine(CLIENT_SECRET, app.sign(CLIENT_SECRET, body), body)
    assert app.read(headers, body).id == identifier
