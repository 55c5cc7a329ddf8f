"""Symphony's shapes of our picture, for programs that were written for it; what we add stands beside."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from opensymphony.clock import iso
from opensymphony.model import ServerState
from opensymphony.views import Explanation, Snapshot, TicketView

_STATUS = {"running": "running", "stopping": "running", "retrying": "retrying", "needs_person": "blocked"}
"""Symphony's three words; it has none for our other phases, which stand as they are."""


class Tokens(Struct, frozen=True, kw_only=True):
    """Tokens of one ticket."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class Totals(Struct, frozen=True, kw_only=True):
    """Tokens and time of all tickets that are known."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    seconds_running: int


class Counts(Struct, frozen=True, kw_only=True):
    """How many tickets are in each of Symphony's states."""

    running: int
    retrying: int
    blocked: int


class RunningIssue(Struct, frozen=True, kw_only=True):
    """A ticket that is worked on."""

    issue_id: str
    issue_identifier: str
    issue_url: str | None
    state: str
    """The tracker's."""
    session_id: str | None
    turn_count: int
    last_event: str | None
    last_message: str
    started_at: str | None
    last_event_at: str | None
    tokens: Tokens


class RetryingIssue(Struct, frozen=True, kw_only=True):
    """A ticket that is tried again later."""

    issue_id: str
    issue_identifier: str
    issue_url: str | None
    attempt: int
    due_at: str | None
    error: str | None


class BlockedIssue(Struct, frozen=True, kw_only=True):
    """A ticket that waits for a person."""

    issue_id: str
    issue_identifier: str
    issue_url: str | None
    state: str
    """The tracker's."""
    error: str | None
    since: str


class SymphonyState(Struct, frozen=True, kw_only=True):
    """Symphony's shape of the state; what is ours stands from `status` on."""

    generated_at: str
    counts: Counts
    running: tuple[RunningIssue, ...]
    retrying: tuple[RetryingIssue, ...]
    blocked: tuple[BlockedIssue, ...]
    codex_totals: Totals
    rate_limits: None = None
    """Nothing that an agent-server tells."""
    status: str
    paused: bool
    paused_since: str | None
    sequence: int
    agent_server: ServerState
    poll_error: str | None
    poll_error_since: str | None
    next_poll_at: str | None
    policy_error: str | None
    policy_error_since: str | None
    storage_error: str | None
    problems: tuple[str, ...]
    """Tickets that could not be read, one line each."""


class WorkspacePlace(Struct, frozen=True, kw_only=True):
    """Where a ticket is worked on."""

    path: str
    host: None = None
    """Always this machine."""


class Attempts(Struct, frozen=True, kw_only=True):
    """How often a ticket was begun."""

    restart_count: int
    current_retry_attempt: int


class SessionLogs(Struct, frozen=True, kw_only=True):
    """Files of Codex; there are none."""

    codex_session_logs: tuple[str, ...] = ()


class RecentEvent(Struct, frozen=True, kw_only=True):
    """What happened last."""

    at: str | None
    event: str | None
    message: str


class SymphonyIssue(Struct, frozen=True, kw_only=True):
    """Symphony's shape of one ticket; `reason` and `since` are ours."""

    issue_identifier: str
    issue_id: str
    issue_url: str | None
    status: str
    """`running`, `retrying`, `blocked`, or a phase of ours that Symphony has no word for."""
    workspace: WorkspacePlace | None
    attempts: Attempts
    running: RunningIssue | None
    retry: RetryingIssue | None
    blocked: BlockedIssue | None
    logs: SessionLogs = SessionLogs()
    recent_events: tuple[RecentEvent, ...]
    last_error: str | None
    tracked: dict[str, Any] = field(default_factory=dict[str, Any])
    """Always empty."""
    reason: str
    since: str | None


