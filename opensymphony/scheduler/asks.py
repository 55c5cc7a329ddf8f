"""What an agent wants from a person: put on the ticket, answered once, or over after a time.

A question is answered by a message. An approval is for exactly the actions with its digest, and nothing else counts as one; the
agent is told to do them again, and only the same ones are let through (`agents/openhands/session.py`).
"""

from __future__ import annotations

from opensymphony.model import Asked, PersonMessage
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.endings import choose_ending, wake
from opensymphony.scheduler.outcomes import OUTCOMES, Outcome
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.status_comment import resting_body, write_comment

DIGEST_CHARS_MIN = 6
"""So much of a digest is said at least, where one is said at all: less could be met by chance."""
_REASON_CHARS_MAX = 2_000


def ask(plan: Plan, asked: Asked) -> None:
    """The run ends, and the ticket waits for the answer."""
    policy = plan.policy.openhands.conversation
    is_question = asked.kind == "question"
    timeout_ms = policy.question_timeout_ms if is_question else policy.approval_timeout_ms
    plan.add(d.PersonAsked(at_ms=plan.at_ms, ticket_id=plan.ticket.id, asked=asked, expires_ms=plan.at_ms + timeout_ms))
    if is_question:
        choose_ending(plan, "needs_input", "the agent asks a question")
    else:
        choose_ending(plan, "needs_approval", f"the agent asks for an approval ({asked.digest[:12]})")


def answer_text(asked: Asked | None, text: str) -> str:
    """A message as the agent gets it: one that answers a question says so."""
    return text if asked is None or asked.kind != "question" else f"The answer to your question:\n\n{text}"


def approve(plan: Plan, event: e.OperatorAsked) -> tuple[bool, str]:
    """Let the agent do exactly what it asked for."""
    asked, why = _open_approval(plan, event)
    if asked is None:
        return False, why
    text = f"Approved. Carry out exactly this, with the same arguments, and go on:\n\n{_fenced(asked.text)}"
    return _settle(plan, event, text, granted=asked.digest)


def reject(plan: Plan, event: e.OperatorAsked) -> tuple[bool, str]:
    """Tell the agent that it may not, and why."""
    asked, why = _open_approval(plan, event)
    if asked is None:
        return False, why
    because = f" Because: {event.text.strip()[:_REASON_CHARS_MAX]}" if event.text.strip() else ""
    text = f"Not approved. Do not do this, nor the same in another way:\n\n{_fenced(asked.text)}\n\n{because}".rstrip()
    return _settle(plan, event, text)


def _open_approval(plan: Plan, event: e.OperatorAsked) -> tuple[Asked | None, str]:
    """The approval that is waited for, if it is the one that is meant."""
    asked = plan.entry.asked
    if asked is None:
        return None, "no approval is waited for"
    if asked.kind != "approval":
        return None, "it waits for an answer, not for an approval: use `message`"
    if event.at_ms >= plan.entry.ask_expires_ms:
        return None, "the approval has expired: `retry` lets the agent ask again"
    said = event.digest.strip().lower()
    if said and (len(said) < DIGEST_CHARS_MIN or not asked.digest.startswith(said)):
        return None, f"something else is waited for now: {asked.digest[:12]}"
    if plan.entry.run is not None:
        return None, "its run is ending: answer when that has ended"
    return asked, ""


def _settle(plan: Plan, event: e.OperatorAsked, text: str, *, granted: str = "") -> tuple[bool, str]:
    plan.add(d.AskSettled(ticket_id=plan.ticket.id, granted=granted))
    message = PersonMessage(text=text, at_ms=event.at_ms, author=event.author)
    plan.add(d.MessageQueued(ticket_id=plan.ticket.id, message=message))
    verdict = "approved" if granted else "rejected"
    woken, how = wake(plan)
    return True, f"{verdict}: {how}" if woken else f"{verdict}; it goes on later: {how}"


def expire(plan: Plan) -> None:
    """Nobody answered in time: the ticket says so, and waits for a person all the same."""
    asked = plan.entry.asked
    if asked is None:
        return
    what = "question was not answered" if asked.kind == "question" else "approval was not given"
    reason = f"the agent's {what} in time; `retry` lets it go on, or ask again"
    plan.add(d.AskSettled(ticket_id=plan.ticket.id, reason=reason))
    if plan.policy.reporting.comment and plan.entry.run is None:
        outcome: Outcome = plan.entry.outcome or "needs_input"
        write_comment(plan, resting_body(plan, OUTCOMES[outcome].headline, reason))


def _fenced(text: str) -> str:
    inside = text.replace("````", "`\u200b```")
    return f"````text\n{inside}\n````"
