"""The state as an operator sees it."""

from __future__ import annotations

from typing import Literal

from opensymphony.model import ServerState, TicketId, Usage
from opensymphony.scheduler.budget import lines
from opensymphony.scheduler.eligibility import start_order
from opensymphony.scheduler.explain import rules, sentence
from opensymphony.scheduler.overlaps import overlaps
from opensymphony.scheduler.state import Entry, State, pending_of, ready_ms
from opensymphony.views import AskView, BudgetView, Explanation, PullRequestView, Snapshot, TicketView


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
        paused=state.paused,
        paused_since_ms=state.paused_ms if state.paused else None,
        storage_error=state.storage_error,
        day=state.day,
        spent_day=state.spent_day,
        spent_project=state.spent_project,
        budgets=budget_views(state, None),
        overlaps=overlaps(state),
    )


def find_entry(state: State, identifier: str) -> Entry | None:
    """The ticket that a person means: by its exact identifier, else by its id, else by the one identifier that is the same
    without case."""
    by_id = state.entries.get(TicketId(identifier))
    if by_id is not None and by_id.ticket.identifier == identifier:
        return by_id
    exact = next((entry for entry in state.entries.values() if entry.ticket.identifier == identifier), None)
    if exact is not None or by_id is not None:
        return exact or by_id
    folded = identifier.casefold()
    near = [entry for entry in state.entries.values() if entry.ticket.identifier.casefold() == folded]
    return near[0] if len(near) == 1 else None


def budget_views(state: State, entry: Entry | None) -> tuple[BudgetView, ...]:
    """The limits that concern a ticket, or those of all tickets together."""
    if state.policy is None:
        return ()
    live = len(state.running)
    return tuple(
        BudgetView(
            scope=line.scope,
            unit=line.unit,
            limit=line.limit,
            spent=line.spent,
            reserved=line.call * (live if entry is None else 1),
        )
        for line in lines(state, state.policy, entry)
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
        reason=sentence(state, entry),
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
        conversation_reason=entry.rehydrated,
        rehydration=entry.rehydration,
        workspace=workspace.path if workspace is not None else None,
        usage=entry.usage + run.usage if run else entry.usage,
        started_ms=entry.started_ms,
        ended_ms=entry.ended_ms,
        activity=run.activity if run else "",
        last_activity_ms=run.last_activity_ms if run else None,
        error=entry.reason or None if entry.phase in ("retrying", "needs_person") else None,
        outcome=entry.outcome,
        asked=_asked(entry),
        paused=entry.paused,
        messages=len(entry.messages),
        pull_request=_pull_request(entry),
        ready_ms=ready_ms(entry),
    )


def _pull_request(entry: Entry) -> PullRequestView | None:
    pull = entry.pull
    if pull is None:
        return None
    return PullRequestView(
        id=pull.pull_request.id,
        url=pull.pull_request.url,
        state=pull.pull_request.state,
        rounds=pull.rounds,
        open_threads=len(pull.owed) + len(pull.answers),
        starts_ms=pull.wake_ms or None,
        unmerged=pull.unmerged if pull.pull_request.state == "open" else "",
    )


def _asked(entry: Entry) -> AskView | None:
    if entry.asked is None:
        return None
    return AskView(
        kind=entry.asked.kind,
        text=entry.asked.text,
        digest=entry.asked.digest,
        asked_ms=entry.asked_ms,
        expires_ms=entry.ask_expires_ms,
    )


def explanation(state: State, entry: Entry) -> Explanation:
    """All of it: the sentence, every rule, what is being done right now, and how the last runs ended."""
    pending = tuple(command.key for command in pending_of(state, entry.ticket.id))
    found = tuple(rules(state, entry))
    broken = next((rule for rule in found if not rule.holds), None)
    since_ms = entry.run.stage_ms if entry.run is not None else entry.since_ms
    if entry.run is None and entry.phase == "waiting_to_start" and broken is not None and broken.since_ms:
        since_ms = broken.since_ms
    return Explanation(
        ticket=ticket_view(state, entry),
        sentence=sentence(state, entry),
        since_ms=since_ms,
        rules=found,
        budgets=budget_views(state, entry),
        pending=pending,
        history=entry.history,
    )
