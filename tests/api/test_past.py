"""What has happened, over HTTP: pages, refusals, and tickets whose names look like our words."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from opensymphony.api.past import Absent
from opensymphony.errors import InstanceError, StoreError
from opensymphony.views import Changes, Statistics, TimelinePage, TranscriptPage, VerificationList
from tests.api.desk import BEARER, CHANGES, TIMELINE, TRANSCRIPT, VERIFICATIONS, Desk, explained, shown

ISSUE = "/api/v1/issues/A-1"


async def test_a_transcript_comes_page_by_page(client: httpx.AsyncClient) -> None:
    """The newest first; each page says with what to go on in both directions."""
    answer = await client.get(f"{ISSUE}/transcript?limit=4", headers=BEARER)
    newest = msgspec.json.decode(answer.content, type=TranscriptPage)
    assert (newest.entries, newest.before, newest.after) == (TRANSCRIPT[6:], 6, 9)
    answer = await client.get(f"{ISSUE}/transcript?limit=4&before=6", headers=BEARER)
    assert msgspec.json.decode(answer.content, type=TranscriptPage).entries == TRANSCRIPT[2:6]
    answer = await client.get(f"{ISSUE}/transcript?after=-1&limit=3", headers=BEARER)
    assert msgspec.json.decode(answer.content, type=TranscriptPage).entries == TRANSCRIPT[:3]


async def test_what_is_left_out_has_a_default(client: httpx.AsyncClient, desk: Desk) -> None:
    for path in (f"{ISSUE}/transcript", f"{ISSUE}/timeline", "/api/v1/statistics"):
        assert (await client.get(path, headers=BEARER)).status_code == 200
    assert desk.past is not None
    assert desk.past.asked == [
        ("transcript", "A-1", 200, None, None),
        ("timeline", "A-1", 200, None),
        ("statistics", 30),
    ]


async def test_timeline_changes_verifications_and_figures(client: httpx.AsyncClient) -> None:
    """Each in the shape that the doors read; nothing is escaped or stripped, which is for who shows it."""
    answer = await client.get(f"{ISSUE}/timeline?limit=5&before=10", headers=BEARER)
    page = msgspec.json.decode(answer.content, type=TimelinePage)
    assert (page.entries, page.before) == (TIMELINE[11:16], TIMELINE[15].sequence)
    answer = await client.get(f"{ISSUE}/changes", headers=BEARER)
    assert msgspec.json.decode(answer.content, type=Changes) == CHANGES
    answer = await client.get(f"{ISSUE}/verifications", headers=BEARER)
    assert msgspec.json.decode(answer.content, type=VerificationList) == VERIFICATIONS
    answer = await client.get("/api/v1/statistics?days=3", headers=BEARER)
    assert answer.headers["content-type"] == "application/json"
    assert [day.day for day in msgspec.json.decode(answer.content, type=Statistics).days][-1] == "2026-11-27"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("transcript?limit=0", "from 1 to 500"),
        ("transcript?limit=501", "from 1 to 500"),
        ("transcript?limit=", "from 1 to 500"),
        ("transcript?limit=1&limit=2", "limit must be one number"),
        ("transcript?limit=%D9%A3", "from 1 to 500"),
        ("transcript?before=-1", "before must be"),
        ("transcript?after=-2", "from -1 to"),
        ("transcript?after=--1", "from -1 to"),
        (f"transcript?after={'9' * 5000}", "from -1 to"),
        ("transcript?before=1e3", "before must be"),
        ("transcript?before=1&after=1", "not both"),
        ("transcript?since=1", "it takes limit, before, after"),
        ("timeline?after=1", "it takes limit, before"),
        ("timeline?limit=%00", "from 1 to 500"),
        ("changes?raw=1", "it takes none"),
        ("verifications?limit=5", "it takes none"),
    ],
)
async def test_a_query_that_cannot_be_used_is_refused(
    query: str, named: str, client: httpx.AsyncClient, desk: Desk
) -> None:
    """With what is allowed; nothing is looked for."""
    answer = await client.get(f"{ISSUE}/{query}", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert named in answer.json()["error"]["message"]
    assert desk.past is not None and desk.past.asked == []


@pytest.mark.parametrize("query", ["days=0", "days=367", "days=ten", "day=1", "days=1&days=1"])
async def test_days_are_a_year_at_most(query: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/api/v1/statistics?{query}", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("word", ["transcript", "timeline", "changes", "verifications"])
async def test_what_is_not_there_is_said(word: str, client: httpx.AsyncClient, desk: Desk) -> None:
    """A ticket that nobody knows, what a ticket does not have, what cannot be read now, and a daemon that only begins."""
    answer = await client.get(f"/api/v1/issues/X-9/{word}", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "issue_not_found")
    assert desk.past is not None
    desk.past.absent = Absent("no_conversation", "A-1 has no conversation yet")
    answer = await client.get(f"{ISSUE}/{word}", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_conversation")
    for trouble in (InstanceError("not now"), StoreError("the journal cannot be read")):
        desk.past.trouble = trouble
        answer = await client.get(f"{ISSUE}/{word}", headers=BEARER)
        assert (answer.status_code, answer.json()["error"]["message"]) == (503, str(trouble))
    desk.past = None
    answer = await client.get(f"{ISSUE}/{word}", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")


@pytest.mark.parametrize("word", ["transcript", "timeline", "changes", "verifications"])
async def test_a_ticket_may_be_called_like_one_of_our_words(word: str, client: httpx.AsyncClient, desk: Desk) -> None:
    """Its slash is sent as %2F; a plain one is believed where the ticket before it is not known."""
    for name in (f"feature/{word}", word, f"A-1/{word}"):
        desk.known[name] = explained(shown(name, "waiting_to_start"))
    for path in (f"feature%2F{word}", f"feature/{word}", word, f"A-1%2F{word}"):
        answer = await client.get(f"/api/v1/issues/{path}", headers=BEARER)
        assert answer.status_code == 200
        assert answer.json()["ticket"]["identifier"] == path.replace("%2F", "/")
    assert desk.past is not None and desk.past.asked == []
    await client.get(f"/api/v1/issues/feature%2F{word}/{word}", headers=BEARER)
    await client.get(f"/api/v1/issues/A-1/{word}", headers=BEARER)
    assert [asked[:2] for asked in desk.past.asked] == [(word, f"feature/{word}"), (word, "A-1")]  # type: ignore[index]


@pytest.mark.parametrize(
    "identifier",
    ["..%2F..%2Fetc", "%2e%2e", "%00", "%ED%A0%80", "a%0Ab", "%25%32%46", "a" * 5000, "%F0%9F%92%A5", "%2F%2F"],
)
async def test_tricks_in_an_identifier_find_nothing(identifier: str, client: httpx.AsyncClient) -> None:
    """It is only ever compared with the names of tickets; no path has a line break."""
    for word in ("transcript", "timeline", "changes", "verifications"):
        answer = await client.get(f"/api/v1/issues/{identifier}/{word}", headers=BEARER)
        code = "not_found" if "%0A" in identifier else "issue_not_found"
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


@pytest.mark.parametrize("path", [f"{ISSUE}/transcript", f"{ISSUE}/timeline", f"{ISSUE}/changes", "/api/v1/statistics"])
async def test_nothing_is_told_without_the_token(path: str, client: httpx.AsyncClient, desk: Desk) -> None:
    assert (await client.get(path)).status_code == 401
    assert (await client.post(path, headers=BEARER)).status_code == 405
    assert desk.past is not None and desk.past.asked == []
