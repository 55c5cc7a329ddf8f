"""Bodies of requests: bytes of bounded length go in, a checked value or a refusal comes out."""

from __future__ import annotations

from typing import Annotated, TypeVar

import anyio
import msgspec
from msgspec import Meta, Struct
from starlette.requests import ClientDisconnect, Request

from opensymphony.api.access import error_response

BODY_BYTES_MAX = 64 * 1024
BODY_S = 20

T = TypeVar("T")


class ActionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a request; it may be left out."""

    request_id: Annotated[str, Meta(max_length=200, pattern=r"^[!-~]+\Z")] | None = None
    """Printable ASCII without blanks. Asked again with the same one, the same answer comes and nothing is done again."""
    text: str = ""
    """Of a message; of any other action, why."""
    author: Annotated[str, Meta(max_length=200)] = ""
    digest: Annotated[str, Meta(max_length=64, pattern=r"^[0-9A-Fa-f]*\Z")] = ""
    """Of an approval or a rejection: at least six digits of what is meant; left out, whatever is waited for."""
    finish: bool = False
    """Of a pause: what runs may come to its end."""


class ShutdownBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a shutdown; it may be left out."""

    detach: bool = False
    """Leave the agent-server and its agents at work for the next start."""


class Unusable(Exception):
    """Raised for a body that cannot be taken."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.response = error_response(status, code, message)
        super().__init__(message)


async def read_body(request: Request, kind: type[T]) -> T:
    """The body as a value of this kind; one that was left out is all defaults. Raises `Unusable`."""
    content = bytearray()
    try:
        with anyio.fail_after(BODY_S):
            async for chunk in request.stream():
                content += chunk
                if len(content) > BODY_BYTES_MAX:
                    raise Unusable(413, "too_large", f"the body is longer than {BODY_BYTES_MAX:,} bytes")
    except TimeoutError as error:
        raise Unusable(408, "too_slow", "the body did not arrive in time") from error
    except ClientDisconnect as error:
        raise Unusable(400, "bad_request", "the body did not arrive whole") from error
    if not content:
        return kind()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Unusable(415, "unsupported_media_type", "send the body as application/json")
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise Unusable(400, "bad_request", f"the body cannot be used: {error}") from error
