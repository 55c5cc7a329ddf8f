"""`opensymphony explain`: why a ticket is, or is not, being worked on, and since when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from opensymphony.cli import ask, output

if TYPE_CHECKING:
    from opensymphony.views import BudgetView, Explanation, PullRequestView, TicketView

_ASKED_CHARS_MAX = 300


def explain(
    ticket: ask.TicketArgument,
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    json: ask.JsonOption = False,
) -> None:
    """Say why a ticket is, or is not, being worked on, and since when.

    First one sentence; then every condition on starting it and how each stands, what it may spend, what is being done about
    it right now, and how its last runs ended.
    """
    from opensymphony.api.client import UnknownIssue, fetch_explanation
    from opensymphony.clock import Clock
    from opensymphony.errors import InstanceError

    address = ask.find(workflow, config)
    try:
        found = fetch_explanation(address, ticket)
    except UnknownIssue:
        ask.fail_unknown(address, ticket)
    except InstanceError as error:
        output.fail(str(error), output.FAILED)
    if json:
        output.document(found)
        return
    for line in lines(found, Clock().now_ms()):
        output.data(output.one_line(line))


def lines(found: Explanation, now_ms: int) -> Iterator[str]:
    """The explanation as text."""
    view = found.ticket
    yield f"{view.identifier}: {found.sentence}{_since(found.since_ms, now_ms)}"
    yield f"  {view.title}"
    yield from (f"  {line}" for line in asked_lines(view, now_ms))
    standing = [f"state {view.state}", view.phase.replace("_", " ")]
    standing += [f"run {view.generation}"] if view.generation else []
    standing += ["paused"] if view.paused else []
    yield f"  {', '.join(standing)}"
    if view.activity and view.last_activity_ms:
        yield f"  the agent: {view.activity}{_since(view.last_activity_ms, now_ms)}"
    if view.rehydration:
        yield f"  its next conversation is another one: {view.rehydration}"
    elif view.conversation_reason:
        yield f"  its conversation stands in for an earlier one: {view.conversation_reason}"
    if view.due_ms is not None:
        yield f"  next try at {_iso(view.due_ms)}"
    if view.pull_request is not None:
        yield from (f"  {line}" for line in _pull_lines(view.pull_request))
    if view.messages:
        yield f"  {view.messages} message{'' if view.messages == 1 else 's'} for the agent wait for its next turn"
    yield ""
    yield "conditions on starting it"
    width = max((len(rule.name) for rule in found.rules), default=0)
    for rule in found.rules:
        mark = "ok" if rule.holds else "NO"
        yield f"  {mark}  {rule.name:<{width}}  {rule.text}{_since(rule.since_ms, now_ms)}"
    for heading, facts in (
        ("budgets", [budget_line(one) for one in found.budgets]),
        ("being done right now", [_doing(key) for key in found.pending]),
        ("last runs, newest first", list(found.history)),
    ):
        if facts:
            yield ""
            yield heading
            yield from (f"  {fact}" for fact in facts)


def _pull_lines(pull: PullRequestView) -> Iterator[str]:
    rounds = f", {pull.rounds} round{'' if pull.rounds == 1 else 's'} of review" if pull.rounds else ""
    yield f"pull request {pull.url}: {pull.state}{rounds}"
    if pull.unmerged:
        yield f"not merged yet: {pull.unmerged}"
    if pull.open_threads:
        one = pull.open_threads == 1
        yield f"{pull.open_threads} thread{' of its review waits' if one else 's of its review wait'} for an answer"
    if pull.starts_ms is not None:
        yield f"its review starts it again at {_iso(pull.starts_ms)}, if nothing more is said until then"


def _doing(key: str) -> str:
    """What a command does in words, and its key as the log has it: `await turn (A-1#2/7/await-turn)`."""
    name = key.rpartition("/")[2].replace("-", " ")
    return f"{name} ({key})" if name and name != key else key


def budget_line(budget: BudgetView) -> str:
    """One limit: `day: 1,200 of 5,000 tokens spent; 500 reserved for calls in flight`."""
    if budget.unit == "tokens":
        spent, limit, reserved = (f"{one:,}" for one in (budget.spent, budget.limit, budget.reserved))
        unit = " tokens"
    else:
        spent, limit, reserved = (f"{one / 1_000_000:,.2f}" for one in (budget.spent, budget.limit, budget.reserved))
        unit = " in money"
    return f"{budget.scope}: {spent} of {limit}{unit} spent; the next calls may take {reserved}"


def _since(at_ms: int | None, now_ms: int) -> str:
    return f" (for {output.duration(now_ms - at_ms)}, since {_iso(at_ms)})" if at_ms else ""


def _iso(at_ms: int) -> str:
    from opensymphony.clock import iso

    return iso(at_ms)


def asked_lines(view: TicketView, now_ms: int) -> list[str]:
    """What the agent wants from a person, and the command that answers; nothing when it wants nothing."""
    asked = view.asked
    if asked is None:
        return []
    words = " / ".join(line.strip() for line in asked.text.splitlines() if line.strip())
    shown = words if len(words) <= _ASKED_CHARS_MAX else f"{words[:_ASKED_CHARS_MAX]}..."
    left = f"for {output.duration(asked.expires_ms - now_ms)} more" if asked.expires_ms > now_ms else "no more"
    if asked.kind == "question":
        return [f"asks: {shown}", f'answer with: opensymphony message {view.identifier} "..." ({left})']
    name, digest = view.identifier, asked.digest[:12]
    return [
        f"wants to: {shown}",
        f"answer with: opensymphony approve {name} --digest {digest}, or reject {name} --reason ... ({left})",
    ]
