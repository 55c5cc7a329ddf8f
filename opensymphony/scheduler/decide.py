"""What follows from an event.

Rules, in the order in which they matter:

1. A ticket has at most one run, and a run at most one stage command in flight. An outcome whose key is not pending is late
   and changes nothing; one that is pending but no longer the stage's is settled and otherwise ignored.
2. The tracker owns the work: a ticket that stops being ours stops its run, through the stop protocol and nothing else.
3. A run that was begun always ends through its last stages (`endings.py`): `after_run`, transition, comment, release.
4. What waits for a person is woken by a person: a change of the ticket, or `retry`; never by a poll or a timer.
5. Draining starts nothing; what it stops goes on at the next start and counts as no failure.

Nothing here reads a clock, draws a number or changes the state. The stages of a run are in `stages.py`.
"""

from __future__ import annotations

from msgspec import structs

from opensymphony.model import Claim, Ticket, TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.eligibility import is_terminal, resting_mark, why_not_ours
from opensymphony.scheduler.endings import begin_stop, close_ticket
from opensymphony.scheduler.heaps import in_order
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.stages import HEARTBEAT_MS, command_failed, settle
from opensymphony.scheduler.state import Entry, State, is_live_timer

GONE = "(gone)"
"""Stands for the state of a ticket that the tracker does not show any more."""

_POLL_NOTE_MS = 60_000


def decide(state: State, event: e.Event) -> tuple[d.Decision, ...]:
    """The decisions that follow, in order. Raises `TypeError` for an event that this release does not know."""
    match event:
        case e.DaemonStarted():
            return (d.BootNoted(at_ms=event.at_ms, instance=event.instance),)
        case e.PolicyLoaded():
            return _policy_loaded(state, event)
        case e.PolicyRejected():
            return (d.PolicyErrorNoted(error=event.error),) if event.error != state.policy_error else ()
        case e.TicketChanged():
            read_ms = event.at_ms if event.read_ms is None else event.read_ms
            return _ticket_changed(state, event.ticket, event.at_ms, read_ms)
        case e.TicketVanished():
            return _ticket_vanished(state, event)
        case e.PollCompleted():
            return _poll_completed(state, event)
        case e.PollFailed():
            return (d.PollNoted(at_ms=event.at_ms, error=event.error),) if event.error != state.poll_error else ()
        case e.TimePassed():
            return _time_passed(state, event)
        case e.ShutdownRequested():
            return _shutdown_requested(state, event.at_ms)
        case e.OperatorAsked():
            return _operator_asked(state, event)
        case e.TurnProgressed():
            return _turn_progressed(state, event)
        case e.CommandOutcome():
            return _command_outcome(state, event)
    raise TypeError(f"the scheduler does not know the event {type(event).__name__}")


def _policy_loaded(state: State, event: e.PolicyLoaded) -> tuple[d.Decision, ...]:
    if event.policy == state.policy and state.policy_error is None:
        return ()
    decisions: list[d.Decision] = []
    for ticket_id in state.running:
        entry = state.entries[ticket_id]
        why = why_not_ours(entry.ticket, event.policy)
        if why and entry.run is not None and entry.run.ending is None and entry.run.stopping is None:
            plan = Plan(state, entry, event.at_ms)
            begin_stop(plan, "cancelled", why, clean=is_terminal(entry.ticket, event.policy.tracker))
            decisions.extend(plan.decisions)
    return (*decisions, d.PolicyAdopted(policy=event.policy))


