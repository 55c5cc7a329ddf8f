"""Symphony's shapes of our picture."""

from __future__ import annotations

import httpx
import msgspec

from opensymphony.api.symphony import symphony_state
from opensymphony.model import Usage
from tests.api.desk import BEARER, SNAPSHOT, Desk


async def test_the_state_has_symphonys_shape(client: httpx.AsyncClient) -> None:
    """Every field that programs written for Symphony read, and ours beside them."""
    state = (await client.get("/api/v1/state", headers=BEARER)).json()
    assert state["generated_at"] == "2023-11-14T22:15:00Z"
    assert state["counts"] == {"running": 2, "retrying": 1, "blocked": 1}
    assert state["running"][0] == {
        "issue_id": "id-A-1",
        "issue_identifier": "A-1",
        "issue_url": "https://tracker/A-1",
        "state": "In Progress",
        "session_id": "conv",
        "turn_count": 2,
        "last_event": "working",
        "last_message": "ran the tests",
        "started_at": "2023-11-14T22:13:20Z",
        "last_event_at": "2023-11-14T22:14:50Z",
        "tokens": {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110},
    }
    assert state["running"][1]["issue_identifier"] == "A-2"
    assert state["retrying"] == [
        {
            "issue_id": "id-A-3",
            "issue_identifier": "A-3",
            "issue_url": "https://tracker/A-3",
            "attempt": 3,
            "due_at": "2023-11-14T22:16:00Z",
            "error": "it broke",
        }
    ]
    assert state["blocked"] == [
        {
            "issue_id": "id-A-4",
            "issue_identifier": "A-4",
            "issue_url": "https://tracker/A-4",
            "state": "In Progress",
            "error": "which way?",
            "since": "2023-11-14T22:14:10Z",
        }
    ]
    assert state["codex_totals"] == {
        "input_tokens": 100,
        "output_tokens": 10,
        "total_tokens": 110,
        "seconds_running": 100 + 100 + 30,
    }
    assert state["rate_limits"] is None
    assert (state["status"], state["sequence"]) == ("running", 7)
    assert state["agent_server"]["base_url"] == "http://127.0.0.1:8000"
    assert (state["poll_error"], state["policy_error"]) == ("the tracker is away", None)
    assert (state["poll_error_since"], state["next_poll_at"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:16:00Z")
    assert state["policy_error_since"] is None
    assert state["problems"] == ["board/X.md:2: no title"]


def test_an_empty_state_has_the_same_fields() -> None:
    """A program finds every field before there is anything to show."""
    empty = msgspec.structs.replace(SNAPSHOT, tickets=(), usage=Usage(), poll_error=None, problems=())
    shown, full = (msgspec.to_builtins(symphony_state(picture)) for picture in (empty, SNAPSHOT))
    assert shown.keys() == full.keys()
    assert shown["codex_totals"]["seconds_running"] == 0


async def test_a_running_ticket_has_symphonys_shape(client: httpx.AsyncClient) -> None:
    """Every field that programs written for Symphony read, and why and since when beside them."""
    answer = await client.get("/api/v1/A-1", headers=BEARER)
    state = (await client.get("/api/v1/state", headers=BEARER)).json()
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "issue_identifier": "A-1",
            "issue_id": "id-A-1",
            "issue_url": "https://tracker/A-1",
            "status": "running",
            "workspace": None,
            "attempts": {"restart_count": 0, "current_retry_attempt": 0},
            "running": state["running"][0],
            "retry": None,
            "blocked": None,
            "logs": {"codex_session_logs": []},
            "recent_events": [{"at": "2023-11-14T22:14:50Z", "event": "working", "message": "ran the tests"}],
            "last_error": None,
            "tracked": {},
            "reason": "A-1 is so",
            "since": "2023-11-14T22:13:20Z",
        },
    )


async def test_other_tickets_have_the_same_fields(client: httpx.AsyncClient, desk: Desk) -> None:
    """With Symphony's words where it has them and ours where it has none."""
    fields = (await client.get("/api/v1/A-1", headers=BEARER)).json().keys()
    words = {
        "A-2": ("running", "running"),
        "A-3": ("retrying", "retry"),
        "A-4": ("blocked", "blocked"),
        "A-5": ("in_review", None),
        "A-6": ("waiting_to_start", None),
        "A-7": ("closed", None),
    }
    for name, (status, filled) in words.items():
        shown = (await client.get(f"/api/v1/{name}", headers=BEARER)).json()
        assert shown.keys() == fields
        assert shown["status"] == status
        assert [one for one in ("running", "retry", "blocked") if shown[one] is not None] == [filled] * bool(filled)


async def test_an_unknown_ticket_is_symphonys_error(client: httpx.AsyncClient) -> None:
    """404 with its code."""
    answer = await client.get("/api/v1/A-77", headers=BEARER)
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": {"code": "issue_not_found", "message": "the daemon knows no ticket A-77"}},
    )
