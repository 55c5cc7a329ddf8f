"""The operator's HTTP interface: method and path to `Control`. Errors are `{"error": {"code", "message"}}`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from opensymphony import __version__
from opensymphony.api.access import error_response, refusal
from opensymphony.api.actions import Actions, act_on_all, act_on_issue
from opensymphony.api.bodies import ShutdownBody, Unusable, read_body
from opensymphony.api.dashboard import dashboard_routes
from opensymphony.api.deliveries import Deliveries, delivery_routes
from opensymphony.api.events import Feed, Watched, follow
from opensymphony.api.issues import Issues, issue, issues, json_response
from opensymphony.api.metrics import metrics
from opensymphony.api.symphony import symphony_detail, symphony_state

RESERVED = ("state", "snapshot", "refresh", "issues", "events", "deliveries", "actions", "shutdown", "dashboard-codes")
"""What `/api/v1/{identifier}` never takes for a ticket; `/api/v1/issues/{identifier}` takes every name."""


class _Identifier(StringConvertor):
    """A ticket's identifier, slashes (sent as `%2F`) and all, that is not one of our own words."""

    regex = rf"(?!(?:{'|'.join(RESERVED)})(?:/|$)).+"


register_url_convertor("identifier", _Identifier())


class Control(Issues, Actions, Deliveries, Watched, Protocol):
    """What the daemon offers to its doors; `daemon/control.py` is the implementation."""

    def not_ready(self) -> str | None:
        """Why no new work can be begun; None when it can."""
        ...

    def refresh(self) -> str | None:
        """Look at the tracker now. Returns why that has to wait, when it has to."""
        ...

    def shutdown(self, *, detach: bool = False) -> None:
        """Stop in good order, or with `detach` leave the agents at work; returns at once."""
        ...


Answer = Callable[[Request], Response | Awaitable[Response]]


def build_app(control: Control, token: str, feed: Feed | None = None) -> Starlette:
    """The ASGI application of the operator's listener. Whoever serves it closes the feed before it ends."""
    feed = feed or Feed(control)

    async def healthz(request: Request) -> Response:
        return json_response({"status": "ok", "version": __version__})

    async def readyz(request: Request) -> Response:
        reason = control.not_ready()
        return json_response({"status": "ready"}) if reason is None else error_response(503, "not_ready", reason)

    def snapshot(request: Request) -> Response:
        return json_response(control.snapshot())

    def state(request: Request) -> Response:
        return json_response(symphony_state(control.snapshot()))

    def refresh(request: Request) -> Response:
        waits = control.refresh()
        return json_response({"queued": True} if waits is None else {"queued": True, "waits": waits}, status=202)

    async def shutdown(request: Request) -> Response:
        try:
            body = await read_body(request, ShutdownBody)
        except Unusable as unusable:
            return unusable.response
        control.shutdown(detach=body.detach)
        return json_response({"stopping": True, "detached": body.detach}, status=202)

    guarded = partial(_guarded, token)
    return Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            *dashboard_routes(token, guarded),
            guarded("/metrics", "GET", lambda request: metrics(control)),
            guarded("/api/v1/snapshot", "GET", snapshot),
            guarded("/api/v1/events", "GET", lambda request: follow(feed, request)),
            guarded("/api/v1/state", "GET", state),
            guarded("/api/v1/refresh", "POST", refresh),
            guarded("/api/v1/shutdown", "POST", shutdown),
            guarded("/api/v1/issues", "GET", lambda request: issues(control, request)),
            *(guarded(path, method, answer) for path, method, answer in delivery_routes(control)),
            guarded("/api/v1/actions/{action}", "POST", lambda request: act_on_all(control, request)),
            guarded(
                "/api/v1/issues/{identifier:path}/actions/{action}",
                "POST",
                lambda request: act_on_issue(control, request),
            ),
            guarded(
                "/api/v1/issues/{identifier:path}", "GET", lambda request: issue(control, request, lambda one: one)
            ),
            guarded("/api/v1/{identifier:identifier}", "GET", lambda request: issue(control, request, symphony_detail)),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _defect},
    )


def _guarded(token: str, path: str, method: str, answer: Answer) -> Route:
    """A path for who has the token, and comes from here."""

    async def endpoint(request: Request) -> Response:
        refused = refusal(request, token)
        if refused is not None:
            return refused
        answered = answer(request)
        return answered if isinstance(answered, Response) else await answered

    return Route(path, endpoint, methods=[method])


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "error")
    message = f"{request.method} {request.url.path}: {error.detail}"
    return error_response(error.status_code, code, message, error.headers)


async def _defect(request: Request, error: Exception) -> Response:
    """The server logs the error itself; who asked is told no more than that there was one."""
    return error_response(500, "internal_error", f"{request.method} {request.url.path}: see the daemon's log")