def _ticket_changed(state: State, ticket: Ticket, at_ms: int, read_ms: int) -> tuple[d.Decision, ...]:
    entry = state.entries.get(ticket.id)
    policy = state.policy
    tracked = d.TicketTracked(at_ms=read_ms, ticket=ticket)
    if policy is None or (entry is not None and (entry.ticket == ticket or read_ms < entry.read_ms)):
        return ()
    if entry is None:
        return (tracked,) if not is_terminal(ticket, policy.tracker) else ()
    why = why_not_ours(ticket, policy)
    plan = Plan(state, entry, at_ms)
    plan.add(tracked)
    if entry.run is not None:
        if why and entry.run.ending is None and entry.run.stopping is None:
            begin_stop(plan, "cancelled", why, clean=is_terminal(ticket, policy.tracker))
    elif is_terminal(ticket, policy.tracker):
        if entry.phase != "closed" or entry.workspace is not None:
            close_ticket(plan, ticket, why or "it is closed")
    elif why is None and _wakes(entry, ticket):
        plan.add(d.TicketWoken(at_ms=at_ms, ticket_id=ticket.id))
    elif why is not None and _wakes(entry, ticket):
        plan.add(d.MarkTaken(ticket_id=ticket.id))  # moved away: moving it back is a change again
    elif why is not None and entry.phase == "retrying":
        plan.add(d.TicketWoken(at_ms=at_ms, ticket_id=ticket.id, keep_failures=True))
    return tuple(plan.decisions)


def _wakes(entry: Entry, ticket: Ticket) -> bool:
    return entry.resting_mark is not None and entry.resting_mark != resting_mark(ticket)


def _ticket_vanished(state: State, event: e.TicketVanished) -> tuple[d.Decision, ...]:
    entry = state.entries.get(event.ticket_id)
    if entry is None or state.policy is None:
        return ()
    if entry.ticket.state == GONE:
        return ()
    plan = Plan(state, entry, event.at_ms)
    reason = "it is gone from the tracker"
    # Whatever it looks like when it comes back, it looks different.
    gone = structs.replace(entry.ticket, state=GONE)
    plan.add(d.TicketTracked(at_ms=event.at_ms, ticket=gone))
    if entry.run is not None:
        if entry.run.ending is None and entry.run.stopping is None:
            begin_stop(plan, "cancelled", reason)
    elif entry.workspace is None:
        plan.add(d.TicketForgotten(ticket_id=event.ticket_id))
    else:
        plan.add(d.TicketClosed(at_ms=event.at_ms, ticket_id=event.ticket_id, reason=reason))
    return tuple(plan.decisions)


def _poll_completed(state: State, event: e.PollCompleted) -> tuple[d.Decision, ...]:
    fresh = state.polled_ms is not None and event.at_ms - state.polled_ms < _POLL_NOTE_MS
    if fresh and state.poll_error is None and state.problems == event.problems:
        return ()
    return (d.PollNoted(at_ms=event.at_ms, problems=event.problems),)


def _time_passed(state: State, event: e.TimePassed) -> tuple[d.Decision, ...]:
    decisions: list[d.Decision] = []
    for item in in_order(state.timers):
        due_ms, _, kind, ticket_id, _ = item
        if due_ms > event.at_ms:
            break
        if is_live_timer(state, item):
            decisions.extend(_timer_fired(state, kind, state.entries[TicketId(ticket_id)], event.at_ms))
    if decisions or (state.timers and state.timers[0][0] <= event.at_ms):
        # Taken first: a timer set again by what follows must outlive this.
        return (d.TimersTaken(until_ms=event.at_ms), *decisions)
    return ()


def _timer_fired(state: State, kind: str, entry: Entry, at_ms: int) -> list[d.Decision]:
    plan = Plan(state, entry, at_ms)
    if kind == "retry":
        plan.add(d.TicketWoken(at_ms=at_ms, ticket_id=entry.ticket.id, keep_failures=True))
    elif kind == "stage_retry":
        _retry_stage(plan)
    elif kind == "clean" and entry.workspace is not None:
        plan.issue(c.CleanWorkspace, workspace=entry.workspace)
    elif kind == "heartbeat" and entry.claim is not None and plan.run.ending is None:
        claim = Claim(instance=state.instance, generation=entry.generation, heartbeat_ms=at_ms)
        plan.issue(c.ClaimTicket, claim=claim, stale_after_ms=3 * HEARTBEAT_MS)
        plan.add(_timer(entry, "heartbeat", at_ms + HEARTBEAT_MS))
    elif kind == "stall":
        _check_stall(plan)
    return plan.decisions


def _timer(entry: Entry, kind: d.TimerKind, due_ms: int) -> d.TimerSet:
    return d.TimerSet(kind=kind, ticket_id=entry.ticket.id, generation=entry.generation, due_ms=due_ms)


