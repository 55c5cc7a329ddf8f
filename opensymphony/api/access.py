"""Who may talk to the operator's listener: the holder of the token, under a host name that is this machine's.

The token lies in a 0600 file; a page in a browser that resolves its own name to our address (DNS rebinding) fails at the
Host header, and one from another site at Origin.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from opensymphony.private_files import write_private
from opensymphony.settings import is_loopback

_AUTHORITY = re.compile(r"(\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[\w.-]+))(:[0-9]*)?")


def write_token(path: Path, token: str) -> None:
    """Readable by its owner alone."""
    write_private(path, token.encode())


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=headers)


def refusal(request: Request, token: str) -> Response | None:
    """Why this request is refused; None when it may pass."""
    refused = foreign_host(request) or foreign_origin(request)
    if refused is not None:
        return refused
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return error_response(401, "unauthorized", "send the token of this daemon as a bearer header")
    return None


def foreign_host(request: Request) -> Response | None:
    """The refusal of a request that came under another machine's name."""
    if _is_ours(request.headers.get("host", "")):
        return None
    return error_response(403, "forbidden_host", "this listener answers only to this machine's own names")


def foreign_origin(request: Request) -> Response | None:
    """The refusal of a request that a page of another site has made."""
    if all(_is_ours(origin.split("://", 1)[-1]) for origin in request.headers.getlist("origin")):
        return None
    return error_response(403, "forbidden_origin", "requests of other sites are refused")


def _is_ours(authority: str) -> bool:
    """Whether a host, with or without a port, is a name of this machine's loopback, IPv6 in brackets."""
    match = _AUTHORITY.fullmatch(authority)
    return match is not None and is_loopback((match["ipv6"] or match["name"]).lower())
