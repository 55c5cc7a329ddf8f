"""Webhooks over HTTP, for operators: what came, what became of it, and once more please."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from opensymphony.api.access import error_response
from opensymphony.api.answers import DeliveryDetail, Queued
from opensymphony.api.issues import json_response
from opensymphony.views import DeliveryList, DeliveryView, WebhookCounts

_NUMBERS_MAX = 2**53
_DIGITS_MAX = 16
"""Of the greatest; Python refuses to read a number of some thousand."""


class Inspection(Protocol):
    """What is asked about deliveries; `daemon/ingress.py` answers."""

    async def listed(self, *, before: int | None = None) -> DeliveryList: ...

    def counts(self) -> WebhookCounts: ...

    async def shown(self, number: int) -> tuple[DeliveryView, bytes] | None:
        """None for one that is not known."""
        ...

    async def replay(self, number: int) -> bool: ...


class Deliveries(Protocol):
    """Where deliveries are looked for."""

    @property
    def ingress(self) -> Inspection | None:
        """None where no webhooks are taken."""
        ...


Answer = Callable[[Request], Awaitable[Response]]


def delivery_routes(control: Deliveries) -> tuple[tuple[str, str, Answer], ...]:
    """Path, method and answer of each."""
    return (
        ("/api/v1/deliveries", "GET", lambda request: deliveries(control, request)),
        ("/api/v1/deliveries/{number}", "GET", lambda request: delivery(control, request)),
        ("/api/v1/deliveries/{number}/replay", "POST", lambda request: replay(control, request)),
    )


async def deliveries(control: Deliveries, request: Request) -> Response:
    """The newest first; `?before=` goes on behind a number."""
    if control.ingress is None:
        return _none_taken()
    before = request.query_params.get("before")
    if before is not None and _number(before) is None:
        return error_response(400, "bad_request", "before must be the number of a delivery")
    return json_response(await control.ingress.listed(before=_number(before or "")))


async def delivery(control: Deliveries, request: Request) -> Response:
    """One with its body: as JSON where it is that, else in base64."""
    number = _number(request.path_params["number"])
    if control.ingress is None:
        return _none_taken()
    found = await control.ingress.shown(number) if number is not None else None
    if found is None:
        return _unknown(request)
    view, body = found
    try:
        told: object = msgspec.Raw(msgspec.json.encode(msgspec.json.decode(body)))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        told = {"base64": base64.b64encode(body).decode()}
    return json_response(DeliveryDetail(delivery=view, body=told))


async def replay(control: Deliveries, request: Request) -> Response:
    """Let one be looked at once more."""
    number = _number(request.path_params["number"])
    if control.ingress is None:
        return _none_taken()
    if number is None or not await control.ingress.replay(number):
        return _unknown(request)
    return json_response(Queued(), status=202)


def _number(text: str) -> int | None:
    if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS_MAX:
        return None
    return int(text) if int(text) < _NUMBERS_MAX else None


def _unknown(request: Request) -> Response:
    return error_response(404, "delivery_not_found", f"there is no delivery {request.path_params['number']}")


def _none_taken() -> Response:
    return error_response(404, "no_webhooks", "no webhooks are taken: set public.port in opensymphony.toml")
