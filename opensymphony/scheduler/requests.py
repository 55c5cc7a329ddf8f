"""What an operator asks for: stop, retry, pause, resume, message, rehydrate. Each request is answered once, by its id."""

from __future__ import annotations

from collections.abc import Callable

from opensymphony.model import PersonMessage, TicketId
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.asks import answer_text, approve, reject
from opensymphony.scheduler.budget import SHARED
from opensymphony.scheduler.eligibility import why_not_ours
from opensymphony.scheduler.endings import begin_stop, is_stoppable, wake
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.state import State

_MESSAGES_MAX = 50
_MESSAGE_CHARS_MAX = 20_000


def operator_asked(state: State, event: e.OperatorAsked) -> tuple[d.Decision, ...]:
    """Do what is asked or say why not; a request that was answered before changes nothing."""
    if event.request_id in state.requests:
        return ()
    if event.ticket_id is None:
        return _for_everything(state, event)
    entry = state.entries.get(event.ticket_id)
    if entry is None or state.policy is None:
        return answered(event, False, "no such ticket is known")
    plan = Plan(state, entry, event.at_ms)
    accepted, answer = act(plan, event)
    return (*plan.decisions, *answered(event, accepted, answer))


def act(plan: Plan, event: e.OperatorAsked) -> tuple[bool, str]:
    """Do it; whether it was done, and one sentence. A person who sends a ticket on does so for as long as at first."""
    accepted, answer = ACTIONS[event.action](plan, event)
    pull = plan.entry.pull
    if accepted and pull is not None and pull.rounds and event.action in ("retry", "message", "approve", "reject"):
        plan.add(d.RoundsCounted(ticket_id=plan.ticket.id, rounds=0))
    return accepted, answer


def answered(event: e.OperatorAsked, accepted: bool, answer: str) -> tuple[d.Decision, ...]:
    """What a request was answered, to be found by its id."""
    noted = d.RequestNoted(
        request_id=event.request_id, accepted=accepted, answer=answer, subject=subject(event.action, event.ticket_id)
    )
    return (noted,)


def subject(action: e.OperatorAction, ticket_id: TicketId | None) -> str:
    """What a request is about, in short: the same request is about the same."""
    return f"{action} {ticket_id or 'everything'}"


def _for_everything(state: State, event: e.OperatorAsked) -> tuple[d.Decision, ...]:
    if event.action not in ("pause", "resume"):
        return answered(event, False, f"{event.action} needs a ticket")
    wanted = event.action == "pause"
    if state.paused == wanted:
        return answered(event, False, "everything is paused already" if wanted else "nothing is paused as a whole")
    decisions: list[d.Decision] = [d.PauseSet(at_ms=event.at_ms, ticket_id=None, paused=wanted)]
    stopped = 0
    if wanted and not event.finish and state.policy is not None:
        for ticket_id in state.running:
            plan = Plan(state, state.entries[ticket_id], event.at_ms)
            if is_stoppable(plan):
                stopped += 1
                begin_stop(plan, "interrupted", _why("an operator paused everything", event))
                decisions.extend(plan.decisions)
    running = len(state.running)
    if not wanted:
        answer = "work goes on"
    elif event.finish:
        answer = f"nothing new starts; {running} at work may finish"
    else:
        answer = f"nothing new starts; {stopped} at work {'is' if stopped == 1 else 'are'} being stopped"
    return (*decisions, *answered(event, True, answer))


def _stop(plan: Plan, event: e.OperatorAsked) -> tuple[bool, str]:
    reason = _why("an operator stopped it", event)
    if is_stoppable(plan):
        begin_stop(plan, "needs_input", reason)
        return True, "it is being stopped and then waits for a person"
    if plan.entry.run is not None:
        return False, "it is ending already"
    if plan.entry.phase in ("retrying", "waiting_to_start") or _is_to_be_moved_back(plan):
        plan.add(d.TicketParked(at_ms=event.at_ms, ticket_id=plan.ticket.id, reason=reason))
        return True, "it waits for a person now"
    return False, "nobody works on it"


def _is_to_be_moved_back(plan: Plan) -> bool:
    """Whether a tracker that was away keeps it from starting again; what follows from a review's end is not meant."""
    pull = plan.entry.pull
    return plan.entry.move_ms > 0 and (pull is None or pull.pull_request.state == "open")


def _retry(plan: Plan, event: e.OperatorAsked) -> tuple[bool, str]:
    if plan.entry.run is not None:
        return False, "a run works on it already"
    if plan.entry.phase == "waiting_to_start":
        return False, "it is waiting to start already: `explain` says for what"
    return wake(plan)


