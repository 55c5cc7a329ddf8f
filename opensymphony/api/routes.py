"""The operator's HTTP interface: method and path to `Control`. Errors are `{"error": {"code", "message"}}`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from opensymphony import __version__
from opensymphony.api.access import error_response, refusal
from opensymphony.clock import iso
from opensymphony.views import Snapshot, TicketView


class Control(Protocol):
    """What the daemon offers to its doors; `daemon/control.py` is the implementation."""

    def snapshot(self) -> Snapshot: ...

    def refresh(self) -> str | None:
        """Look at the tracker now. Returns why that has to wait, when it has to."""
        ...


def build_app(control: Control, token: str) -> Starlette:
    """The ASGI application of the operator's listener."""

    def guarded(answer: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            return refusal(request, token) or answer(request)

        return endpoint

    def healthz(request: Request) -> Response:
        return _json({"status": "ok", "version": __version__})

    async def open_healthz(request: Request) -> Response:
        return healthz(request)

    def snapshot(request: Request) -> Response:
        return _json(control.snapshot())

    def state(request: Request) -> Response:
        return _json(symphony_state(control.snapshot()))

    def refresh(request: Request) -> Response:
        waits = control.refresh()
        return _json({"queued": True} if waits is None else {"queued": True, "waits": waits}, status=202)

    return Starlette(
        routes=[
            Route("/healthz", open_healthz, methods=["GET"]),
            Route("/api/v1/snapshot", guarded(snapshot), methods=["GET"]),
            Route("/api/v1/state", guarded(state), methods=["GET"]),
            Route("/api/v1/refresh", guarded(refresh), methods=["POST"]),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _defect},
    )


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "error")
    message = f"{request.method} {request.url.path}: {error.detail}"
    return error_response(error.status_code, code, message, error.headers)


async def _defect(request: Request, error: Exception) -> Response:
    """The server logs the error itself; who asked is told no more than that there was one."""
    return error_response(500, "internal_error", f"{request.method} {request.url.path}: see the daemon's log")


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")


def symphony_state(snapshot: Snapshot) -> dict[str, Any]:
    """Symphony's shape of the state, for programs written for it, with what we add beside it."""
    running = [_running(view) for view in snapshot.tickets if view.phase in ("running", "stopping")]
    retrying = [_retrying(view) for view in snapshot.tickets if view.phase == "retrying"]
    blocked = [_blocked(view) for view in snapshot.tickets if view.phase == "needs_person"]
    return {
        "generated_at": iso(snapshot.at_ms),
        "counts": {"running": len(running), "retrying": len(retrying), "blocked": len(blocked)},
        "running": running,
        "retrying": retrying,
        "blocked": blocked,
        "codex_totals": {
            "input_tokens": snapshot.usage.prompt_tokens,
            "output_tokens": snapshot.usage.completion_tokens,
            "total_tokens": snapshot.usage.total_tokens,
            "seconds_running": sum(_seconds(view, snapshot.at_ms) for view in snapshot.tickets),
        },
        "rate_limits": None,
        "status": snapshot.status,
        "sequence": snapshot.sequence,
        "agent_server": msgspec.to_builtins(snapshot.server),
        "poll_error": snapshot.poll_error,
        "poll_error_since": _at(snapshot.poll_error_since_ms),
        "next_poll_at": _at(snapshot.next_poll_ms),
        "policy_error": snapshot.policy_error,
        "policy_error_since": _at(snapshot.policy_error_since_ms),
        "problems": list(snapshot.problems),
    }


def _running(view: TicketView) -> dict[str, Any]:
    return {
        "issue_id": view.id,
        "issue_identifier": view.identifier,
        "issue_url": view.url,
        "state": view.state,
        "session_id": view.conversation_id,
        "turn_count": view.turns,
        "last_event": view.stage,
        "last_message": view.activity,
        "started_at": iso(view.started_ms) if view.started_ms is not None else None,
        "last_event_at": iso(view.last_activity_ms) if view.last_activity_ms is not None else None,
        "tokens": {
            "input_tokens": view.usage.prompt_tokens,
            "output_tokens": view.usage.completion_tokens,
            "total_tokens": view.usage.total_tokens,
        },
    }


def _retrying(view: TicketView) -> dict[str, Any]:
    return {
        "issue_id": view.id,
        "issue_identifier": view.identifier,
        "issue_url": view.url,
        "attempt": view.failures,
        "due_at": iso(view.due_ms) if view.due_ms is not None else None,
        "error": view.error,
    }


def _blocked(view: TicketView) -> dict[str, Any]:
    return {
        "issue_id": view.id,
        "issue_identifier": view.identifier,
        "issue_url": view.url,
        "state": view.state,
        "error": view.error,
        "since": iso(view.since_ms),
    }


def _at(at_ms: int | None) -> str | None:
    return iso(at_ms) if at_ms is not None else None


def _seconds(view: TicketView, now_ms: int) -> int:
    if view.started_ms is None:
        return 0
    return max(0, (view.ended_ms or now_ms) - view.started_ms) // 1000
