"""Who may talk to the operator's listener: the holder of the token, under a host name that is this machine's.

The token lies in a 0600 file; a page in a browser that resolves its own name to our address (DNS rebinding) fails at the
Host header, and one from another site at Origin. Answers tell browsers to keep, guess and embed nothing.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from opensymphony.private_files import write_private
from opensymphony.settings import is_loopback

_AUTHORITY = re.compile(r"(\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[\w.-]+))(:[0-9]*)?")

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer that does not say otherwise itself."""
_RAW = tuple((name.lower().encode(), value.encode()) for name, value in HEADERS.items())


class Shield:
    """Around everything the listener answers, pages without data too: foreign names are refused, headers are added."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message["headers"]}
                message = {**message, "headers": [*message["headers"], *(one for one in _RAW if one[0] not in said)]}
            await send(message)

        headers = Headers(scope=scope)
        answer = foreign_host(headers) or self._app
        if "transfer-encoding" in headers and "content-length" in headers:
            # Whoever stands between may have read where this request ends in another way than we do.
            said = "a body has a length or is sent in chunks, not both"
            answer = error_response(400, "bad_request", said, {"Connection": "close"})
        await answer(scope, receive, send_guarded)


def write_token(path: Path, token: str) -> None:
    """Readable by its owner alone."""
    write_private(path, token.encode())


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=headers)


def refusal(request: Request, token: str) -> Response | None:
    """Why this request is refused; None when it may pass."""
    refused = foreign_host(request.headers) or foreign_origin(request.headers)
    if refused is not None:
        return refused
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return error_response(401, "unauthorized", "send the token of this daemon as a bearer header")
    return None


def foreign_host(headers: Headers) -> Response | None:
    """The refusal of a request that came under another machine's name."""
    if _is_ours(headers.get("host", "")):
        return None
    return error_response(403, "forbidden_host", "this listener answers only to this machine's own names")


def foreign_origin(headers: Headers) -> Response | None:
    """The refusal of a request that a page of another site has made."""
    if all(_is_ours(origin.split("://", 1)[-1]) for origin in headers.getlist("origin")):
        return None
    return error_response(403, "forbidden_origin", "requests of other sites are refused")


def _is_ours(authority: str) -> bool:
    """Whether a host, with or without a port, is a name of this machine's loopback, IPv6 in brackets."""
    match = _AUTHORITY.fullmatch(authority)
    return match is not None and is_loopback((match["ipv6"] or match["name"]).lower())
