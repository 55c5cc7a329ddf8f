"""The state as an operator sees it."""

from __future__ import annotations

from typing import Literal

from opensymphony.model import ServerState, Snapshot, TicketView, Usage
from opensymphony.scheduler.eligibility import capacity_class, start_order, why_not_ours, why_not_yet
from opensymphony.scheduler.outcomes import OUTCOMES
from opensymphony.scheduler.state import Entry, State


def snapshot(
    state: State,
    *,
    sequence: int,
    at_ms: int,
    server: ServerState,
    status: Literal["starting", "running", "draining", "stopped"],
) -> Snapshot:
    """Every ticket in the order in which tickets start, with the reason for where it stands."""
    entries = sorted(state.entries.values(), key=lambda entry: start_order(entry.ticket))
    views = tuple(ticket_view(state, entry) for entry in entries)
    return Snapshot(
        sequence=sequence,
        at_ms=at_ms,
        instance=state.instance,
        status=status,
        server=server,
        tickets=views,
        usage=sum((view.usage for view in views), Usage()),
        polled_ms=state.polled_ms,
        poll_error=state.poll_error,
        poll_error_since_ms=state.poll_error_since_ms,
        policy_error=state.policy_error,
        problems=state.problems,
        max_concurrent_agents=state.policy.agent.max_concurrent_agents if state.policy else 0,
    )


def ticket_view(state: State, entry: Entry) -> TicketView:
    """One ticket with everything about it that is for people."""
    run, ticket = entry.run, entry.ticket
    workspace = entry.workspace
    return TicketView(
        id=ticket.id,
        identifier=ticket.identifier,
        title=ticket.title,
        state=ticket.state,
        phase="stopping" if run is not None and run.stage == "stopping" else entry.phase,
        stage=run.stage if run is not None else None,
        reason=explain(state, entry),
        since_ms=run.stage_ms if run is not None else entry.since_ms,
        due_ms=entry.due_ms,
        url=ticket.url,
        priority=ticket.priority,
        labels=ticket.labels,
        generation=entry.generation,
        attempts=entry.verifications + (run.verifications if run else 0),
        failures=entry.failures,
        turns=entry.turns + (run.turns if run else 0),
        branch=workspace.branch if workspace is not None else None,
        commit=entry.commit,
        verified=entry.verified,
        conversation_id=entry.conversation_id,
        workspace=workspace.path if workspace is not None else None,
        usage=entry.usage + run.usage if run else entry.usage,
        started_ms=entry.started_ms,
        ended_ms=entry.ended_ms,
        activity=run.activity if run else "",
        last_activity_ms=run.last_activity_ms if run else None,
        error=entry.reason or None if entry.phase in ("retrying", "needs_person") else None,
    )


def explain(state: State, entry: Entry) -> str:
    """One sentence: why the ticket is where it is."""
    policy, run = state.policy, entry.run
    if run is not None:
        if run.stopping is not None and run.stage == "stopping":
            return f"it is being stopped: {run.stopping.reason}"
        return entry.reason if run.ending is not None else f"run {run.generation} is {run.stage.replace('_', ' ')}"
    if entry.phase != "waiting_to_start":
        rule = OUTCOMES.get(entry.outcome) if entry.outcome else None
        woken = f"; woken by {rule.woken_by}" if rule is not None and entry.phase == "needs_person" else ""
        kept = f"; workspace kept: {entry.note}" if entry.note else ""
        said = entry.reason or (rule.headline.lower() if rule is not None else "")
        return f"{said}{woken}{kept}"
    if policy is None:
        return "no policy is in force yet"
    why = why_not_ours(entry.ticket, policy) or why_not_yet(entry.ticket, policy)
    if why:
        return why
    if state.server_error is not None:
        return (
            f"nothing starts, the agent-server was given up: {state.server_error}; restart the daemon when it is mended"
        )
    if state.draining:
        return "the daemon is stopping and starts nothing new"
    limit = policy.agent.max_concurrent_agents
    if len(state.running) >= limit:
        return f"it waits for a place: {len(state.running)} of {limit} agents are at work"
    name = capacity_class(entry.ticket, policy)
    if name:
        return f"it waits for a place: the limit for the state {name} is {policy.agent.max_concurrent_agents_by_state[name]}"
    return "it starts next"
