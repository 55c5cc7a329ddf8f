"""Webhooks as operators see them."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from opensymphony.views import DeliveryList
from tests.api.desk import BEARER, DELIVERIES, Desk


async def test_they_are_listed_with_what_was_turned_away(client: httpx.AsyncClient) -> None:
    """The newest first; a number goes on behind it."""
    answer = await client.get("/api/v1/deliveries", headers=BEARER)
    assert msgspec.json.decode(answer.content, type=DeliveryList).deliveries == DELIVERIES
    assert answer.json()["refused"] == {"signature": 3}
    answer = await client.get("/api/v1/deliveries?before=2", headers=BEARER)
    assert [one["number"] for one in answer.json()["deliveries"]] == [1]


async def test_one_is_shown_with_its_body(client: httpx.AsyncClient) -> None:
    """Bytes that are no JSON in base64."""
    answer = await client.get("/api/v1/deliveries/1", headers=BEARER)
    assert (answer.json()["body"], answer.json()["delivery"]["ticket"]) == ({"a": [1]}, "PROJ-1")
    answer = await client.get("/api/v1/deliveries/2", headers=BEARER)
    assert answer.json()["body"] == {"base64": "/w=="}


async def test_one_is_looked_at_again(client: httpx.AsyncClient, desk: Desk) -> None:
    answer = await client.post("/api/v1/deliveries/1/replay", headers=BEARER)
    assert (answer.status_code, answer.json()) == (202, {"queued": True})
    assert desk.ingress is not None
    assert desk.ingress.replayed == [1]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/deliveries?before=x", 400, "bad_request"),
        ("GET", "/api/v1/deliveries?before=-1", 400, "bad_request"),
        ("GET", "/api/v1/deliveries/9", 404, "delivery_not_found"),
        ("GET", "/api/v1/deliveries/x", 404, "delivery_not_found"),
        ("GET", f"/api/v1/deliveries/{'9' * 40}", 404, "delivery_not_found"),
        ("POST", "/api/v1/deliveries/9/replay", 404, "delivery_not_found"),
        ("POST", "/api/v1/deliveries/x/replay", 404, "delivery_not_found"),
        ("GET", "/api/v1/deliveries/1/replay", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_is_said(
    method: str, path: str, status: int, code: str, client: httpx.AsyncClient
) -> None:
    answer = await client.request(method, path, headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_where_none_are_taken_it_says_how_to(client: httpx.AsyncClient, desk: Desk) -> None:
    desk.ingress = None
    for method, path in (("GET", ""), ("GET", "/1"), ("POST", "/1/replay")):
        answer = await client.request(method, f"/api/v1/deliveries{path}", headers=BEARER)
        assert answer.status_code == 404
        assert "set public.port in opensymphony.toml" in answer.json()["error"]["message"]