def _retry_stage(plan: Plan) -> None:
    run = plan.run
    if run.key is not None or run.command is None:
        return
    command = run.command
    fields = {name: getattr(command, name) for name in command.__struct_fields__}
    for own in ("key", "ticket_id", "generation"):
        del fields[own]
    plan.enter(run.stage, type(command), **fields)


def _check_stall(plan: Plan) -> None:
    run, agent = plan.run, plan.policy.agent
    if run.stage != "working" or run.ending is not None or run.stopping is not None:
        return
    limit_ms = agent.tool_timeout_ms if run.tool_open else agent.stall_timeout_ms
    if limit_ms <= 0:
        return
    silent_ms = plan.at_ms - run.last_activity_ms
    if silent_ms < limit_ms:
        plan.add(_timer(plan.entry, "stall", run.last_activity_ms + limit_ms))
        return
    what = "a tool call was open" if run.tool_open else "no tool call was open"
    begin_stop(plan, "stalled", f"nothing was heard from the agent for {silent_ms // 1000} s while {what}")


def _shutdown_requested(state: State, at_ms: int) -> tuple[d.Decision, ...]:
    if state.draining:
        return ()
    decisions: list[d.Decision] = [d.DrainBegun()]
    for ticket_id in state.running:
        entry = state.entries[ticket_id]
        run = entry.run
        if run is not None and run.ending is None and run.stopping is None:
            plan = Plan(state, entry, at_ms)
            begin_stop(plan, "interrupted", "the daemon was stopped; it goes on at the next start")
            decisions.extend(plan.decisions)
    return tuple(decisions)


def _operator_asked(state: State, event: e.OperatorAsked) -> tuple[d.Decision, ...]:
    entry = state.entries.get(event.ticket_id)
    if entry is None or state.policy is None:
        return ()
    plan = Plan(state, entry, event.at_ms)
    if event.action == "stop":
        if entry.run is not None and entry.run.ending is None and entry.run.stopping is None:
            begin_stop(plan, "needs_input", "an operator stopped it")
        elif entry.run is None and entry.phase in ("retrying", "waiting_to_start"):
            reason = "an operator stopped it"
            plan.add(d.TicketParked(at_ms=event.at_ms, ticket_id=event.ticket_id, reason=reason))
    elif entry.run is None and entry.phase in ("retrying", "needs_person", "in_review"):
        plan.add(d.TicketWoken(at_ms=event.at_ms, ticket_id=event.ticket_id))
    return tuple(plan.decisions)


def _turn_progressed(state: State, event: e.TurnProgressed) -> tuple[d.Decision, ...]:
    entry = state.entries.get(event.ticket_id)
    if entry is None or entry.run is None or entry.generation != event.generation:
        return ()
    if entry.run.stage != "working":
        return ()
    progress = event.progress
    noted = (
        d.ProgressNoted(
            at_ms=event.at_ms,
            ticket_id=event.ticket_id,
            status=progress.status,
            tool_open=progress.tool_open,
            summary=progress.summary,
            usage=progress.usage,
        ),
    )
    stall_ms = state.policy.agent.stall_timeout_ms if state.policy is not None else 0
    if entry.run.tool_open and not progress.tool_open and stall_ms > 0:
        # The longer limit of an open tool call has ended with it.
        return (*noted, _timer(entry, "stall", event.at_ms + stall_ms))
    return noted


def _command_outcome(state: State, event: e.CommandOutcome) -> tuple[d.Decision, ...]:
    command = state.pending.get(event.key)
    if command is None:
        return ()
    settled = d.CommandSettled(key=event.key)
    entry = state.entries.get(command.ticket_id)
    if entry is None or state.policy is None:
        return (settled,)
    plan = Plan(state, entry, event.at_ms, jitter=event.jitter)
    plan.add(settled)
    if isinstance(event, e.CommandFailed) and event.error_class == "server" and state.server_error is None:
        plan.add(d.ServerGivenUp(error=event.error))
    if isinstance(event, e.CommandFailed):
        command_failed(plan, command, event)
    else:
        settle(plan, command, event)
    return tuple(plan.decisions)
