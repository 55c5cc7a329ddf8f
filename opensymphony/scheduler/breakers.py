"""What stops a run that goes wrong by itself: silence, no progress, its budget, the time. Each through the stop protocol.

Silence is measured on our own clock from what we received. While a tool call is open, silence alone is no stall: a probe has to
find that nothing works behind it.
"""

from __future__ import annotations

from opensymphony.model import Liveness, TurnProgress
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.budget import SHARED, Breach, has_limits, limit_reached
from opensymphony.scheduler.endings import begin_stop, is_stoppable
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.progress import describe, share_used, without_progress
from opensymphony.scheduler.state import State

_PROBE_WAIT_MS = 60_000


def turn_progressed(state: State, event: e.TurnProgressed) -> tuple[d.Decision, ...]:
    """Note a sign of life, and stop what has reached a limit. A report of an older run changes nothing."""
    entry = state.entries.get(event.ticket_id)
    if entry is None or entry.run is None or entry.generation != event.generation or state.policy is None:
        return ()
    if entry.run.stage not in ("working", "stopping"):
        return ()
    progress, plan = event.progress, Plan(state, entry, event.at_ms)
    plan.add(
        d.ProgressNoted(
            at_ms=event.at_ms,
            ticket_id=event.ticket_id,
            status=progress.status,
            tool_open=progress.tool_open,
            summary=progress.summary,
            usage=progress.usage,
            actions=progress.actions,
            changes=progress.changes,
            repeats=progress.repeats,
        )
    )
    if entry.run.stage == "stopping":
        return tuple(plan.decisions)  # what it has cost counts all the same
    if progress.usage is not None and has_limits(plan.policy):
        breach = limit_reached(state, plan.policy, entry, extra=progress.usage.since(entry.run.usage_now))
        if breach is not None:
            _stop_spending(plan, breach)
            return tuple(plan.decisions)
    _check_progress(plan, progress)
    agent = plan.policy.agent
    if entry.run.tool_open != progress.tool_open and is_stoppable(plan):
        # A limit of its own holds while a tool call is open; the timer of the other one may be later, or not there at all.
        limit_ms = agent.tool_timeout_ms if progress.tool_open else agent.stall_timeout_ms
        if limit_ms > 0:
            plan.add(_stall_timer(plan, event.at_ms + limit_ms))
    return tuple(plan.decisions)


def _stop_spending(plan: Plan, breach: Breach) -> None:
    """Stop the run; where all spend together, every other conversation that may have a call in flight, too."""
    begin_stop(plan, "over_budget", breach.text, scope=breach.scope)
    if breach.scope not in SHARED:
        return
    for ticket_id in plan.state.running:
        other = Plan(plan.state, plan.state.entries[ticket_id], plan.at_ms)
        if ticket_id != plan.ticket.id and is_stoppable(other) and other.run.stage in ("opening", "sending", "working"):
            begin_stop(other, "over_budget", breach.text, scope=breach.scope)
            plan.add(*other.decisions)


def _check_progress(plan: Plan, progress: TurnProgress) -> None:
    run, agent = plan.run, plan.policy.agent
    if agent.max_repeated_actions and progress.repeats >= agent.max_repeated_actions:
        reason = f"the agent did the same thing {progress.repeats} times in a row, with the same answer"
        begin_stop(plan, "no_progress", reason)
        return
    actions, tokens = without_progress(run, progress)
    used = share_used(actions, tokens, agent)
    if used >= 1.0 and run.workspace is None:
        begin_stop(plan, "no_progress", describe(actions, tokens))
    elif run.look_key is None and run.workspace is not None and (used >= 1.0 or (used >= 0.5 and not run.fingerprint)):
        plan.issue(c.FingerprintWorkspace, workspace=run.workspace)


def fingerprinted(plan: Plan, fingerprint: str) -> None:
    """The agent's files were looked at. Empty: that could not be told, and its events have to do."""
    run = plan.run
    if run.stage != "working":
        return
    actions, tokens = without_progress(run)
    changed = bool(run.fingerprint) and bool(fingerprint) and fingerprint != run.fingerprint
    known = bool(run.fingerprint) or not fingerprint
    if fingerprint:
        plan.add(d.WorkspaceMarked(ticket_id=plan.ticket.id, fingerprint=fingerprint, changed=changed))
    if known and not changed and share_used(actions, tokens, plan.policy.agent) >= 1.0:
        begin_stop(plan, "no_progress", describe(actions, tokens))


def check_stall(plan: Plan) -> None:
    """The time since the last sign of life may be over."""
    run, agent = plan.run, plan.policy.agent
    if run.stage != "working" or not is_stoppable(plan):
        return
    limit_ms = agent.tool_timeout_ms if run.tool_open else agent.stall_timeout_ms
    if limit_ms <= 0:
        return
    silent_ms = plan.at_ms - run.last_activity_ms
    if silent_ms < limit_ms:
        plan.add(_stall_timer(plan, run.last_activity_ms + limit_ms))
    elif not run.tool_open:
        _stalled(plan, "while no tool call was open")
    else:
        if run.look_key is None and run.conversation_id is not None and run.workspace is not None:
            plan.issue(c.ProbeAgent, conversation_id=run.conversation_id, working_dir=run.workspace.path)
        plan.add(_stall_timer(plan, plan.at_ms + _PROBE_WAIT_MS))


def probed(plan: Plan, liveness: Liveness) -> None:
    """A silent tool call was looked at; if it has spoken meanwhile, that counts for more."""
    run, agent = plan.run, plan.policy.agent
    if run.stage != "working" or not run.tool_open:
        return
    due_ms = run.last_activity_ms + agent.tool_timeout_ms
    if plan.at_ms < due_ms:
        plan.add(_stall_timer(plan, due_ms))
        return
    if liveness.alive:
        plan.add(d.SilenceExcused(at_ms=plan.at_ms, ticket_id=plan.ticket.id, detail=liveness.detail))
        plan.add(_stall_timer(plan, plan.at_ms + agent.tool_timeout_ms))
    else:
        _stalled(plan, f"while a tool call was open, and nothing works behind it: {liveness.detail}".rstrip(": "))


def _stalled(plan: Plan, how: str) -> None:
    silent_s = (plan.at_ms - plan.run.last_activity_ms) // 1000
    begin_stop(plan, "stalled", f"nothing was heard from the agent for {silent_s} s {how}")


def check_wall(plan: Plan) -> None:
    """The run's time may be over, if the policy gives it one."""
    limit_ms, run = plan.policy.agent.max_run_ms, plan.run
    if limit_ms is None or not is_stoppable(plan):
        return
    left_ms = run.started_ms + limit_ms - plan.at_ms
    if left_ms > 0:
        plan.add(plan.timer("wall", plan.at_ms + left_ms))
    else:
        begin_stop(plan, "timed_out", f"it has run for {limit_ms // 1000} s, which is the limit (agent.max_run_ms)")


def _stall_timer(plan: Plan, due_ms: int) -> d.TimerSet:
    return plan.timer("stall", due_ms)