def _pause(plan: Plan, event: e.OperatorAsked) -> tuple[bool, str]:
    if plan.entry.paused:
        return False, "it is paused already"
    plan.add(d.PauseSet(at_ms=event.at_ms, ticket_id=plan.ticket.id, paused=True))
    if is_stoppable(plan) and not event.finish:
        begin_stop(plan, "interrupted", _why("an operator paused it", event))
        return True, "its run is being stopped; it goes on after `resume`"
    return True, "it does not start before `resume`"


def _resume(plan: Plan, event: e.OperatorAsked) -> tuple[bool, str]:
    if not plan.entry.paused:
        other = plan.entry.phase in ("needs_person", "in_review", "retrying")
        return False, "it is not paused" + (": use `retry` to start it again" if other else "")
    plan.add(d.PauseSet(at_ms=event.at_ms, ticket_id=plan.ticket.id, paused=False))
    return True, "it goes on; everything else is still paused" if plan.state.paused else "it goes on"


def _message(plan: Plan, event: e.OperatorAsked) -> tuple[bool, str]:
    entry, text = plan.entry, event.text.strip()
    if not text:
        return False, "the message is empty"
    if len(text) > _MESSAGE_CHARS_MAX:
        return False, f"the message is longer than {_MESSAGE_CHARS_MAX:,} characters"
    if len(entry.messages) >= _MESSAGES_MAX:
        return False, f"{_MESSAGES_MAX} messages wait for the agent already"
    if entry.phase == "closed":
        return False, why_not_ours(plan.ticket, plan.policy) or "it is closed"
    asked = entry.asked
    message = PersonMessage(text=answer_text(asked, text), at_ms=event.at_ms, author=event.author)
    if asked is not None and asked.kind == "question":
        plan.add(d.AskSettled(ticket_id=plan.ticket.id))
    plan.add(d.MessageQueued(ticket_id=plan.ticket.id, message=message))
    answer = "the agent gets it with its next turn"
    if entry.run is None and entry.phase in ("needs_person", "in_review"):
        woken, how = wake(plan)
        answer = f"{answer}: {how}" if woken else f"{answer}; that will be later: {how}"
    return True, answer


def _rehydrate(plan: Plan, event: e.OperatorAsked) -> tuple[bool, str]:
    entry = plan.entry
    if entry.conversation_id is None:
        return False, "it has no conversation yet: its first run makes one"
    if entry.phase == "closed":
        return False, why_not_ours(plan.ticket, plan.policy) or "it is closed"
    if entry.rehydration:
        return False, "that is wanted already: its next conversation is another one"
    if entry.run is not None and not is_stoppable(plan):
        return False, "its run is ending: ask again when it has ended"
    reason = _why("an operator asked for it", event)
    plan.add(d.RehydrationWanted(at_ms=event.at_ms, ticket_id=plan.ticket.id, reason=reason))
    if entry.run is not None:
        begin_stop(plan, "interrupted", f"its conversation is replaced: {reason}")
        return True, "its run is being stopped and goes on in another conversation, which is told what was done"
    answer = "its next run is in another conversation, which is told what was done"
    waits = entry.phase in ("needs_person", "in_review")
    return True, f"{answer}: `opensymphony retry {plan.ticket.identifier}` starts it" if waits else answer


def _budget(plan: Plan, event: e.OperatorAsked) -> tuple[bool, str]:
    scope = plan.entry.scope if plan.entry.phase == "needs_person" else None
    if scope in SHARED:
        return False, f"the {scope}'s budget is used up, not its own: raise budget.{scope} in WORKFLOW.md"
    if scope is None:
        return False, "no budget of its own is in its way"
    if scope == "ticket":
        plan.add(d.BudgetGranted(ticket_id=plan.ticket.id))
    woken, how = wake(plan, granted=int(scope == "ticket"))
    times = (
        f"budget.ticket counts {plan.entry.grants + 2} times for it now" if scope == "ticket" else "it gets another run"
    )
    return True, f"{times}: {how}" if woken else f"{times}; it goes on later: {how}"


def _why(reason: str, event: e.OperatorAsked) -> str:
    """Who and why, as far as it was said."""
    said = f" ({event.author})" if event.author else ""
    note = " ".join(event.text.split())[:300]
    return f"{reason}{said}" + (f": {note}" if note else "")


ACTIONS: dict[e.OperatorAction, Callable[[Plan, e.OperatorAsked], tuple[bool, str]]] = {
    "stop": _stop,
    "retry": _retry,
    "pause": _pause,
    "resume": _resume,
    "message": _message,
    "rehydrate": _rehydrate,
    "budget": _budget,
    "approve": approve,
    "reject": reject,
}
