"""Bodies of requests: what every route that takes one has in common."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from opensymphony.api.bodies import BODY_BYTES_MAX, ActionBody, ShutdownBody, Unusable, read_body


def request(body: bytes, media_type: str = "application/json") -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "headers": [(b"content-type", media_type.encode())]}, receive)


async def test_a_body_that_was_left_out_is_all_defaults() -> None:
    """Of whatever kind the route takes."""
    assert await read_body(request(b""), ShutdownBody) == ShutdownBody()
    assert await read_body(
        request(b'{"detach": true}', "application/json; charset=utf-8"), ShutdownBody
    ) == ShutdownBody(detach=True)


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"unknown": 1}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b" " * (BODY_BYTES_MAX + 1), "application/json", 413),
    ],
)
async def test_a_body_that_cannot_be_taken_is_refused(body: bytes, media_type: str, status: int) -> None:
    """With the status that says why."""
    with pytest.raises(Unusable) as refused:
        await read_body(request(body, media_type), ActionBody)
    assert refused.value.response.status_code == status
