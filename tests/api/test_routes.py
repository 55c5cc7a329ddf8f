"""The operator's interface: what each path answers, to whom, and in what shape."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from opensymphony import __version__
from opensymphony.api.routes import build_app, symphony_state
from opensymphony.model import Phase, ServerState, TicketId, Usage
from opensymphony.views import Snapshot, TicketView

TOKEN = "the-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
USED = Usage(prompt_tokens=100, completion_tokens=10, model_calls=2, cost_micros=5)


def shown(name: str, phase: Phase, **fields: Any) -> TicketView:
    return TicketView(
        id=TicketId(f"id-{name}"),
        identifier=name,
        title="A title",
        state="In Progress",
        phase=phase,
        usage=USED,
        url=f"https://tracker/{name}",
        **fields,
    )


SNAPSHOT = Snapshot(
    sequence=7,
    at_ms=1_700_000_100_000,
    instance="one",
    status="running",
    server=ServerState(status="ready", base_url="http://127.0.0.1:8000"),
    tickets=(
        shown(
            "A-1",
            "running",
            stage="working",
            turns=2,
            conversation_id="conv",
            activity="ran the tests",
            started_ms=1_700_000_000_000,
            last_activity_ms=1_700_000_090_000,
        ),
        shown("A-2", "stopping", started_ms=1_700_000_000_000),
        shown("A-3", "retrying", failures=3, due_ms=1_700_000_160_000, error="it broke"),
        shown("A-4", "needs_person", error="which way?", since_ms=1_700_000_050_000),
        shown("A-5", "in_review", started_ms=1_700_000_000_000, ended_ms=1_700_000_030_999),
        shown("A-6", "waiting_to_start"),
        shown("A-7", "closed"),
    ),
    usage=USED,
    poll_error="the tracker is away",
    poll_error_since_ms=1_700_000_000_000,
    next_poll_ms=1_700_000_060_000,
    problems=("board/X.md:2: no title",),
)


class Desk:
    """A `Control` that shows one picture."""

    def __init__(self) -> None:
        self.refreshed = 0
        self.broken = False
        self.waits: str | None = None

    def snapshot(self) -> Snapshot:
        if self.broken:
            raise RuntimeError("a secret detail")
        return SNAPSHOT

    def refresh(self) -> str | None:
        self.refreshed += 1
        return self.waits


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build_app(desk, TOKEN), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:2468") as made:
        yield made


async def test_health_is_open(client: httpx.AsyncClient) -> None:
    """A watchdog needs no token, and learns nothing but the version."""
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": __version__})


async def test_the_snapshot_is_the_whole_picture(client: httpx.AsyncClient) -> None:
    """It decodes to what the daemon has."""
    answer = await client.get("/api/v1/snapshot", headers=BEARER)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert msgspec.json.decode(answer.content, type=Snapshot) == SNAPSHOT


async def test_a_refresh_is_taken_on(client: httpx.AsyncClient, desk: Desk) -> None:
    """202: the look itself comes later."""
    answer = await client.post("/api/v1/refresh", headers=BEARER)
    assert (answer.status_code, answer.json(), desk.refreshed) == (202, {"queued": True}, 1)
    desk.waits = "the tracker asked for a pause"
    answer = await client.post("/api/v1/refresh", headers=BEARER)
    assert (answer.status_code, answer.json()) == (202, {"queued": True, "waits": "the tracker asked for a pause"})


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/v1/snapshot"), ("GET", "/api/v1/state"), ("POST", "/api/v1/refresh")]
)
async def test_every_path_is_guarded(method: str, path: str, client: httpx.AsyncClient, desk: Desk) -> None:
    """Without the token, with a wrong one, under a foreign name, or from another site nothing is told and nothing done."""
    for headers, status, code in [
        ({}, 401, "unauthorized"),
        ({"Authorization": "Bearer wrong"}, 401, "unauthorized"),
        ({**BEARER, "Host": "evil.example"}, 403, "forbidden_host"),
        ({**BEARER, "Origin": "https://evil.example"}, 403, "forbidden_origin"),
    ]:
        answer = await client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert desk.refreshed == 0


async def test_head_is_get_without_a_body(client: httpx.AsyncClient) -> None:
    """And asks for the same token."""
    assert (await client.head("/api/v1/state")).status_code == 401
    assert (await client.head("/api/v1/state", headers=BEARER)).status_code == 200
    assert (await client.head("/healthz")).status_code == 200


async def test_an_unknown_path_is_an_error_document(client: httpx.AsyncClient) -> None:
    """404, in the shape of every error."""
    answer = await client.get("/api/v1/nothing", headers=BEARER)
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": {"code": "not_found", "message": "GET /api/v1/nothing: Not Found"}},
    )


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/refresh", {"POST"}),
        ("POST", "/api/v1/state", {"GET", "HEAD"}),
        ("DELETE", "/healthz", {"GET", "HEAD"}),
    ],
)
async def test_a_wrong_method_names_the_right_ones(
    method: str, path: str, allowed: set[str], client: httpx.AsyncClient, desk: Desk
) -> None:
    """405 with Allow, as HTTP wants it."""
    answer = await client.request(method, path, headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert desk.refreshed == 0


async def test_a_defect_is_an_error_document_too(client: httpx.AsyncClient, desk: Desk) -> None:
    """It tells that there was one, not what it was."""
    desk.broken = True
    answer = await client.get("/api/v1/state", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text


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
    assert (state["poll_error_since"], state["next_poll_at"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z")
    assert state["policy_error_since"] is None
    assert state["problems"] == ["board/X.md:2: no title"]


def test_an_empty_state_has_the_same_fields() -> None:
    """A program finds every field before there is anything to show."""
    empty = msgspec.structs.replace(SNAPSHOT, tickets=(), usage=Usage(), poll_error=None, problems=())
    assert symphony_state(empty).keys() == symphony_state(SNAPSHOT).keys()
    assert symphony_state(empty)["codex_totals"]["seconds_running"] == 0
