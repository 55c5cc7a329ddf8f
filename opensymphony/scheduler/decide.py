"""What follows from an event.

Rules, in the order in which they matter:

1. A ticket has at most one run, and a run at most one stage command in flight. An outcome whose key is not pending is late
   and changes nothing; one that is pending but no longer the stage's is settled and otherwise ignored.
2. The tracker owns the work: a ticket that stops being ours stops its run, through the stop protocol and nothing else.
3. A run that was begun always ends through its last stages (`endings.py`): `after_run`, transition, comment, release.
4. What waits for a person is woken by a person (a change of the ticket, `retry`, `message`), or, if its budget was used up,
   by a new day or a raised limit; never by a poll or a timer.
5. A pause starts nothing and outlives a restart. Draining starts nothing; what it stops goes on at the next start and counts
   as no failure.

Nothing here reads a clock, draws a number or changes the state. The stages of a run are in `stages.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from opensymphony.model import Ticket, TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.asks import expire
from opensymphony.scheduler.breakers import check_stall, check_wall, turn_progressed
from opensymphony.scheduler.budget import call_ceiling, was_raised
from opensymphony.scheduler.claims import ask_again, let_go, ran_out, renew
from opensymphony.scheduler.comments import ticket_commented
from opensymphony.scheduler.eligibility import GONE, as_gone, is_terminal, resting_mark, why_not_ours
from opensymphony.scheduler.endings import (
    IS_GONE,
    begin_stop,
    close_ticket,
    is_stoppable,
    lose_ticket,
    settle_closed,
    wake,
)
from opensymphony.scheduler.failed_commands import command_failed
from opensymphony.scheduler.heaps import in_order
from opensymphony.scheduler.machine import OUTCOME_OF, IllegalEvent
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.requests import operator_asked
from opensymphony.scheduler.reviews import begin_round, pull_request_observed
from opensymphony.scheduler.stages import settle
from opensymphony.scheduler.state import Entry, State, is_live_timer, pending_of
from opensymphony.scheduler.status_comment import all_deferred, say_deferred
from opensymphony.workflow.policy import Policy

_POLL_NOTE_MS = 60_000
_ONE_IS_ENOUGH = ("retry", "clean", "move", "settle", "comment", "review")
"""Timers of which a second one at the same moment has nothing more to say."""
_FORGET_MS = 30 * 86_400_000
"""After it was closed. One that is opened again later is new, except that its runs go on being counted."""


def decide(state: State, event: e.Event) -> tuple[d.Decision, ...]:
    """The decisions that follow, in order. Raises `IllegalEvent` for an event that the state cannot take."""
    if isinstance(event, e.CommandOutcome):
        return _command_outcome(state, event)
    handler = _HANDLERS.get(type(event))
    if handler is None:
        raise IllegalEvent(f"the scheduler does not know the event {type(event).__name__}")
    return handler(state, event)


def _daemon_started(state: State, event: e.DaemonStarted) -> tuple[d.Decision, ...]:
    """What was in flight when the last boot ended may be billed although nobody told us: it counts as what it can be.

    What we held too long ago to hold it still is let go: another daemon may have it.
    """
    decisions: list[d.Decision] = [d.BootNoted(at_ms=event.at_ms, instance=event.instance)]
    if state.policy is not None:
        ceiling = call_ceiling(state.policy)
        for ticket_id in state.running:
            run = state.entries[ticket_id].run
            if run is not None and run.calling and run.ending is None:
                last = ran_out(state.entries[ticket_id], event.at_ms) or run.stopping is not None
                decisions.append(d.InFlightCounted(ticket_id=ticket_id, usage=ceiling, last=last))
            if ran_out(state.entries[ticket_id], event.at_ms):
                plan = Plan(state, state.entries[ticket_id], event.at_ms)
                let_go(plan)
                decisions.extend(plan.decisions)
    return tuple(decisions)


def _day_began(state: State, event: e.DayBegan) -> tuple[d.Decision, ...]:
    if event.day == state.day:
        return ()
    woken = (
        d.TicketWoken(at_ms=event.at_ms, ticket_id=ticket_id, keep_failures=True)
        for ticket_id, entry in state.entries.items()
        if entry.phase == "needs_person" and entry.scope == "day"
    )
    return (
        d.DayTurned(day=event.day, before=state.day, spent=state.spent_day),
        *woken,
        *_long_closed(state, event.at_ms),
    )


def _long_closed(state: State, at_ms: int) -> Iterator[d.TicketForgotten]:
    """Tickets that are over and have left nothing here: kept for ever, they would make the state as big as the tracker."""
    if state.policy is None:
        return
    wanted = {command.ticket_id for command in state.pending.values()}
    for ticket_id, entry in state.entries.items():
        if entry.phase != "closed" or at_ms - entry.since_ms < _FORGET_MS or entry.run is not None:
            continue
        left = entry.workspace or entry.claim or entry.paused or entry.messages or ticket_id in wanted
        if not left and why_not_ours(entry.ticket, state.policy) is not None:
            yield d.TicketForgotten(ticket_id=ticket_id)


def _workspace_expired(state: State, event: e.WorkspaceExpired) -> tuple[d.Decision, ...]:
    entry = state.entries.get(event.ticket_id)
    if entry is None or entry.workspace is None or entry.run is not None or state.policy is None:
        return ()
    if entry.phase not in ("in_review", "needs_person", "closed") or _is_being_cleaned(state, event.ticket_id):
        return ()
    plan = Plan(state, entry, event.at_ms)
    plan.issue(c.CleanWorkspace, workspace=entry.workspace)
    return tuple(plan.decisions)


def _is_being_cleaned(state: State, ticket_id: TicketId) -> bool:
    return any(isinstance(one, c.CleanWorkspace) for one in pending_of(state, ticket_id))


def _policy_rejected(state: State, event: e.PolicyRejected) -> tuple[d.Decision, ...]:
    return (d.PolicyErrorNoted(error=event.error),) if event.error != state.policy_error else ()


def _policy_loaded(state: State, event: e.PolicyLoaded) -> tuple[d.Decision, ...]:
    if event.policy == state.policy and state.policy_error is None:
        return ()
    decisions: list[d.Decision] = []
    for ticket_id in state.running:
        entry = state.entries[ticket_id]
        why = why_not_ours(entry.ticket, event.policy)
        if why and state.policy is not None:
            plan = Plan(state, entry, event.at_ms)
            if is_stoppable(plan):
                begin_stop(plan, "cancelled", why, clean=is_terminal(entry.ticket, event.policy.tracker))
                decisions.extend(plan.decisions)
    decisions.append(d.PolicyAdopted(policy=event.policy))
    if state.policy is not None:
        decisions += _ours_again(state, state.policy, event)
    if state.policy is not None and state.policy.budget != event.policy.budget:
        decisions += _raised(state, state.policy, event)
    return tuple(decisions)


def _ours_again(state: State, old: Policy, event: e.PolicyLoaded) -> list[d.Decision]:
    """Tickets that were put away because they were not ours, and are under the new policy."""
    return [
        d.TicketWoken(at_ms=event.at_ms, ticket_id=ticket_id)
        for ticket_id, entry in state.entries.items()
        if entry.phase == "closed" and why_not_ours(entry.ticket, old) and not why_not_ours(entry.ticket, event.policy)
    ]


def _raised(state: State, old: Policy, event: e.PolicyLoaded) -> list[d.Decision]:
    """Tickets that a limit put down which is higher now, or gone."""
    return [
        d.TicketWoken(at_ms=event.at_ms, ticket_id=ticket_id, keep_failures=True)
        for ticket_id, entry in state.entries.items()
        if entry.phase == "needs_person" and entry.scope is not None and was_raised(old, event.policy, entry.scope)
    ]


def _ticket_changed(state: State, event: e.TicketChanged) -> tuple[d.Decision, ...]:
    ticket, at_ms = event.ticket, event.at_ms
    read_ms = at_ms if event.read_ms is None else event.read_ms
    entry = state.entries.get(ticket.id)
    policy = state.policy
    was = entry.ticket.state if entry is not None else None
    tracked = d.TicketTracked(at_ms=read_ms, ticket=ticket, was=was)
    if policy is None or (entry is not None and (entry.ticket == ticket or read_ms < entry.read_ms)):
        return ()
    if entry is None:
        return (tracked,) if not is_terminal(ticket, policy.tracker) else ()
    why = why_not_ours(ticket, policy)
    plan = Plan(state, entry, at_ms)
    plan.add(tracked)
    if entry.run is not None:
        if why and is_stoppable(plan):
            begin_stop(plan, "cancelled", why, clean=is_terminal(ticket, policy.tracker))
        elif _claim_is_gone(state, entry, ticket) and entry.run.ending is None:
            ask_again(plan)  # the tracker says whose it is
    elif is_terminal(ticket, policy.tracker):
        if entry.phase != "closed" or entry.workspace is not None:
            close_ticket(plan, ticket, why or "it is closed")
    elif why is None and _wakes(entry, ticket):
        plan.add(d.TicketWoken(at_ms=at_ms, ticket_id=ticket.id))
        if entry.pull is not None and entry.pull.rounds:
            plan.add(d.RoundsCounted(ticket_id=ticket.id, rounds=0))  # a person has sent it on
    elif why is None and _came_free(state, entry, ticket):
        plan.add(d.TicketWoken(at_ms=at_ms, ticket_id=ticket.id, keep_failures=True))
    elif why is not None and _wakes(entry, ticket):
        plan.add(d.MarkTaken(ticket_id=ticket.id))  # moved away: moving it back is a change again
    elif why is not None and entry.phase == "retrying":
        plan.add(d.TicketWoken(at_ms=at_ms, ticket_id=ticket.id, keep_failures=True))
    return tuple(plan.decisions)


def _claim_is_gone(state: State, entry: Entry, ticket: Ticket) -> bool:
    """Whether what we hold is not what the ticket shows: another's claim, or none where ours was seen before."""
    if entry.claim is None or (ticket.claim is not None and ticket.claim.instance == state.instance):
        return False
    before = entry.ticket.claim
    return ticket.claim is not None or (before is not None and before.instance == state.instance)