def symphony_state(snapshot: Snapshot) -> SymphonyState:
    """Symphony's shape of the state, for programs written for it, with what we add beside it."""
    running = tuple(_running(view) for view in snapshot.tickets if view.phase in ("running", "stopping"))
    retrying = tuple(_retrying(view) for view in snapshot.tickets if view.phase == "retrying")
    blocked = tuple(_blocked(view) for view in snapshot.tickets if view.phase == "needs_person")
    return SymphonyState(
        generated_at=iso(snapshot.at_ms),
        counts=Counts(running=len(running), retrying=len(retrying), blocked=len(blocked)),
        running=running,
        retrying=retrying,
        blocked=blocked,
        codex_totals=Totals(
            input_tokens=snapshot.usage.prompt_tokens,
            output_tokens=snapshot.usage.completion_tokens,
            total_tokens=snapshot.usage.total_tokens,
            seconds_running=sum(_seconds(view, snapshot.at_ms) for view in snapshot.tickets),
        ),
        status=snapshot.status,
        paused=snapshot.paused,
        paused_since=_iso(snapshot.paused_since_ms),
        sequence=snapshot.sequence,
        agent_server=snapshot.server,
        poll_error=snapshot.poll_error,
        poll_error_since=_iso(snapshot.poll_error_since_ms),
        next_poll_at=_iso(snapshot.next_poll_ms),
        policy_error=snapshot.policy_error,
        policy_error_since=_iso(snapshot.policy_error_since_ms),
        storage_error=snapshot.storage_error,
        problems=snapshot.problems,
    )


def symphony_detail(explained: Explanation) -> SymphonyIssue:
    """Symphony's shape of one ticket; it shows only what runs, is retried or is blocked, ours every ticket we know."""
    view = explained.ticket
    status = _STATUS.get(view.phase, view.phase)
    event = RecentEvent(at=_iso(view.last_activity_ms), event=view.stage, message=view.activity)
    return SymphonyIssue(
        issue_identifier=view.identifier,
        issue_id=view.id,
        issue_url=view.url,
        status=status,
        workspace=WorkspacePlace(path=view.workspace) if view.workspace is not None else None,
        attempts=Attempts(restart_count=max(0, view.generation - 1), current_retry_attempt=view.failures),
        running=_running(view) if status == "running" else None,
        retry=_retrying(view) if status == "retrying" else None,
        blocked=_blocked(view) if status == "blocked" else None,
        recent_events=(event,) if view.activity else (),
        last_error=view.error,
        reason=explained.sentence,
        since=_iso(explained.since_ms or None),
    )


def _running(view: TicketView) -> RunningIssue:
    return RunningIssue(
        issue_id=view.id,
        issue_identifier=view.identifier,
        issue_url=view.url,
        state=view.state,
        session_id=view.conversation_id,
        turn_count=view.turns,
        last_event=view.stage,
        last_message=view.activity,
        started_at=_iso(view.started_ms),
        last_event_at=_iso(view.last_activity_ms),
        tokens=Tokens(
            input_tokens=view.usage.prompt_tokens,
            output_tokens=view.usage.completion_tokens,
            total_tokens=view.usage.total_tokens,
        ),
    )


def _retrying(view: TicketView) -> RetryingIssue:
    return RetryingIssue(
        issue_id=view.id,
        issue_identifier=view.identifier,
        issue_url=view.url,
        attempt=view.failures,
        due_at=_iso(view.due_ms),
        error=view.error,
    )


def _blocked(view: TicketView) -> BlockedIssue:
    return BlockedIssue(
        issue_id=view.id,
        issue_identifier=view.identifier,
        issue_url=view.url,
        state=view.state,
        error=view.error,
        since=iso(view.since_ms),
    )


def _seconds(view: TicketView, now_ms: int) -> int:
    if view.started_ms is None:
        return 0
    return max(0, (view.ended_ms or now_ms) - view.started_ms) // 1000


def _iso(at_ms: int | None) -> str | None:
    return iso(at_ms) if at_ms is not None else None
