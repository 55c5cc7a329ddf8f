"""What follows from the end of a turn: look at the work, verify it, push it, or send what is missing back as another turn."""

from __future__ import annotations

from opensymphony.errors import ConfigurationError
from opensymphony.model import AgentFailure, ConversationId, LogPosition, TurnEnd, Usage, Verification, Work
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import messages
from opensymphony.scheduler.asks import ask
from opensymphony.scheduler.budget import call_does_not_fit
from opensymphony.scheduler.endings import choose_ending
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.rehydration import rehydrate_after
from opensymphony.scheduler.reviews import has_explained, publish
from opensymphony.workflow import prompt

_CONTINUATIONS_MAX = 1
_UNCOMMITTED_TURNS_MAX = 2
_PERSON_KINDS = ("auth", "quota", "config")
"""Of failures that no runtime has assessed, as in records of earlier releases: those that no further try mends."""


CONTINUATION_DELAY_MS = 1_000
"""Before an agent that ended without what we need is asked again: fixed, whatever has failed before."""


def turn_settled(plan: Plan, end: TurnEnd) -> d.TurnSettled:
    position = LogPosition(seq=end.last_seq, event_id=end.last_event_id, usage=end.usage) if end.last_event_id else None
    return d.TurnSettled(
        at_ms=plan.at_ms, ticket_id=plan.ticket.id, usage=end.usage, final_text=end.final_text, position=position
    )


def turn_ended(plan: Plan, end: TurnEnd) -> None:
    plan.add(turn_settled(plan, end))
    plan.used = end.usage.since(plan.run.usage_now)
    if end.failure is not None and end.status in ("finished", "idle"):
        _failed(plan, end.failure)
        return
    if end.asked is not None:
        if plan.entry.messages:
            _give_messages(plan)  # a person has said something meanwhile: that comes first, and what waits is rejected
        else:
            ask(plan, end.asked)
        return
    match end.status:
        case "finished" | "idle":
            _finished(plan)
        case "stuck":
            choose_ending(plan, "stalled", "the agent repeated itself without getting anywhere")
        case "waiting_for_confirmation":
            choose_ending(plan, "needs_approval", "the agent waits for an approval")
        case "paused":
            choose_ending(plan, "needs_input", "somebody paused the conversation on the agent-server")
        case "error":
            failure = end.failure
            if failure is None:
                choose_ending(plan, "failed", "the conversation ended in an error without a detail")
                return
            _failed(plan, failure)
        case _:
            choose_ending(plan, "failed", f"the conversation ended in the state {end.status}")


def _failed(plan: Plan, failure: AgentFailure) -> None:
    """What helps is the runtime's to say."""
    said = f"{failure.code}: {failure.detail[:300]}"
    reason = f"{failure.advice} ({said})" if failure.advice else said
    action = failure.action
    if action is None:
        action = "person" if failure.kind in _PERSON_KINDS or failure.code == "tools_missing" else "retry"
    match action:
        case "person":
            choose_ending(plan, "needs_input", reason)
        case "rehydrate":
            rehydrate_after(plan, reason)
        case "wait" | "retry":
            choose_ending(plan, "failed", reason, retry_after_ms=failure.retry_after_ms)


def _finished(plan: Plan) -> None:
    run = plan.run
    if plan.entry.messages:
        _give_messages(plan)
    elif run.workspace is not None and run.workspace.branch is not None:
        plan.enter("collecting", c.CollectWork, workspace=run.workspace)
    elif not _enter_verification(plan):
        delivered(plan, None)


def collected(plan: Plan, work: Work) -> None:
    run = plan.run
    plan.add(d.WorkNoted(ticket_id=plan.ticket.id, work=work))
    assert run.workspace is not None
    # A re-opened ticket is not done by what an earlier run delivered.
    old = work.commit == plan.entry.commit and not run.delivered
    if old and not work.uncommitted and has_explained(plan) and publish(plan, work):
        return
    if work.commit is None or work.commits_ahead == 0 or old:
        if run.continuations < _CONTINUATIONS_MAX:
            _another_turn(plan, messages.nothing_committed(run.workspace.branch or ""))
        else:
            choose_ending(plan, "needs_input", "the agent ended twice without a new commit")
    elif work.objections:
        _objected(plan, work)
    elif work.uncommitted:
        if run.continuations < _UNCOMMITTED_TURNS_MAX:
            _another_turn(plan, messages.left_uncommitted(work))
        else:
            listed = ", ".join(work.uncommitted[:5])
            choose_ending(plan, "needs_input", f"the agent leaves files uncommitted: {listed}")
    elif not _enter_verification(plan):
        _push(plan, work)


