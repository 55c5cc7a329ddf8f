"""What people say on a ticket: an instruction by somebody who may give some, else context and nothing more.

Each comment is heard once. Those that were there when we first saw the ticket are context, whoever wrote them: they stand in
the first prompt. Later ones of `tracker.instructions_from` are messages to the agent, or, where the first word is a verb such
as `/retry`, what that command of ours would do. A message never counts as an approval.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from opensymphony.model import Ticket, TicketComment
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.eligibility import why_not_ours
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.requests import act, answered
from opensymphony.scheduler.state import Entry, State
from opensymphony.scheduler.status_comment import write_comment
from opensymphony.workflow.policy import TrackerPolicy

VERBS: dict[str, e.OperatorAction] = {
    "stop": "stop",
    "retry": "retry",
    "pause": "pause",
    "resume": "resume",
    "rehydrate": "rehydrate",
    "budget": "budget",
    "answer": "message",
    "approve": "approve",
    "reject": "reject",
}
_SAID = re.compile(r"/([a-z]+)(?:[ \t]+|(?=\n)|\Z)")
_DIGEST = re.compile(r"`?([0-9a-fA-F]{6,64})`?(?:\s+|\Z)")
_ABOUT_REQUEST = "\n---\n\nAsked on the ticket: "
"""What follows it in our comment is the answer to the last request that was refused."""


class Instruction(Struct, frozen=True, kw_only=True):
    """What a comment wants from us."""

    action: e.OperatorAction
    text: str = ""
    digest: str = ""
    verb: str = ""
    """Empty for a message."""


def may_instruct(author: str, policy: TrackerPolicy) -> bool:
    """Whether what this account says is more than context."""
    allowed = policy.instructions_from
    return "*" in allowed or (bool(author) and author.casefold() in {one.casefold() for one in allowed})


def read_instruction(text: str) -> Instruction:
    """A verb counts at the very beginning and in lower case; anything else is a message."""
    said = text.strip()
    found = _SAID.match(said)
    action = VERBS.get(found[1]) if found is not None else None
    if found is None or action is None:
        return Instruction(action="message", text=said)
    rest, digest = said[found.end() :].strip(), ""
    if action in ("approve", "reject") and (named := _DIGEST.match(rest)) is not None:
        digest, rest = named[1].lower(), rest[named.end() :].strip()
    return Instruction(action=action, text=rest, digest=digest, verb=found[1])


def unheard(entry: Entry, ticket: Ticket) -> Iterator[TicketComment]:
    """The comments of a reading that were not taken in yet, oldest first."""
    return (comment for comment in ticket.comments if _is_news(entry, comment))


def _is_news(entry: Entry, comment: TicketComment) -> bool:
    return comment.id not in entry.heard and comment.number >= entry.heard_from


def ticket_commented(state: State, event: e.TicketCommented) -> tuple[d.Decision, ...]:
    """Hear it once; do what it asks where its author may ask."""
    entry, comment = state.entries.get(event.ticket_id), event.comment
    if entry is None or state.policy is None or not _is_news(entry, comment):
        return ()
    plan = Plan(state, entry, event.at_ms)
    plan.add(d.CommentHeard(ticket_id=event.ticket_id, comment_id=comment.id))
    if may_instruct(comment.author, state.policy.tracker):
        _obey(plan, comment)
    return tuple(plan.decisions)


def _obey(plan: Plan, comment: TicketComment) -> None:
    entry, wanted = plan.entry, read_instruction(comment.text)
    if (
        not wanted.verb
        and entry.run is None
        and entry.conversation_id is None
        and why_not_ours(plan.ticket, plan.policy)
    ):
        return  # people talk about what is not ours yet: context of a run to come
    if not wanted.verb and entry.phase == "closed":
        return
    asked = e.OperatorAsked(
        at_ms=plan.at_ms,
        request_id=f"comment/{plan.ticket.id}/{comment.id}",
        ticket_id=plan.ticket.id,
        action=wanted.action,
        text=wanted.text,
        author=comment.author_name or comment.author,
        digest=wanted.digest,
    )
    if wanted.action == "approve" and not wanted.digest:
        accepted, answer = False, "name what you approve, as the comment shows it: `/approve` and its number"
    else:
        accepted, answer = act(plan, asked)
    plan.add(*answered(asked, accepted, answer))
    if not accepted:
        _tell(plan, f"`/{wanted.verb or 'message'}` was refused: {answer}")


def _tell(plan: Plan, text: str) -> None:
    """Below our comment, as it stands there now; the next thing that happens writes another one."""
    entry = plan.entry
    if not plan.policy.reporting.comment or not entry.comment or entry.run is not None or entry.claim is not None:
        return
    body = entry.comment.partition(_ABOUT_REQUEST)[0]
    write_comment(plan, f"{body}{_ABOUT_REQUEST}{text}\n")