def _came_free(state: State, entry: Entry, ticket: Ticket) -> bool:
    """Whether a ticket that waits because another daemon held it shows that daemon's claim no more."""
    before = entry.ticket.claim
    held = before is not None and before.instance != state.instance
    return held and ticket.claim is None and entry.phase == "retrying" and entry.abandoned > 0


def _wakes(entry: Entry, ticket: Ticket) -> bool:
    return entry.resting_mark is not None and entry.resting_mark != resting_mark(ticket)


def _ticket_vanished(state: State, event: e.TicketVanished) -> tuple[d.Decision, ...]:
    entry = state.entries.get(event.ticket_id)
    if entry is None or state.policy is None:
        return ()
    if entry.ticket.state == GONE:
        return ()
    plan = Plan(state, entry, event.at_ms)
    if entry.run is None:
        lose_ticket(plan)
        return tuple(plan.decisions)
    plan.add(d.TicketTracked(at_ms=event.at_ms, ticket=as_gone(entry.ticket), was=entry.ticket.state))
    if is_stoppable(plan):
        begin_stop(plan, "cancelled", IS_GONE)
    return tuple(plan.decisions)


def _poll_completed(state: State, event: e.PollCompleted) -> tuple[d.Decision, ...]:
    fresh = state.polled_ms is not None and event.at_ms - state.polled_ms < _POLL_NOTE_MS
    if fresh and state.poll_error is None and state.problems == event.problems:
        return ()
    return (d.PollNoted(at_ms=event.at_ms, problems=event.problems),)


