"""Who may talk to the operator's listener: the holder of the token, under a host name that is this machine's.

The token lies in a 0600 file; a page in a browser that resolves its own name to our address (DNS rebinding) fails at the
Host header, and one from another site at Origin.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def write_token(path: Path, token: str) -> None:
    """Atomically, readable by its owner alone."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
    temporary.replace(path)


def error_response(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)


def refusal(request: Request, token: str, hosts: Sequence[str] = _LOOPBACK_NAMES) -> Response | None:
    """Why this request is refused; None when it may pass."""
    host = request.headers.get("host", "").rsplit(":", 1)[0] if "host" in request.headers else ""
    if host.lower() not in hosts:
        return error_response(403, "forbidden_host", "this listener answers only to this machine's own names")
    origin = request.headers.get("origin")
    if origin is not None and origin.split("://", 1)[-1].rsplit(":", 1)[0].lower() not in hosts:
        return error_response(403, "forbidden_origin", "requests of other sites are refused")
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return error_response(401, "unauthorized", "send the token of this daemon as a bearer header")
    return None
