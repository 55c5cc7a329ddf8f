"""What a webhook of Bitbucket says, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensymphony.interfaces import BadDelivery, Delivery
from opensymphony.services import open_code_host_webhook
from opensymphony.services.bitbucket.webhook import EVENTS, BitbucketWebhook
from opensymphony.workflow.policy import CodeHostPolicy
from tests.fakes.bitbucket import ADA, WEBHOOK_SECRET, FakeBitbucket
from tests.fakes.openapi import ROOT

WEBHOOK = BitbucketWebhook()


def read(body: Any, event: str = "", **headers: str) -> Delivery:
    return WEBHOOK.read(
        {"x-event-key": event, **headers}, body if isinstance(body, bytes) else json.dumps(body).encode()
    )


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


async def test_it_says_who_did_what_to_which_branch(bitbucket: FakeBitbucket) -> None:
    """In words; the id of the delivery is the sender's, and there is no ticket in it."""
    pull = bitbucket.open("opensymphony/ABC-1")
    body, headers = bitbucket.event(pull, "pullrequest:changes_request_created")
    found = WEBHOOK.read(lower(headers), body)
    assert (found.service, found.id, found.author) == ("bitbucket", headers["X-Request-UUID"], ADA)
    assert (found.event, found.branch) == ("pullrequest:changes_request_created", "opensymphony/ABC-1")
    assert found.changes == f"pull request {pull.id}: changes requested"
    assert (found.ticket, found.ticket_id, found.at_ms) == ("", "", 0)


def test_a_status_says_whose_commit_it_is_where_it_knows() -> None:
    """The branch is told by some build servers only."""
    status = {"key": "ci", "name": "Tests", "state": "FAILED", "refname": "opensymphony/ABC-1"}
    found = read({"repository": {}, "commit_status": status}, "repo:commit_status_updated")
    assert (found.branch, found.changes) == ("opensymphony/ABC-1", "Tests: failed")
    found = read({"repository": {}, "commit_status": {**status, "refname": None, "name": None}})
    assert (found.branch, found.changes) == ("", "ci: failed")


async def test_only_what_is_signed_is_genuine(bitbucket: FakeBitbucket) -> None:
    """By the raw body: a blank more is another one."""
    body, headers = bitbucket.event(bitbucket.open("b"), "pullrequest:approved")
    known = lower(headers)
    assert WEBHOOK.is_genuine(WEBHOOK_SECRET, known, body)
    assert not WEBHOOK.is_genuine(WEBHOOK_SECRET, known, body + b" ")
    assert not WEBHOOK.is_genuine(WEBHOOK_SECRET, {}, body)
    assert not WEBHOOK.is_genuine("", known, body)


def test_the_signature_is_the_documented_one() -> None:
    """A vector of Atlassian's own."""
    said = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    secret = "It's a Secret to Everybody"
    assert WEBHOOK.sign(secret, b"Hello World!") == {"x-hub-signature": said}
    assert WEBHOOK.is_genuine(secret, {"x-hub-signature": said}, b"Hello World!")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"repository": 7}', b"\xff", b'{"repository": {}, "pullrequest": []}']
)
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(BadDelivery, match="no event of Bitbucket"):
        read(body)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_texts_of_others_stay_on_one_line(event: str, branch: str, name: str) -> None:
    """And can be written down."""
    pull = {"id": 1, "source": {"branch": {"name": branch}}}
    body = {"repository": {}, "actor": {"uuid": name}, "pullrequest": pull}
    found = read(body, event)
    for text in (found.event, found.branch, found.author, found.changes):
        assert "\n" not in text
        assert isinstance(text.encode(), bytes)


def test_the_events_are_events_of_bitbucket() -> None:
    """Each is in the official document."""
    place = ROOT / "bitbucket" / "bitbucket-cloud.openapi.json"
    if not place.is_file():
        pytest.skip("the official document is not here")
    parts = json.loads(place.read_text())["components"]["schemas"]["webhook_subscription"]["allOf"]
    assert set(EVENTS) <= set(parts[1]["properties"]["events"]["items"]["enum"])


def test_it_is_opened_by_name() -> None:
    assert isinstance(open_code_host_webhook(CodeHostPolicy(kind="bitbucket")), BitbucketWebhook)
    assert open_code_host_webhook(CodeHostPolicy(kind="../bitbucket")) is None