def _poll_failed(state: State, event: e.PollFailed) -> tuple[d.Decision, ...]:
    return (d.PollNoted(at_ms=event.at_ms, error=event.error),) if event.error != state.poll_error else ()


def _storage_noted(state: State, event: e.StorageNoted) -> tuple[d.Decision, ...]:
    return (d.StorageErrorNoted(error=event.error),) if event.error != state.storage_error else ()


def _time_passed(state: State, event: e.TimePassed) -> tuple[d.Decision, ...]:
    """One timer of a ticket at a time: what a second one leads to depends on what the first has changed."""
    decisions: list[d.Decision] = []
    fired: dict[str, str] = {}
    for item in in_order(state.timers):
        due_ms, _, kind, ticket_id, generation = item
        if due_ms > event.at_ms:
            break
        if not is_live_timer(state, item):
            continue
        if ticket_id not in fired:
            fired[ticket_id] = kind
            decisions.extend(_timer_fired(state, kind, state.entries[TicketId(ticket_id)], event.at_ms))
        elif kind != fired[ticket_id] or kind not in _ONE_IS_ENOUGH:
            again = d.TimerSet(kind=kind, ticket_id=TicketId(ticket_id), generation=generation, due_ms=event.at_ms)
            decisions.append(again)
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
    elif kind == "ask":
        expire(plan)
    elif kind == "move":
        wake(plan)
    elif kind == "settle" and entry.pull is not None:
        settle_closed(plan, entry.pull.pull_request, again=True)
    elif kind == "comment":
        say_deferred(plan)
    elif kind == "review":
        begin_round(plan)
    elif kind == "heartbeat":
        renew(plan)
    elif kind == "stall":
        check_stall(plan)
    elif kind == "wall":
        check_wall(plan)
    return plan.decisions


