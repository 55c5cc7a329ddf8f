"""What agents may spend: limits in tokens and money for a run, a ticket, a day and the project.

A limit is looked at twice: before a turn the most that one call of each live conversation can cost must still fit, and at
every report of usage what is spent must lie below it. So it is overrun by the calls in flight at most, one for each live
conversation. Spent includes what a call that a crash cut off may have cost, until its usage is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from opensymphony.model import Usage
from opensymphony.workflow.policy import BudgetLimit, BudgetPolicy, Policy

if TYPE_CHECKING:
    from opensymphony.scheduler.state import Entry, State

BudgetScope = Literal["run", "ticket", "day", "project"]
SHARED: tuple[BudgetScope, ...] = ("day", "project")
"""Scopes in which all conversations spend together."""

Unit = Literal["tokens", "cost_micros"]

_INPUT_TOKENS, _OUTPUT_TOKENS = 200_000, 64_000
"""The most that a call can take where nobody knows: the window and the answer of today's large models."""

_NO_BUDGET = BudgetPolicy()

_WHOSE = {
    "run": "the run's budget",
    "ticket": "the ticket's budget",
    "day": "the day's budget",
    "project": "the project's budget",
}


class Breach(Struct, frozen=True, kw_only=True):
    """A limit that is reached, or that the next calls could break."""

    scope: BudgetScope
    text: str
    """One sentence for a person."""


class Line(Struct, frozen=True, kw_only=True):
    """One limit and what is spent of it."""

    scope: BudgetScope
    unit: Unit
    limit: int
    spent: int
    call: int
    """The most that one model call takes of it."""


def call_ceiling(policy: Policy) -> Usage:
    """The most that one model call can use and cost. Without prices its cost is 0: then no budget is in money."""
    llm = policy.openhands.conversation.agent.llm
    read, written = llm.max_input_tokens or _INPUT_TOKENS, llm.max_output_tokens or _OUTPUT_TOKENS
    cost = read * (llm.input_cost_per_token_micros or 0) + written * (llm.output_cost_per_token_micros or 0)
    return Usage(prompt_tokens=read, completion_tokens=written, cost_micros=round(cost), model_calls=1)


def has_limits(policy: Policy) -> bool:
    """Whether anything is limited at all."""
    if policy.budget == _NO_BUDGET:
        return False
    return next(limits(policy), None) is not None


def limits(policy: Policy) -> Iterator[tuple[BudgetScope, BudgetLimit]]:
    """The limits that are set, the narrowest scope first."""
    budget = policy.budget
    for scope, limit in (
        ("run", budget.run),
        ("ticket", budget.ticket),
        ("day", budget.day),
        ("project", budget.project),
    ):
        if limit.tokens is not None or limit.cost is not None:
            yield scope, limit  # pyright: ignore[reportReturnType]


def lines(state: State, policy: Policy, entry: Entry | None, *, extra: Usage | None = None) -> Iterator[Line]:
    """Every limit that concerns the ticket, or all tickets where none is given.

    `extra`: what its run has used that the state does not know yet.
    """
    ceiling: Usage | None = None
    for scope, limit in limits(policy):
        if entry is None and scope not in SHARED:
            continue
        ceiling = ceiling or call_ceiling(policy)
        spent = _spent(state, entry, scope)
        if extra is not None:
            spent = spent + extra
        times = 1 + entry.grants if entry is not None and scope == "ticket" else 1
        if limit.tokens is not None:
            used, call = spent.total_tokens, ceiling.total_tokens
            yield Line(scope=scope, unit="tokens", limit=times * limit.tokens, spent=used, call=call)
        if limit.cost_micros is not None:
            used, call = spent.cost_micros, ceiling.cost_micros
            yield Line(scope=scope, unit="cost_micros", limit=times * limit.cost_micros, spent=used, call=call)


def _spent(state: State, entry: Entry | None, scope: BudgetScope) -> Usage:
    if scope == "day":
        return state.spent_day
    if scope == "project" or entry is None:
        return state.spent_project
    in_run = entry.run.spent if entry.run is not None else Usage()
    return in_run if scope == "run" else entry.usage + in_run


def limit_reached(state: State, policy: Policy, entry: Entry, *, extra: Usage | None = None) -> Breach | None:
    """The first limit of which nothing is left."""
    for line in lines(state, policy, entry, extra=extra):
        if line.spent >= line.limit:
            return Breach(scope=line.scope, text=f"{_WHOSE[line.scope]} is used up: {_so_far(line)}")
    return None


def call_does_not_fit(
    state: State, policy: Policy, entry: Entry | None, *, live: int, extra: Usage | None = None
) -> Breach | None:
    """The first limit that one call each of `live` conversations could break; those of a single ticket by one call."""
    for line in lines(state, policy, entry, extra=extra):
        calls = live if line.scope in SHARED else 1
        if line.spent + calls * line.call > line.limit:
            most = f"one model call may take {_amount(line.call, line.unit)}"
            if calls > 1:
                most = f"{calls} conversations may take {_amount(calls * line.call, line.unit)} with their next calls"
            return Breach(scope=line.scope, text=f"{_WHOSE[line.scope]} does not suffice: {_so_far(line)}, and {most}")
    return None


def was_raised(old: Policy, new: Policy, scope: BudgetScope) -> bool:
    """Whether a limit of the scope is higher now, or gone."""
    before, after = (getattr(policy.budget, scope) for policy in (old, new))
    return any(
        one is not None and (other is None or other > one)
        for one, other in ((before.tokens, after.tokens), (before.cost_micros, after.cost_micros))
    )


def _so_far(line: Line) -> str:
    return f"{_amount(line.spent, line.unit)} of {_amount(line.limit, line.unit)} are spent (budget.{line.scope})"


def _amount(number: int, unit: Unit) -> str:
    return f"{number:,} tokens" if unit == "tokens" else f"{number / 1_000_000:,.2f} in money"
