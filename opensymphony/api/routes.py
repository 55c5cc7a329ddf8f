"""The operator's HTTP interface: method and path to `Control`. Errors are `{"error": {"code", "message"}}`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from msgspec import UNSET
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from opensymphony import __version__
from opensymphony.api.access import HEADERS, Shield, error_response, refusal
from opensymphony.api.actions import Actions, act_on_all, act_on_issue
from opensymphony.api.answers import Alive, Queued, Ready, Stopping
from opensymphony.api.bodies import ShutdownBody, Unusable, read_body
from opensymphony.api.dashboard import dashboard_routes
from opensymphony.api.deliveries import Deliveries, delivery_routes
from opensymphony.api.events import Feed, Watched, follow
from opensymphony.api.issues import issue, issues, json_response
from opensymphony.api.metrics import metrics
from opensymphony.api.past import Remembering, past_routes
from opensymphony.api.reference import reference_routes
from opensymphony.api.symphony import symphony_detail, symphony_state

RESERVED = (
    "state",
    "snapshot",
    "refresh",
    "issues",
    "events",
    "deliveries",
    "actions",
    "shutdown",
    "statistics",
    "dashboard-codes",
)
"""What `/api/v1/{identifier}` never takes for a ticket; `/api/v1/issues/{identifier}` takes every name."""


class _Identifier(StringConvertor):
    """A ticket's identifier, slashes (sent as `%2F`) and all, that is not one of our own words."""

    regex = rf"(?!(?:{'|'.join(RESERVED)})(?:/|$)).+"


register_url_convertor("identifier", _Identifier())


class Control(Remembering, Actions, Deliveries, Watched, Protocol):
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
    guarded = partial(_guarded, token)
    app = Starlette(
        routes=[
            *(Route(path, answer, methods=["GET"]) for path, answer in _signs_of_life(control)),
            *(Route(path, answer, methods=[method]) for path, method, answer in reference_routes()),
            *dashboard_routes(token, guarded),
            guarded("/metrics", "GET", lambda request: metrics(control)),
            guarded("/api/v1/events", "GET", lambda request: follow(feed, request)),
            *(guarded(path, method, answer) for path, method, answer in _of_everything(control)),
            guarded("/api/v1/issues", "GET", lambda request: issues(control, request)),
            *(guarded(path, method, answer) for path, method, answer in delivery_routes(control)),
            *(guarded(path, method, answer) for path, method, answer in past_routes(control)),
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
        middleware=[Middleware(Shield)],
        exception_handlers={HTTPException: _http_error, Exception: _defect},
    )
    app.router.redirect_slashes = False
    return app


def _signs_of_life(control: Control) -> tuple[tuple[str, Answer], ...]:
    """What needs no token."""

    async def healthz(request: Request) -> Response:
        return json_response(Alive(status="ok", version=__version__))

    async def readyz(request: Request) -> Response:
        reason = control.not_ready()
        return json_response(Ready(status="ready")) if reason is None else error_response(503, "not_ready", reason)

    return ("/healthz", healthz), ("/readyz", readyz)


def _of_everything(control: Control) -> tuple[tuple[str, str, Answer], ...]:
    """What is about the daemon as a whole."""

    def snapshot(request: Request) -> Response:
        return json_response(control.snapshot())

    def state(request: Request) -> Response:
        return json_response(symphony_state(control.snapshot()))

    def refresh(request: Request) -> Response:
        waits = control.refresh()
        return json_response(Queued(waits=waits if waits is not None else UNSET), status=202)

    async def shutdown(request: Request) -> Response:
        try:
            body = await read_body(request, ShutdownBody)
        except Unusable as unusable:
            return unusable.response
        control.shutdown(detach=body.detach)
        return json_response(Stopping(detached=body.detach), status=202)

    return (
        ("/api/v1/snapshot", "GET", snapshot),
        ("/api/v1/state", "GET", state),
        ("/api/v1/refresh", "POST", refresh),
        ("/api/v1/shutdown", "POST", shutdown),
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
    message = f"{request.method} {request.scope['path']}: {error.detail}"
    return error_response(error.status_code, code, message, error.headers)


async def _defect(request: Request, error: Exception) -> Response:
    """The server logs the error itself; who asked is told no more than that there was one."""
    said = f"{request.method} {request.scope['path']}: see the daemon's log"
    return error_response(500, "internal_error", said, HEADERS)  # the shield is inside what calls this
