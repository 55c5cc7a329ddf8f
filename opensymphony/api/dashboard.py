"""The dashboard's pages: static files without any data, and the way in that leaves no token in a URL, an argument or a cookie.

Who has the token asks for a code; a page of the person's own posts it within a minute; the answer puts the token into the tab's
sessionStorage, once. Every script and style comes from here, and nothing else may run.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs

import anyio
import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from opensymphony.api import bodies
from opensymphony.api.access import error_response, foreign_origin
from opensymphony.api.issues import json_response
from opensymphony.clock import Clock, new_secret
from opensymphony.views import DashboardCode

ASSETS = Path(__file__).with_name("assets")
CODE_MS = 60_000
CODES_MAX = 8
"""Outstanding at once; the oldest gives way."""
_FORM_BYTES_MAX = 4096
_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_PAGE = "index.html"

_CSP = (
    "default-src 'none'; script-src {script}; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ENTRANCE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>OpenSymphony</title>
<link rel="icon" href="data:,"></head><body>
<script type="application/json" id="token">{token}</script>
<script nonce="{nonce}">
sessionStorage.setItem("opensymphony.token", JSON.parse(document.getElementById("token").textContent));
location.replace("/");
</script>
<noscript>The dashboard needs JavaScript.</noscript>
</body></html>
"""
_TURNED_AWAY = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>OpenSymphony: the code is used up</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/style.css"></head>
<body class="notice"><main><h1>This code does not open the dashboard any more</h1>
<p>A code is good for one minute and for one time. Run this where the daemon runs, and a new page opens:</p>
<pre><code>opensymphony dashboard</code></pre></main></body></html>
"""

Guarded = Callable[[str, str, Callable[[Request], Response]], Route]


class Codes:
    """Codes that were given out and not used yet."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._outstanding: dict[str, int] = {}

    def issue(self) -> DashboardCode:
        self._forget_expired()
        while len(self._outstanding) >= CODES_MAX:
            del self._outstanding[next(iter(self._outstanding))]
        made = DashboardCode(code=new_secret(), expires_ms=self._now_ms() + CODE_MS)
        self._outstanding[made.code] = made.expires_ms
        return made

    def redeem(self, given: str) -> bool:
        """Whether it is one of them; it is used up then."""
        self._forget_expired()
        # Each is compared, so that the time tells nothing about which one was nearly right.
        found = [code for code in self._outstanding if hmac.compare_digest(code.encode(), given.encode())]
        for code in found:
            del self._outstanding[code]
        return bool(found)

    def _forget_expired(self) -> None:
        now_ms = self._now_ms()
        self._outstanding = {code: at for code, at in self._outstanding.items() if at > now_ms}


class Asset(Struct, frozen=True, kw_only=True):
    """One static file as it is sent."""

    content: bytes
    media_type: str
    etag: str


def dashboard_routes(token: str, guarded: Guarded, codes: Codes | None = None) -> tuple[Route, ...]:
    """The page, its parts, and its entrance."""
    known = codes or Codes(Clock().now_ms)

    async def page_or_entrance(request: Request) -> Response:
        return await _enter(request, token, known) if request.method == "POST" else await page(request)

    return (
        Route("/", page_or_entrance, methods=["GET", "POST"]),
        Route("/assets/{name}", asset, methods=["GET"]),
        guarded("/api/v1/dashboard-codes", "POST", lambda request: json_response(known.issue())),
    )


async def page(request: Request) -> Response:
    """The dashboard; it shows nothing before it has a token."""
    return _static(request, _PAGE)


async def asset(request: Request) -> Response:
    """A script or a style of it, by a name that is known."""
    return _static(request, request.path_params["name"])


@cache
def assets() -> dict[str, Asset]:
    """Every static file by its name."""
    return {path.name: _read(path) for path in sorted(ASSETS.iterdir()) if path.suffix in _MEDIA_TYPES}


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Asset(content=content, media_type=_MEDIA_TYPES[path.suffix], etag=etag)


def _static(request: Request, name: str) -> Response:
    found = assets().get(name)
    if found is None:
        return error_response(404, "not_found", f"GET {request.url.path}: the dashboard has no such part")
    # Asked for each time, and sent only when it is another one: after an upgrade nothing old is mixed in.
    headers = {**_secured("'self'"), "Cache-Control": "no-cache", "ETag": found.etag}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.content, headers=headers, media_type=found.media_type)


async def _enter(request: Request, token: str, codes: Codes) -> Response:
    """The token for a code. A page of a file has the origin `null`: here, and with a good code only, it may come in."""
    refused = foreign_origin(request.headers) if request.headers.get("origin") != "null" else None
    if refused is not None:
        return refused
    if not codes.redeem(await _given(request)):
        return HTMLResponse(_TURNED_AWAY, 401, {**_secured("'none'"), "Cache-Control": "no-store"})
    nonce = new_secret()
    data = msgspec.json.encode(token).decode().replace("<", "\\u003c")
    headers = {**_secured(f"'nonce-{nonce}'"), "Cache-Control": "no-store"}
    return HTMLResponse(_ENTRANCE.format(token=data, nonce=nonce), 200, headers)


async def _given(request: Request) -> str:
    """The form's code; empty for whatever is no such form."""
    content = bytearray()
    try:
        with anyio.fail_after(bodies.BODY_S):
            async for chunk in request.stream():
                content += chunk
                if len(content) > _FORM_BYTES_MAX:
                    return ""
        fields = parse_qs(content.decode("ascii"), max_num_fields=4)
    except (ClientDisconnect, TimeoutError, ValueError):
        return ""
    return fields.get("code", [""])[0]


def _secured(script: str) -> dict[str, str]:
    return {"Cross-Origin-Opener-Policy": "same-origin", "Content-Security-Policy": _CSP.format(script=script)}