def _objected(plan: Plan, work: Work) -> None:
    """It is not pushed. What the agent can mend it is asked to mend; a secret is a person's business at once."""
    listed = "; ".join(one.text for one in work.objections[:5])
    if any(one.kind == "secret" for one in work.objections):
        choose_ending(plan, "needs_input", f"nothing was pushed, because the work holds a secret: {listed}")
    elif plan.run.continuations < _UNCOMMITTED_TURNS_MAX:
        _another_turn(plan, messages.objected(work))
    else:
        choose_ending(plan, "needs_input", f"nothing was pushed: {listed}")


def _give_messages(plan: Plan) -> None:
    """Somebody has said something meanwhile: before anything else, the agent hears it."""
    said = plan.entry.messages
    _another_turn(plan, messages.from_people(said), continuation=False, giving=len(said))


def _another_turn(plan: Plan, text: str, *, continuation: bool = True, giving: int = 0) -> None:
    """Send only what changed, in the same conversation, unless the run has had its turns."""
    run = plan.run
    limit = plan.policy.agent.max_turns
    if run.turns >= limit:
        choose_ending(plan, "needs_input", f"the run has had its {limit} turns (agent.max_turns)")
        return
    if continuation:
        plan.add(d.ContinuationCounted(ticket_id=plan.ticket.id))
    assert run.conversation_id is not None
    delay_ms = CONTINUATION_DELAY_MS if continuation else 0
    send_turn(plan, run.conversation_id, text, delay_ms=delay_ms, used=plan.used, giving=giving)


def send_turn(
    plan: Plan,
    conversation_id: ConversationId,
    text: str,
    *,
    delay_ms: int = 0,
    used: Usage | None = None,
    giving: int = 0,
) -> None:
    """Begin a turn, if what it may cost still fits.

    `used`: what the conversation has used and the state does not know yet; `giving`: how many messages of people are in `text`.
    """
    live = len(plan.state.running)
    breach = call_does_not_fit(plan.state, plan.policy, plan.entry, live=live, extra=used)
    if breach is not None:
        choose_ending(plan, "over_budget", breach.text, scope=breach.scope)
        return
    if giving:
        plan.add(d.MessagesTaken(ticket_id=plan.ticket.id, count=giving))
    if delay_ms:
        plan.enter_later("sending", c.SendMessage, plan.at_ms + delay_ms, conversation_id=conversation_id, text=text)
    else:
        plan.enter("sending", c.SendMessage, conversation_id=conversation_id, text=text)


def _enter_verification(plan: Plan) -> bool:
    verify, run = plan.policy.verify, plan.run
    if verify.command is None or run.workspace is None:
        return False
    try:
        command = prompt.render_command(verify.command, plan.ticket)
    except ConfigurationError as problem:
        choose_ending(plan, "needs_input", str(problem))
        return True
    plan.enter("verifying", c.VerifyWork, workspace=run.workspace, command=command, timeout_ms=verify.timeout_ms)
    return True


def verified(plan: Plan, verification: Verification) -> None:
    run, verify = plan.run, plan.policy.verify
    attempt = run.verifications + 1
    plan.add(d.VerificationNoted(ticket_id=plan.ticket.id, verification=verification, attempt=attempt))
    if verification.passed:
        if run.work is not None:
            _push(plan, run.work)
        else:
            delivered(plan, None)
        return
    left = verify.max_attempts - run.verifications - 1
    if left <= 0:
        choose_ending(plan, "gave_up", f"its verification failed {run.verifications + 1} times")
        return
    command = run.command.command if isinstance(run.command, c.VerifyWork) else verify.command or ""
    _another_turn(plan, messages.verification_failed(command, verification, left), continuation=False)


def _push(plan: Plan, work: Work) -> None:
    run, repository = plan.run, plan.policy.repository
    assert run.workspace is not None and work.commit is not None
    if repository is not None and repository.push:
        plan.enter("pushing", c.PushCommit, workspace=run.workspace, commit=work.commit)
    else:
        delivered(plan, work)


def pushed(plan: Plan) -> None:
    """The commit is at its remote: there it becomes a pull request, if one is wanted."""
    work = plan.run.work
    if work is None or not publish(plan, work):
        delivered(plan, work)


def delivered(plan: Plan, work: Work | None) -> None:
    """The work is where it belongs. Who moves the ticket on decides whether that is a success."""
    run = plan.run
    if work is not None and work.commit is not None:
        plan.add(d.CommitDelivered(ticket_id=plan.ticket.id, commit=work.commit))
    if plan.entry.messages:
        _give_messages(plan)
    elif plan.policy.reporting.transitions.succeeded is not None:
        choose_ending(plan, "succeeded", "")
    elif run.continuations < _CONTINUATIONS_MAX:
        _another_turn(plan, messages.continue_unfinished(plan.ticket))
    else:
        choose_ending(plan, "needs_input", "the work is done; the policy names no state to move the ticket to")
