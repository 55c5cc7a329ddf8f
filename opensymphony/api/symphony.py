"""Symphony's shapes of our picture, for programs that were written for it; what we add stands beside."""

from __future__ import annotations

from typing import Any

import msgspec

from opensymphony.clock import iso
from opensymphony.views import Explanation, Snapshot, TicketView

_STATUS = {"running": "running", "stopping": "running", "retrying": "retrying", "needs_person": "blocked"}
"""Symphony's three words; it has none for our other phases, which stand as they are."""


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
        "paused": snapshot.paused,
        "paused_since": _iso(snapshot.paused_since_ms),
        "sequence": snapshot.sequence,
        "agent_server": msgspec.to_builtins(snapshot.server),
        "poll_error": snapshot.poll_error,
        "poll_error_since": _iso(snapshot.poll_error_since_ms),
        "next_poll_at": _iso(snapshot.next_poll_ms),
        "policy_error": snapshot.policy_error,
        "policy_error_since": _iso(snapshot.policy_error_since_ms),
        "storage_error": snapshot.storage_error,
        "problems": list(snapshot.problems),
    }


def symphony_detail(explained: Explanation) -> dict[str, Any]:
    """Symphony's shape of one ticket; it shows only what runs, is retried or is blocked, ours every ticket we know."""
    view = explained.ticket
    status = _STATUS.get(view.phase, view.phase)
    event = {"at": _iso(view.last_activity_ms), "event": view.stage, "message": view.activity}
    return {
        "issue_identifier": view.identifier,
        "issue_id": view.id,
        "issue_url": view.url,
        "status": status,
        "workspace": {"path": view.workspace, "host": None} if view.workspace is not None else None,
        "attempts": {"restart_count": max(0, view.generation - 1), "current_retry_attempt": view.failures},
        "running": _running(view) if status == "running" else None,
        "retry": _retrying(view) if status == "retrying" else None,
        "blocked": _blocked(view) if status == "blocked" else None,
        "logs": {"codex_session_logs": []},
        "recent_events": [event] if view.activity else [],
        "last_error": view.error,
        "tracked": {},
        "reason": explained.sentence,
        "since": _iso(explained.since_ms or None),
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
        "started_at": _iso(view.started_ms),
        "last_event_at": _iso(view.last_activity_ms),
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
        "due_at": _iso(view.due_ms),
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


def _seconds(view: TicketView, now_ms: int) -> int:
    if view.started_ms is None:
        return 0
    return max(0, (view.ended_ms or now_ms) - view.started_ms) // 1000


def _iso(at_ms: int | None) -> str | None:
    return iso(at_ms) if at_ms is not None else None
