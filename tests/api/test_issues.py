"""Tickets over HTTP."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from opensymphony.views import Explanation, IssueList
from tests.api.desk import BEARER, SNAPSHOT, Desk


async def test_the_list_has_every_ticket_in_order(client: httpx.AsyncClient) -> None:
    """As the snapshot has them, with its sequence number and time."""
    answer = await client.get("/api/v1/issues", headers=BEARER)
    listed = msgspec.json.decode(answer.content, type=IssueList)
    assert answer.status_code == 200
    assert listed == IssueList(sequence=7, at_ms=SNAPSHOT.at_ms, issues=SNAPSHOT.tickets)


async def test_the_list_is_filtered_by_phase(client: httpx.AsyncClient) -> None:
    """By one or several; a word that is no phase is refused with those that are."""
    for query, names in [("phase=retrying", ["A-3"]), ("phase=closed&phase=in_review", ["A-5", "A-7"]), ("", None)]:
        listed = (await client.get(f"/api/v1/issues?{query}", headers=BEARER)).json()["issues"]
        assert names is None or [one["identifier"] for one in listed] == names
    refused = await client.get("/api/v1/issues?phase=nonsense", headers=BEARER)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_request")
    assert "nonsense" in refused.json()["error"]["message"]
    assert "needs_person" in refused.json()["error"]["message"]


async def test_a_ticket_is_explained(client: httpx.AsyncClient, desk: Desk) -> None:
    """It decodes to what the daemon says, times in milliseconds."""
    answer = await client.get("/api/v1/issues/A-1", headers=BEARER)
    assert msgspec.json.decode(answer.content, type=Explanation) == desk.known["A-1"]
    assert answer.json()["since_ms"] == 1_700_000_000_000


@pytest.mark.parametrize("place", ["/api/v1/issues/", "/api/v1/"])
async def test_an_identifier_may_have_any_characters(place: str, client: httpx.AsyncClient) -> None:
    """Also a slash, which travels as %2F."""
    answer = await client.get(f"{place}a%2Fb%20c%25%26%3F%23", headers=BEARER)
    shown = answer.json()
    assert (answer.status_code, shown.get("sentence", shown.get("reason"))) == (200, "a/b c%&?# is so")


@pytest.mark.parametrize("name", ["A-77", "", "%2E%2E", "x" * 5_000, "%00", "a/actions/stop"])
async def test_an_unknown_ticket_is_404(name: str, client: httpx.AsyncClient) -> None:
    """Whatever its name looks like."""
    answer = await client.get(f"/api/v1/issues/{name}", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "issue_not_found")
