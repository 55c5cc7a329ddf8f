"""How a run ends, whatever ended it: stop if need be, then `after_run`, transition, comment, clean-up, release.

The order is fixed, each stage is skipped when there is nothing to do, and a stage that fails for good never keeps the run
from ending: the ticket is let go, and the comment says what it can.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import structs

from opensymphony.model import PullRequest, Ticket, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.backoff import retry_delay_ms
from opensymphony.scheduler.budget import BudgetScope, call_does_not_fit, has_limits, limit_reached
from opensymphony.scheduler.eligibility import among, as_gone, is_terminal, resting_mark, why_not_ours
from opensymphony.scheduler.figures import run_totals
from opensymphony.scheduler.machine import LAST_STAGES, Stage
from opensymphony.scheduler.outcomes import OUTCOMES, Outcome
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.state import Ending, Pull, State, pending_of
from opensymphony.scheduler.status_comment import comment_body, defer_comment, resting_body, write_comment

IS_GONE = "it is gone from the tracker"

_FOLLOWED = (d.BootNoted, d.EndingChosen, d.RunEnded, d.TicketParked, d.VerificationNoted)


def is_stoppable(plan: Plan) -> bool:
    """Whether the ticket has a run that is neither being stopped nor ending."""
    run = plan.entry.run
    return run is not None and run.ending is None and run.stopping is None


def begin_stop(
    plan: Plan, outcome: Outcome, reason: str, *, clean: bool = False, scope: BudgetScope | None = None
) -> None:
    """Stop whatever the run has in flight. It ends with this outcome once the stop is confirmed."""
    run = plan.run
    plan.add(
        d.StopBegun(
            at_ms=plan.at_ms, ticket_id=plan.ticket.id, outcome=outcome, reason=reason, clean=clean, scope=scope
        )
    )
    if run.stage == "claiming" and isinstance(run.command, c.ClaimTicket):
        # It may be written although nobody has told us: it is taken off at the end.
        plan.add(d.ClaimHeld(ticket_id=plan.ticket.id, claim=run.command.claim, sure=False))
    conversation_id = run.conversation_id
    if conversation_id is None and isinstance(run.command, c.OpenConversation):
        conversation_id = run.command.conversation_id  # it may exist already, though nobody has told us yet
    plan.enter("stopping", c.StopRun, target_key=run.key, conversation_id=conversation_id)


def choose_ending(
    plan: Plan,
    outcome: Outcome,
    reason: str,
    *,
    clean: bool = False,
    retry_after_ms: int | None = None,
    scope: BudgetScope | None = None,
) -> None:
    """Decide how the run ends; `follow_up` enters its last stages once that is applied."""
    if OUTCOMES[outcome].counts_as_failure and plan.entry.failures + 1 >= plan.policy.agent.max_failures:
        reason = f"{reason} (failure {plan.entry.failures + 1} in a row, which is the limit)"
        outcome = "gave_up"
    plan.add(
        d.EndingChosen(
            at_ms=plan.at_ms,
            ticket_id=plan.ticket.id,
            outcome=outcome,
            reason=reason,
            clean=clean,
            retry_after_ms=retry_after_ms,
            scope=scope,
        )
    )


def follow_up(state: State, decided: Sequence[d.Decision], event: e.Event) -> tuple[d.Decision, ...]:
    """What needs the first decisions applied: the last stages of a run, and comments that tell what just happened."""
    decisions: list[d.Decision] = []
    for decision in decided:
        if type(decision) not in _FOLLOWED:
            continue
        if isinstance(decision, d.BootNoted):
            decisions.extend(_stop_unaffordable(state, event.at_ms))
        elif isinstance(decision, d.EndingChosen):
            plan = Plan(state, state.entries[decision.ticket_id], event.at_ms, jitter=e.jitter_of(event))
            assert plan.run.ending is not None, "an ending that was applied is there"
            advance_ending(plan, plan.run.ending, after=None)
            decisions.extend(plan.decisions)
        elif isinstance(decision, d.RunEnded):
            plan = Plan(state, state.entries[decision.ticket_id], event.at_ms)
            _after_end(plan)
            decisions.extend(plan.decisions)
        elif isinstance(decision, d.TicketParked) and decision.told:
            plan = Plan(state, state.entries[decision.ticket_id], event.at_ms)
            _notify(plan)
            decisions.extend(plan.decisions)
        elif isinstance(decision, d.TicketParked) and decision.outcome == "over_budget":
            plan = Plan(state, state.entries[decision.ticket_id], event.at_ms)
            if plan.policy.reporting.comment:
                write_comment(plan, resting_body(plan, OUTCOMES[decision.outcome].headline, decision.reason))
            _notify(plan)
            decisions.extend(plan.decisions)
        elif isinstance(decision, d.VerificationNoted) and not decision.verification.passed:
            plan = Plan(state, state.entries[decision.ticket_id], event.at_ms)
            if plan.run.ending is None and plan.policy.reporting.comment:
                write_comment(plan, comment_body(plan, None, headline="Verification failed, sent back"))
                decisions.extend(plan.decisions)
    return tuple(decisions)


def _stop_unaffordable(state: State, at_ms: int) -> Iterator[d.Decision]:
    """After a crash, what was in flight counts at its most: a turn that no budget is left for does not go on."""
    if state.policy is None or not has_limits(state.policy):
        return
    for ticket_id in state.running:
        plan = Plan(state, state.entries[ticket_id], at_ms)
        if not is_stoppable(plan) or not plan.run.calling:
            continue
        breach = limit_reached(state, state.policy, plan.entry)
        if breach is not None:
            plan.add(d.InFlightCounted(ticket_id=ticket_id, usage=Usage(), last=True))
            begin_stop(plan, "over_budget", breach.text, scope=breach.scope)
            yield from plan.decisions


def advance_ending(plan: Plan, ending: Ending, *, after: Stage | None) -> None:
    """Enter the next last stage that has something to do, or end the run."""
    remaining = LAST_STAGES if after is None else LAST_STAGES[LAST_STAGES.index(after) + 1 :]
    for stage in remaining:
        if _enter(plan, ending, stage):
            return
    _end(plan, ending)


def _enter(plan: Plan, ending: Ending, stage: Stage) -> bool:
    run, policy = plan.run, plan.policy
    if stage == "after_run" and run.prepared and run.workspace is not None and policy.hooks.after_run:
        plan.enter(stage, c.RunHook, workspace=run.workspace, name="after_run")
    elif stage == "transitioning" and run.claimed and (target := _target_state(plan, ending)) is not None:
        plan.enter(stage, c.TransitionTicket, from_states=policy.tracker.active_states, to_state=target)
    elif stage == "reporting" and run.claimed and policy.reporting.comment:
        body = comment_body(plan, ending)
        if defer_comment(plan, body):
            return False
        plan.enter(stage, c.WriteComment, body=body)
    elif (
        stage == "cleaning"
        and ending.clean
        and plan.entry.workspace is not None
        and is_terminal(plan.ticket, policy.tracker)
    ):
        plan.enter(stage, c.CleanWorkspace, workspace=plan.entry.workspace)
    elif stage == "releasing" and plan.entry.claim is not None:
        plan.enter(stage, c.ReleaseClaim, claim=plan.entry.claim)
    else:
        return False
    return True


def _target_state(plan: Plan, ending: Ending) -> str | None:
    transitions = plan.policy.reporting.transitions
    if ending.outcome == "succeeded":
        target = transitions.succeeded
    elif ending.outcome in ("needs_input", "needs_approval", "gave_up"):
        target = transitions.needs_attention
    else:
        return None
    return None if target is None or among(plan.ticket.state, (target,)) else target


def _end(plan: Plan, ending: Ending) -> None:
    rule, agent = OUTCOMES[ending.outcome], plan.policy.agent
    failures = plan.entry.failures + 1 if rule.counts_as_failure else 0
    if ending.outcome in ("interrupted", "cancelled"):
        failures = plan.entry.failures  # neither a success nor a failure
    due_ms = None
    if rule.phase == "retrying":
        delay_ms = retry_delay_ms(
            failures, plan.jitter, first_ms=agent.retry_backoff_ms, max_ms=agent.max_retry_backoff_ms
        )
        due_ms = plan.at_ms + max(delay_ms, ending.retry_after_ms or 0)
    plan.add(
        d.RunEnded(
            at_ms=plan.at_ms,
            ticket_id=plan.ticket.id,
            outcome=ending.outcome,
            reason=ending.reason,
            failures=failures,
            due_ms=due_ms,
            totals=run_totals(plan.state, plan.entry, plan.run),
        )
    )


def _after_end(plan: Plan) -> None:
    """What became of the ticket while its run ended: closed by somebody, or answered already."""
    entry = plan.entry
    why = why_not_ours(plan.ticket, plan.policy)
    if is_terminal(plan.ticket, plan.policy.tracker):
        if entry.phase != "closed":
            close_ticket(plan, plan.ticket, f"it is closed: its state is {plan.ticket.state}")
        return
    _notify(plan)
    pull = entry.pull
    if (
        pull is not None
        and pull.pull_request.state != "open"
        and plan.policy.code_host is not None
        and (entry.phase == "in_review" or _merged_in(plan, pull))
    ):
        stays = plan.policy.reporting.transitions.merged is None
        tries_again = entry.phase in ("retrying", "waiting_to_start")
        if tries_again:
            reason = f"its pull request was merged while a run was at work: {entry.reason}".rstrip(": ")
            park(plan, reason, in_comment=stays)
        settle_closed(plan, pull.pull_request, again=tries_again and stays)
        return
    answered = any(message.at_ms > entry.stopped_ms for message in entry.messages if not message.from_review)
    if answered and entry.phase in ("in_review", "needs_person"):
        wake(plan)  # said while the last stages ran
    elif entry.resting_mark is not None and entry.resting_mark != resting_mark(plan.ticket):
        woken = d.TicketWoken(at_ms=plan.at_ms, ticket_id=plan.ticket.id)
        plan.add(woken if why is None else d.MarkTaken(ticket_id=plan.ticket.id))
    elif _fits_again(plan):
        plan.add(d.TicketWoken(at_ms=plan.at_ms, ticket_id=plan.ticket.id, keep_failures=True))
    elif pull is not None and pull.wake_ms <= plan.at_ms and any(message.from_review for message in entry.messages):
        wake_ms = plan.at_ms + plan.policy.review.quiet_ms
        plan.add(d.ReviewHeard(ticket_id=plan.ticket.id, heard=(), wake_ms=wake_ms))


def _merged_in(plan: Plan, pull: Pull) -> bool:
    """Whether it was merged while this run was at work: a person has decided, and no other try of it is wanted."""
    merged_now = pull.pull_request.state == "merged" and pull.ended_in == plan.generation
    return merged_now and plan.entry.phase in ("needs_person", "retrying", "waiting_to_start")


def _fits_again(plan: Plan) -> bool:
    """Whether a budget put the ticket down that suffices again: a day began or a limit rose before its run had ended."""
    state, entry = plan.state, plan.entry
    if entry.scope in (None, "run") or entry.phase != "needs_person":
        return False
    return call_does_not_fit(state, plan.policy, entry, live=len(state.running) + 1) is None


def wake(plan: Plan, *, granted: int = 0) -> tuple[bool, str]:
    """Let a ticket at rest start again; one that we moved out of the active states is moved back first.

    `granted`: so often more than the state knows it may spend its own budget. Returns whether it will, and one sentence.
    """
    ticket, policy, moves = plan.ticket, plan.policy, plan.policy.reporting.transitions
    against = why_not_ours(ticket, policy)
    entry = structs.replace(plan.entry, grants=plan.entry.grants + granted) if granted else plan.entry
    breach = call_does_not_fit(plan.state, policy, entry, live=1)
    if breach is not None:
        return False, breach.text
    if against is None:
        plan.add(d.TicketWoken(at_ms=plan.at_ms, ticket_id=ticket.id))
        return True, f"it starts {_when(plan)}"
    ours = tuple(state for state in (moves.succeeded, moves.needs_attention) if state is not None)
    back = moves.started or next(iter(policy.tracker.active_states), None)
    if back is None or not among(ticket.state, ours) or is_terminal(ticket, policy.tracker):
        return False, against
    if not _moves_to(plan, back):
        plan.issue(c.TransitionTicket, from_states=(ticket.state,), to_state=back)
    return True, f"it is moved back to {back} and starts {_when(plan)}"


def _moves_to(plan: Plan, state: str) -> bool:
    """Whether the ticket is on its way there already."""
    pending = pending_of(plan.state, plan.ticket.id)
    return any(isinstance(one, c.TransitionTicket) and one.to_state == state for one in pending)


def is_settling(plan: Plan, command: c.TransitionTicket) -> bool:
    """Whether a move is what follows from the end of a review."""
    moves, pull = plan.policy.reporting.transitions, plan.entry.pull
    closed = pull is not None and pull.pull_request.state != "open"
    return closed and command.to_state in (moves.merged, moves.needs_attention)


def settle_closed(plan: Plan, pull_request: PullRequest, *, again: bool = False) -> None:
    """Its review is over: what was merged moves on, and about what was declined a person decides."""
    moves, ticket, said = plan.policy.reporting.transitions, plan.ticket, plan.entry.messages
    merged, waits = pull_request.state == "merged", plan.entry.phase in ("waiting_to_start", "retrying")
    if not merged and waits and any(not one.from_review for one in said):
        return  # what to do instead was said before it was declined
    target = moves.merged if merged else moves.needs_attention
    if not merged and not again:
        park(plan, "its pull request was declined: say what to do instead, or close the ticket")
    unwanted = merged and target is None and waits and bool(said) and all(one.from_review for one in said)
    if unwanted:
        park(plan, "its pull request was merged before its review was worked on: say what is left, or close the ticket")
    if target is not None and not among(ticket.state, (target,)):
        plan.issue(c.TransitionTicket, from_states=(ticket.state,), to_state=target)
    elif merged and plan.entry.workspace is not None:
        plan.issue(c.CleanWorkspace, workspace=plan.entry.workspace)
    if merged and not again and not unwanted and plan.policy.reporting.comment:
        write_comment(plan, resting_body(plan, "Merged", ""))


def park(plan: Plan, reason: str, *, in_comment: bool = True) -> None:
    """A ticket in review waits for a person; it says so, and somebody is notified."""
    plan.add(d.TicketParked(at_ms=plan.at_ms, ticket_id=plan.ticket.id, reason=reason, told=True))
    if in_comment and plan.policy.reporting.comment:
        write_comment(plan, resting_body(plan, OUTCOMES["needs_input"].headline, reason))


def _when(plan: Plan) -> str:
    return "after `resume`" if plan.entry.paused or plan.state.paused else "as soon as there is a place"


def _notify(plan: Plan) -> None:
    """Tell whoever the policy names that a person is waited for."""
    entry, notify = plan.entry, plan.policy.notify
    if notify.command is None or entry.outcome is None or entry.phase not in ("in_review", "needs_person"):
        return
    plan.issue(
        c.NotifyPerson,
        command=notify.command,
        timeout_ms=notify.timeout_ms,
        identifier=plan.ticket.identifier,
        title=plan.ticket.title,
        headline=OUTCOMES[entry.outcome].headline,
        reason=f"{entry.reason}: {entry.asked.text}" if entry.asked is not None else entry.reason,
        outcome=entry.outcome,
        url=plan.ticket.url,
    )


def lose_ticket(plan: Plan) -> None:
    """The tracker does not show it any more, perhaps by mistake: what people have left with it and what it spent is kept."""
    entry = plan.entry
    plan.add(d.TicketTracked(at_ms=plan.at_ms, ticket=as_gone(plan.ticket), was=plan.ticket.state))
    if entry.workspace is None and not entry.paused and not entry.messages and entry.usage == Usage():
        plan.add(d.TicketForgotten(ticket_id=plan.ticket.id))
    else:
        plan.add(d.TicketClosed(at_ms=plan.at_ms, ticket_id=plan.ticket.id, reason=IS_GONE))


def close_ticket(plan: Plan, ticket: Ticket, reason: str) -> None:
    """A ticket without a run is over: its workspace goes, unless that would lose work."""
    plan.add(d.TicketClosed(at_ms=plan.at_ms, ticket_id=ticket.id, reason=reason))
    if plan.entry.workspace is not None:
        plan.issue(c.CleanWorkspace, workspace=plan.entry.workspace)
