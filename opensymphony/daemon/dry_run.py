"""What a start would do now, without doing any of it: one look at the tracker, and the scheduler's own answers."""

from __future__ import annotations

from opensymphony import __version__
from opensymphony.clock import Clock
from opensymphony.daemon.model_access import host_secrets
from opensymphony.model import ServerState
from opensymphony.scheduler import events as e
from opensymphony.scheduler import step
from opensymphony.scheduler.state import State
from opensymphony.scheduler.view import snapshot
from opensymphony.services import open_tracker
from opensymphony.settings import Settings
from opensymphony.views import Snapshot
from opensymphony.workflow.policy import Policy


async def dry_run(policy: Policy, settings: Settings) -> Snapshot:
    """Tickets in phase `running` are those that would start; the others say why not. Nothing is written anywhere.

    Raises `ServiceError` when the tracker cannot be read.
    """
    clock = Clock()
    state = State()
    now_ms = clock.now_ms()
    tracker = open_tracker(policy.tracker, clock, host_secrets(settings))
    try:
        page = await tracker.fetch_candidates(policy.tracker.active_states)
    finally:
        await tracker.close()
    step(state, e.DaemonStarted(at_ms=now_ms, instance="dry-run", version=__version__))
    for ticket in page.tickets:
        step(state, e.TicketChanged(at_ms=now_ms, ticket=ticket))
    step(state, e.PolicyLoaded(at_ms=now_ms, policy=policy))
    for ticket in page.tickets:
        step(state, e.TicketChanged(at_ms=now_ms, ticket=ticket))
    step(state, e.PollCompleted(at_ms=now_ms, problems=page.problems))
    return snapshot(state, sequence=0, at_ms=now_ms, server=ServerState(status="stopped"), status="stopped")
