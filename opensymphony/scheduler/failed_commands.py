"""What follows when a command could not be carried out: another try, an ending, or nothing."""

from __future__ import annotations

from opensymphony.errors import ErrorClass
from opensymphony.model import Liveness
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.backoff import retry_delay_ms
from opensymphony.scheduler.breakers import fingerprinted, probed
from opensymphony.scheduler.budget import call_ceiling
from opensymphony.scheduler.endings import advance_ending, begin_stop, choose_ending, is_settling, is_stoppable, park
from opensymphony.scheduler.merging import merge_failed
from opensymphony.scheduler.outcomes import Outcome
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.state import Ending
from opensymphony.scheduler.status_comment import comment_failed

_CLEAN_AGAIN_MS = 600_000
_MOVE_AGAIN_MS = 60_000
_LAST_STAGE_TRIES_MAX = 5
_TRACKER_TRIES_MAX = 50
"""Of the last stages that write on the ticket: some hours, since nothing new starts either while the tracker is away."""

_FAILED: dict[ErrorClass, Outcome] = {
    "retry": "failed",
    "person": "needs_input",
    "final": "gave_up",
    "server": "interrupted",
}
"""How a run ends whose command failed."""


def command_failed(plan: Plan, command: c.Command, event: e.CommandFailed) -> None:
    """Go on from a command that could not be carried out."""
    run = plan.entry.run
    if run is None or run.key != command.key:
        if isinstance(command, c.CleanWorkspace) and run is None:
            due_ms = plan.at_ms + _CLEAN_AGAIN_MS
            plan.add(plan.timer("clean", due_ms))
        elif isinstance(command, c.TransitionTicket) and run is None and event.error_class == "retry":
            # A person was told that it is moved back; nothing else would do it.
            kind = "settle" if is_settling(plan, command) else "move"
            plan.add(plan.timer(kind, plan.at_ms + max(_MOVE_AGAIN_MS, event.retry_after_ms or 0)))
        elif (
            isinstance(command, c.TransitionTicket)
            and run is None
            and plan.entry.phase in ("in_review", "needs_person")
        ):
            park(plan, f"it could not be moved to {command.to_state}: {event.error}")
        elif isinstance(command, c.AnswerThread) and event.error_class != "retry" and plan.entry.pull is not None:
            plan.add(d.ThreadDone(ticket_id=plan.ticket.id, thread_id=command.thread_id, marker=command.marker))
        elif isinstance(command, c.LinkPullRequest) and event.error_class != "retry" and plan.entry.pull is not None:
            # Not asked for again at each look; the comment names the pull request.
            plan.add(d.PullRequestTied(ticket_id=plan.ticket.id, url=command.pull_request.url))
        elif isinstance(command, c.MergePullRequest):
            merge_failed(plan, command, event)
        elif isinstance(command, c.WriteComment) and run is None and event.error_class == "retry":
            comment_failed(plan, command.body, event.retry_after_ms)
        elif isinstance(command, c.ProbeAgent) and is_stoppable(plan):
            probed(plan, Liveness(alive=False, detail=event.error))
        elif isinstance(command, c.FingerprintWorkspace) and is_stoppable(plan):
            fingerprinted(plan, "")
        return  # a heartbeat, or a comment of a run that goes on: the next one says it
    if run.stage == "stopping":
        _try_again(plan, event)  # stopped means confirmed stopped, however long it takes
    elif run.ending is not None:
        writes = run.stage in ("transitioning", "reporting", "releasing")
        if event.error_class == "retry" and run.tries < (_TRACKER_TRIES_MAX if writes else _LAST_STAGE_TRIES_MAX):
            _try_again(plan, event)
        else:
            _give_up_stage(plan, run.ending, event)
    elif event.error_class == "server":
        count_unknown(plan)
        choose_ending(plan, _FAILED[event.error_class], event.error)
    elif run.stage in ("rereading", "claiming") and event.error_class == "retry":
        due_ms = plan.at_ms + delay_ms(plan, plan.entry.abandoned + 1, event)
        if isinstance(command, c.ClaimTicket):
            plan.issue(c.ReleaseClaim, claim=command.claim)  # it may stand on the ticket all the same
        plan.add(abandoned(plan, event.error, due_ms))
    elif run.stage in ("sending", "working"):
        begin_stop(plan, _FAILED[event.error_class], event.error)  # we lost sight of an agent that may be at work
    else:
        retry_after_ms = event.retry_after_ms if event.error_class == "retry" else None
        choose_ending(plan, _FAILED[event.error_class], event.error, retry_after_ms=retry_after_ms)


def count_unknown(plan: Plan) -> None:
    """Nobody can say what the call that was cut off has cost: it counts as the most that it can."""
    if plan.run.calling:
        plan.add(d.InFlightCounted(ticket_id=plan.ticket.id, usage=call_ceiling(plan.policy)))


def _give_up_stage(plan: Plan, ending: Ending, event: e.CommandFailed) -> None:
    stage = plan.run.stage
    if stage == "transitioning":
        reason = f"{ending.reason}; the ticket could not be moved: {event.error}".lstrip("; ")
        plan.add(d.EndingAmended(ticket_id=plan.ticket.id, reason=reason))
        ending = Ending(outcome=ending.outcome, reason=reason, clean=ending.clean, retry_after_ms=ending.retry_after_ms)
    advance_ending(plan, ending, after=stage)


def _try_again(plan: Plan, event: e.CommandFailed) -> None:
    due_ms = plan.at_ms + delay_ms(plan, plan.run.tries + 1, event)
    plan.add(d.StageDelayed(at_ms=plan.at_ms, ticket_id=plan.ticket.id, due_ms=due_ms, error=event.error))


def delay_ms(plan: Plan, failures: int, event: e.CommandFailed | None = None) -> int:
    """Until the next try: doubled with each failure, and never sooner than was asked for."""
    agent = plan.policy.agent
    wait_ms = retry_delay_ms(failures, plan.jitter, first_ms=agent.retry_backoff_ms, max_ms=agent.max_retry_backoff_ms)
    return max(wait_ms, (event.retry_after_ms if event is not None else None) or 0)


def abandoned(plan: Plan, reason: str, due_ms: int | None = None) -> d.RunAbandoned:
    """A run that has had no effect yet is given up."""
    return d.RunAbandoned(at_ms=plan.at_ms, ticket_id=plan.ticket.id, reason=reason, due_ms=due_ms)
