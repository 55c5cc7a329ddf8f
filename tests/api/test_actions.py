"""What an operator asks for over HTTP: what is taken, what is refused, and how each is answered."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from opensymphony.api.bodies import BODY_BYTES_MAX
from opensymphony.api.routes import build_app
from tests.api.desk import BEARER, TOKEN, Desk

JSON = {**BEARER, "Content-Type": "application/json"}


async def post(client: httpx.AsyncClient, path: str, **given: Any) -> httpx.Response:
    return await client.post(f"/api/v1/{path}", **{"headers": BEARER, **given})


@pytest.mark.parametrize("action", ["stop", "retry", "pause", "resume", "message", "rehydrate", "approve", "reject"])
async def test_an_action_on_a_ticket_is_answered(action: str, client: httpx.AsyncClient, desk: Desk) -> None:
    """200 with the answer; everything in the body reaches the daemon."""
    body = {"request_id": "key-1", "text": "because\nof this", "author": "an\n\x1bna"}
    answer = await post(client, f"issues/A-1/actions/{action}", json=body)
    assert (answer.status_code, answer.json()) == (
        200,
        {"request_id": "key-1", "accepted": True, "answer": "so be it"},
    )
    given = {"request_id": "key-1", "text": "because\nof this", "author": "an  na", "finish": False, "digest": ""}
    assert desk.asked == [(action, "A-1", given)]


async def test_pausing_and_resuming_everything(client: httpx.AsyncClient, desk: Desk) -> None:
    """These two need no ticket; the others do."""
    assert (await post(client, "actions/pause", json={"finish": True})).status_code == 200
    assert (await post(client, "actions/resume")).status_code == 200
    assert [(action, ticket, given["finish"]) for action, ticket, given in desk.asked] == [
        ("pause", None, True),
        ("resume", None, False),
    ]
    for path in ("actions/stop", "actions/nonsense", "actions/approve", "issues/A-1/actions/nonsense"):
        answer = await post(client, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert len(desk.asked) == 2


@pytest.mark.parametrize("content", [b"", b"{}"])
async def test_without_a_request_id_one_is_made(content: bytes, client: httpx.AsyncClient, desk: Desk) -> None:
    """A new one for each request, and it is told."""
    answers = [await post(client, "issues/A-1/actions/stop", content=content, headers=JSON) for _ in range(2)]
    keys = [answer.json()["request_id"] for answer in answers]
    assert keys == [given["request_id"] for _, _, given in desk.asked]
    assert len(set(keys)) == 2 and all(keys)


async def test_a_refusal_is_409_with_the_answer(client: httpx.AsyncClient, desk: Desk) -> None:
    """In the shape of every error, and of every answer."""
    desk.accepts = False
    answer = await post(client, "issues/A-1/actions/stop", json={"request_id": "k"})
    assert (answer.status_code, answer.json()) == (
        409,
        {
            "error": {"code": "not_applicable", "message": "so be it"},
            "request_id": "k",
            "accepted": False,
            "answer": "so be it",
        },
    )


async def test_an_unknown_ticket_is_404(client: httpx.AsyncClient) -> None:
    """Also with a body that is good."""
    answer = await post(client, "issues/A-77/actions/stop", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "issue_not_found")


async def test_an_identifier_may_have_any_characters(client: httpx.AsyncClient, desk: Desk) -> None:
    """Slashes too; the last `actions` in the path is ours."""
    assert (await post(client, "issues/a%2Fb%20c%25%26%3F%23/actions/stop")).status_code == 200
    assert desk.asked[0][:2] == ("stop", "a/b c%&?#")
    desk.known["x/actions/stop"] = desk.known["A-1"]
    assert (await post(client, "issues/x%2Factions%2Fstop/actions/retry")).status_code == 200
    assert desk.asked[1][:2] == ("retry", "x/actions/stop")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"stop"',
        b"\xff",
        b'{"request_id": ""}',
        b'{"request_id": "with blank"}',
        b'{"request_id": "line\\n"}',
        b'{"request_id": 1}',
        b'{"request_id": "' + b"k" * 201 + b'"}',
        b'{"author": "' + b"a" * 201 + b'"}',
        b'{"text": null}',
        b'{"finish": "yes"}',
        b'{"finish": true}',
        b'{"unknown": 1}',
    ],
)
async def test_a_bad_body_is_400_and_nothing_is_asked(body: bytes, client: httpx.AsyncClient, desk: Desk) -> None:
    """Strictly: a key that we do not know was meant to do something."""
    answer = await post(client, "issues/A-1/actions/stop", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert "\n" not in answer.json()["error"]["message"]
    assert desk.asked == []


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_another_kind_of_body_is_415(kind: str | None, client: httpx.AsyncClient, desk: Desk) -> None:
    """A form of another site can send those without asking; JSON it cannot."""
    headers = BEARER if kind is None else {**BEARER, "Content-Type": kind}
    answer = await post(client, "issues/A-1/actions/stop", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert desk.asked == []
    good = {**BEARER, "Content-Type": "Application/JSON; charset=utf-8"}
    assert (await post(client, "issues/A-1/actions/stop", content=b"{}", headers=good)).status_code == 200


async def test_a_body_without_end_is_413(client: httpx.AsyncClient, desk: Desk) -> None:
    """It is read no further than its limit."""
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 100 * BODY_BYTES_MAX:
            sent += 1024
            yield b" " * 1024

    answer = await post(client, "issues/A-1/actions/stop", content=endless(), headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert sent <= 2 * BODY_BYTES_MAX
    assert desk.asked == []
    long = b'{"text": "' + b"a" * (BODY_BYTES_MAX - 20) + b'"}'
    assert (await post(client, "issues/A-1/actions/message", content=long, headers=JSON)).status_code == 200


async def test_no_answer_in_time_is_503(client: httpx.AsyncClient, desk: Desk) -> None:
    """Nobody is left waiting for a disk that is full."""
    desk.silent = True
    answer = await post(client, "actions/pause")
    assert (answer.status_code, answer.json()["error"]) == (
        503,
        {"code": "unavailable", "message": "no answer within 30 s"},
    )


async def test_who_hangs_up_in_the_middle_asks_for_nothing(desk: Desk) -> None:
    """Half a body is no request, and no defect of ours."""
    messages = [
        {"type": "http.request", "body": b'{"finish": false', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"authorization", b"Bearer the-token"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/v1/actions/pause", "query_string": b"", "headers": headers}
    await build_app(desk, TOKEN)(scope, receive, send)
    assert (sent[0]["status"], desk.asked) == (400, [])