def _retry_stage(plan: Plan) -> None:
    run = plan.run
    if run.key is not None or run.command is None:
        return
    command = run.command
    fields = {name: getattr(command, name) for name in command.__struct_fields__}
    for own in ("key", "ticket_id", "generation"):
        del fields[own]
    plan.enter(run.stage, type(command), **fields)


def _shutdown_requested(state: State, event: e.ShutdownRequested) -> tuple[d.Decision, ...]:
    if state.draining:
        return ()
    decisions: list[d.Decision] = [d.DrainBegun()]
    for ticket_id in state.running:
        plan = Plan(state, state.entries[ticket_id], event.at_ms)
        if is_stoppable(plan):
            begin_stop(plan, "interrupted", "the daemon was stopped; it goes on at the next start")
            decisions.extend(plan.decisions)
    for entry in all_deferred(state):
        plan = Plan(state, entry, event.at_ms)
        say_deferred(plan, at_once=True)
        decisions.extend(plan.decisions)
    return tuple(decisions)


def _command_outcome(state: State, event: e.CommandOutcome) -> tuple[d.Decision, ...]:
    command = state.pending.get(event.key)
    if command is None:
        return ()
    if not isinstance(event, e.CommandFailed) and not isinstance(event, OUTCOME_OF[type(command)]):
        raise IllegalEvent(f"{_where(state, command)}: {type(command).__name__} cannot end with {type(event).__name__}")
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


def _where(state: State, command: c.Command) -> str:
    entry = state.entries.get(command.ticket_id)
    if entry is None:
        return f"ticket {command.ticket_id}, which is not known any more"
    stage = entry.run.stage if entry.run is not None else entry.phase
    return f"ticket {entry.ticket.identifier} in {stage} (run {command.generation})"


_HANDLERS: dict[type, Callable[[State, Any], tuple[d.Decision, ...]]] = {
    e.TurnProgressed: turn_progressed,
    e.TicketChanged: _ticket_changed,
    e.TicketVanished: _ticket_vanished,
    e.TicketCommented: ticket_commented,
    e.PullRequestObserved: pull_request_observed,
    e.TimePassed: _time_passed,
    e.PollCompleted: _poll_completed,
    e.PollFailed: _poll_failed,
    e.OperatorAsked: operator_asked,
    e.PolicyLoaded: _policy_loaded,
    e.PolicyRejected: _policy_rejected,
    e.DayBegan: _day_began,
    e.StorageNoted: _storage_noted,
    e.WorkspaceExpired: _workspace_expired,
    e.DaemonStarted: _daemon_started,
    e.ShutdownRequested: _shutdown_requested,
}
