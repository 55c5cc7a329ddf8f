"""The listener that others may reach: `POST /webhook/{service}` and nothing else.

A body is bounded, read whole before anything is believed, and acknowledged when it is durable. Who cannot sign is told no more
than that; nothing here says what the daemon does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Protocol

import anyio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from opensymphony.api.access import error_response
from opensymphony.api.issues import json_response
from opensymphony.logs import get_logger

BODY_BYTES_MAX = 5 * 1024 * 1024
"""Events about an issue have some hundred thousand at most; Jira drops its own above 25 million."""
UNVERIFIED_MAX = 32
"""Bodies that are being read before anybody knows whose they are; together at most 160 MiB."""
_BODY_S = 20

log = get_logger(__name__)


class Turned(Exception):
    """Raised for a call that is not taken."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(message)


class Ingress(Protocol):
    """What becomes of the calls; `daemon/ingress.py` is the implementation."""

    def knows(self, service: str) -> bool:
        """Whether calls of this service are taken at all."""
        ...

    def turned(self, reason: str) -> None:
        """One more was turned away for this reason."""
        ...

    async def receive(self, service: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Check it and write it down durably; whether it is new. Raises `Turned`."""
        ...


def build_public_app(ingress: Ingress, sources: Sequence[str] = ()) -> Starlette:
    """The ASGI application. Only addresses in one of `sources` are listened to, where there are any."""
    networks = [ipaddress.ip_network(one) for one in sources]
    reading = anyio.Semaphore(UNVERIFIED_MAX)

    async def webhook(request: Request) -> Response:
        try:
            _check_source(request, networks)
            service = request.path_params["service"]
            if not ingress.knows(service):
                raise Turned(404, "not_found", "there is no such webhook")
            if reading.value == 0:
                raise Turned(503, "busy", "too many calls at once: try again")
            async with reading:
                body = await _body(request)
            new = await ingress.receive(service, {key.lower(): value for key, value in request.headers.items()}, body)
        except Turned as turned:
            ingress.turned(turned.code)
            headers = {"Retry-After": "5"} if turned.status == 503 else None
            return error_response(turned.status, turned.code, turned.message, headers)
        return json_response({"accepted": True, "new": new})

    app = Starlette(
        routes=[Route("/webhook/{service}", webhook, methods=["POST"])],
        exception_handlers={404: _nothing, 405: _nothing, Exception: _defect},
    )
    app.router.redirect_slashes = False
    return app


def _check_source(request: Request, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
    if not networks:
        return
    try:
        address = ipaddress.ip_address(request.client.host if request.client is not None else "")
    except ValueError:
        address = None
    if address is None or not any(address in network for network in networks):
        raise Turned(403, "source", "calls are not taken from there")


async def _body(request: Request) -> bytes:
    """The raw bytes, as they were signed."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > BODY_BYTES_MAX:
        raise Turned(413, "too_large", f"the body has more than {BODY_BYTES_MAX:,} bytes")
    body = bytearray()
    try:
        with anyio.fail_after(_BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > BODY_BYTES_MAX:
                    raise Turned(413, "too_large", f"the body has more than {BODY_BYTES_MAX:,} bytes")
    except TimeoutError as error:
        raise Turned(408, "too_slow", "the body did not arrive in time") from error
    except ClientDisconnect as error:
        raise Turned(400, "truncated", "the body did not arrive whole") from error
    if declared.isdecimal() and int(declared) != len(body):
        raise Turned(400, "truncated", "the body did not arrive whole")
    return bytes(body)


async def _nothing(request: Request, error: Exception) -> Response:
    return error_response(404, "not_found", "there is nothing here")


async def _defect(request: Request, error: Exception) -> Response:
    return error_response(500, "internal_error", "see the daemon's log")
