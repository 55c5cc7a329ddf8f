"""What the status comment says, and when it is written: at once, or as soon as its last edit is long enough ago.

People who watch a ticket may get a mail for each edit. So what is to be said within `reporting.comment_interval_ms` of the last
edit waits, the newest text takes the place of one that waits, and nothing else waits for it: a run ends all the same.
"""

from __future__ import annotations

from opensymphony import reporting
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.outcomes import OUTCOMES
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.state import Ending, Entry, State

_AGAIN_MS = 60_000


def write_comment(plan: Plan, body: str) -> None:
    """Say it now or, after an edit just now, later."""
    if not defer_comment(plan, body):
        plan.issue(c.WriteComment, body=body)


def defer_comment(plan: Plan, body: str) -> bool:
    """Whether it has to wait; then it is said when its time comes. A daemon that is about to end says everything at once."""
    due_ms = _may_be_edited_ms(plan)
    if plan.at_ms >= due_ms or plan.state.draining:
        return False
    plan.add(d.CommentDeferred(ticket_id=plan.ticket.id, body=body, due_ms=due_ms))
    return True


def _may_be_edited_ms(plan: Plan) -> int:
    """When the last edit is long enough ago, by the policy of now."""
    written_ms = plan.entry.comment_ms
    return written_ms + plan.policy.reporting.comment_interval_ms if written_ms else 0


def say_deferred(plan: Plan, *, at_once: bool = False) -> None:
    """Write what has waited, unless the ticket is another daemon's by now, or nothing is to be said any more.

    Its time is asked for again, for a policy that wants a longer pause may have come meanwhile; `at_once` does not wait for it.
    """
    claim = plan.ticket.claim
    if not plan.policy.reporting.comment or (claim is not None and claim.instance != plan.state.instance):
        plan.add(d.CommentDeferred(ticket_id=plan.ticket.id, body=plan.entry.comment, due_ms=0))
    elif at_once or not defer_comment(plan, plan.entry.comment):
        plan.issue(c.WriteComment, body=plan.entry.comment)


def comment_failed(plan: Plan, body: str, retry_after_ms: int | None) -> None:
    """It was no stage of a run, and nothing else would say it: it is said later, unless something newer waits."""
    if not plan.entry.comment_due_ms and plan.entry.comment == body:
        due_ms = max(plan.at_ms + max(_AGAIN_MS, retry_after_ms or 0), _may_be_edited_ms(plan))
        plan.add(d.CommentDeferred(ticket_id=plan.ticket.id, body=body, due_ms=due_ms))


def all_deferred(state: State) -> list[Entry]:
    """The tickets without a run whose comment waits; those with one have something to say at its end."""
    return [entry for entry in state.entries.values() if entry.comment_due_ms and entry.run is None]


def comment_body(plan: Plan, ending: Ending | None, *, headline: str | None = None, reason: str = "") -> str:
    """The status comment as of now. `headline` and `reason` are for a run that goes on."""
    return reporting.compose(report_of(plan, ending, headline=headline, reason=reason))


def report_of(plan: Plan, ending: Ending | None, *, headline: str | None = None, reason: str = "") -> reporting.Report:
    """What is known of a run."""
    entry, run = plan.entry, plan.run
    return reporting.Report(
        identifier=plan.ticket.identifier,
        headline=headline or (OUTCOMES[ending.outcome].headline if ending else "Working on it"),
        reason=ending.reason if ending else reason,
        generation=run.generation,
        turns=run.turns,
        verifications=run.verifications,
        branch=run.workspace.branch if run.workspace is not None else None,
        commit=run.work.commit if run.work is not None and run.work.commits_ahead else None,
        pushed=plan.policy.repository is not None
        and plan.policy.repository.push
        and entry.commit is not None
        and run.work is not None
        and entry.commit == run.work.commit,
        work=run.work,
        verify_command=run.verify_command or None,
        verification=run.verification,
        final_text=run.final_text if ending else "",
        usage=entry.usage + run.usage,
        elapsed_ms=plan.at_ms - run.started_ms,
        workspace_note=entry.note,
        asked=entry.asked if ending else None,
        answer_here=bool(plan.policy.tracker.instructions_from),
        pull_request=entry.pull.pull_request.url if entry.pull is not None else "",
    )


def resting_body(plan: Plan, headline: str, reason: str) -> str:
    """For a ticket without a run."""
    entry = plan.entry
    return reporting.compose(
        reporting.Report(
            identifier=plan.ticket.identifier,
            headline=headline,
            reason=reason,
            usage=entry.usage,
            pull_request=entry.pull.pull_request.url if entry.pull is not None else "",
        )
    )
