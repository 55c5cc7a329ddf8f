"""The operator's interface: what each path answers, and to whom."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from opensymphony import __version__
from opensymphony.views import Snapshot
from tests.api.desk import BEARER, SNAPSHOT, Desk


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
    ("method", "path"),
    [
        ("GET", "/metrics"),
        ("GET", "/api/v1/events"),
        ("GET", "/api/v1/snapshot"),
        ("GET", "/api/v1/state"),
        ("GET", "/api/v1/issues"),
        ("GET", "/api/v1/issues/A-1"),
        ("GET", "/api/v1/issues/unknown"),
        ("GET", "/api/v1/A-1"),
        ("POST", "/api/v1/refresh"),
        ("POST", "/api/v1/shutdown"),
        ("POST", "/api/v1/issues/A-1/actions/stop"),
        ("POST", "/api/v1/actions/pause"),
        ("GET", "/api/v1/deliveries"),
        ("GET", "/api/v1/deliveries/1"),
        ("POST", "/api/v1/deliveries/1/replay"),
    ],
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
    assert (desk.refreshed, desk.shut_down, desk.asked) == (0, 0, [])


async def test_head_is_get_without_a_body(client: httpx.AsyncClient) -> None:
    """And asks for the same token."""
    assert (await client.head("/api/v1/state")).status_code == 401
    assert (await client.head("/api/v1/state", headers=BEARER)).status_code == 200
    assert (await client.head("/healthz")).status_code == 200


async def test_an_unknown_path_is_an_error_document(client: httpx.AsyncClient) -> None:
    """404, in the shape of every error."""
    answer = await client.get("/api/v2/nothing", headers=BEARER)
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": {"code": "not_found", "message": "GET /api/v2/nothing: Not Found"}},
    )


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/refresh", {"POST"}),
        ("POST", "/api/v1/state", {"GET", "HEAD"}),
        ("DELETE", "/healthz", {"GET", "HEAD"}),
        ("POST", "/readyz", {"GET", "HEAD"}),
        ("GET", "/api/v1/shutdown", {"POST"}),
        ("GET", "/api/v1/actions/pause", {"POST"}),
        ("POST", "/api/v1/issues", {"GET", "HEAD"}),
        ("POST", "/api/v1/issues/A-1", {"GET", "HEAD"}),
        ("PUT", "/api/v1/issues/A-1/actions/stop", {"POST"}),
        ("POST", "/api/v1/A-1", {"GET", "HEAD"}),
    ],
)
async def test_a_wrong_method_names_the_right_ones(
    method: str, path: str, allowed: set[str], client: httpx.AsyncClient, desk: Desk
) -> None:
    """405 with Allow, as HTTP wants it."""
    answer = await client.request(method, path, headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert (desk.refreshed, desk.shut_down, desk.asked) == (0, 0, [])


@pytest.mark.parametrize("word", ["deliveries/1/more", "actions", "events/more"])
async def test_our_own_words_are_no_tickets(word: str, client: httpx.AsyncClient, desk: Desk) -> None:
    """What will be a path one day is not a ticket's today; under `issues` every name is one."""
    desk.known[word] = desk.known["A-1"]
    answer = await client.get(f"/api/v1/{word}", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert (await client.get(f"/api/v1/issues/{word}", headers=BEARER)).status_code == 200


async def test_readiness_is_open_and_tells_the_kind_of_trouble(client: httpx.AsyncClient, desk: Desk) -> None:
    """A service manager needs no token: 200, or 503 with the reason."""
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    desk.reason = "the tracker has not been read yet"
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"error": {"code": "not_ready", "message": desk.reason}})


async def test_a_shutdown_is_taken_on(client: httpx.AsyncClient, desk: Desk) -> None:
    """202: it goes on for as long as agents need to stop."""
    answer = await client.post("/api/v1/shutdown", headers=BEARER)
    assert (answer.status_code, answer.json()) == (202, {"stopping": True, "detached": False})
    assert (desk.shut_down, desk.detached) == (1, False)
    answer = await client.post("/api/v1/shutdown", headers=BEARER, json={"detach": True})
    assert (answer.json(), desk.shut_down, desk.detached) == ({"stopping": True, "detached": True}, 2, True)
    answer = await client.post("/api/v1/shutdown", headers=BEARER, json={"force": True})
    assert (answer.status_code, answer.json()["error"]["code"], desk.shut_down) == (400, "bad_request", 2)


async def test_a_defect_is_an_error_document_too(client: httpx.AsyncClient, desk: Desk) -> None:
    """It tells that there was one, not what it was."""
    desk.broken = True
    answer = await client.get("/api/v1/state", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
