"""What the chosen model may cost: the policy's own prices, else those of the installed agent-server's list.

A budget in money is only as good as the prices: without them nothing could be counted, so that is an error of the
configuration; a limit under which no single call fits is worth a warning.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from opensymphony.agents import installation_state, model_prices
from opensymphony.daemon.model_access import with_llm
from opensymphony.errors import ConfigurationError, Problem
from opensymphony.model import Usage
from opensymphony.scheduler.budget import call_ceiling, limits
from opensymphony.settings import Settings
from opensymphony.workflow.policy import Policy

UNKNOWN_PRICE = "unknown_price"
HALF_A_PRICE = "half_a_price"
TOO_SMALL = "budget_too_small"
_KEY = "openhands.conversation.agent.llm"
_PRICES = ("input_cost_per_token_micros", "output_cost_per_token_micros")


class Priced(Struct, frozen=True, kw_only=True):
    """A policy whose model has its prices and limits, as far as they can be known."""

    policy: Policy
    source: str
    """Where the prices come from, for people; empty when they are not known."""
    unused: str = ""
    """The price that the policy names without the other one, if it does."""


def look_up(policy: Policy, settings: Settings) -> Priced:
    """Fill in what the policy does not say about its model. Blocking: reads the agent-server's price list."""
    llm = policy.openhands.conversation.agent.llm
    written = {name: getattr(llm, name) for name in _PRICES}
    unused = (
        next((name for name, price in written.items() if price is not None), "") if None in written.values() else ""
    )
    own = None not in written.values()
    if own and llm.max_input_tokens is not None and llm.max_output_tokens is not None:
        return Priced(policy=policy, source="WORKFLOW.md")
    found = model_prices(llm.model or "", Path(settings.tool_dir))
    listed = {name: getattr(found, name, None) for name in _PRICES}
    known = None not in listed.values()
    filled = msgspec.structs.replace(
        llm,
        **(written if own else listed),
        max_input_tokens=llm.max_input_tokens or getattr(found, "max_input_tokens", None),
        max_output_tokens=llm.max_output_tokens or getattr(found, "max_output_tokens", None),
    )
    source = f"the agent-server's price list ({found.name})" if found is not None and known else ""
    return Priced(policy=with_llm(policy, filled), source="WORKFLOW.md" if own else source, unused=unused)


def with_prices(policy: Policy, settings: Settings) -> Policy:
    """The policy that decides about budgets. Raises `ConfigurationError` when one is in money and the price is unknown."""
    priced = look_up(policy, settings)
    problem = _unknown_price(priced, settings)
    if problem is not None:
        raise ConfigurationError([problem])
    return priced.policy


def budget_problems(priced: Priced, settings: Settings) -> list[Problem]:
    """What is wrong with the budgets of a policy that is fine otherwise."""
    unknown = _unknown_price(priced, settings)
    found = [unknown] if unknown is not None else _too_small(priced.policy, settings)
    if priced.unused:
        message = "stands alone and has no effect: the agent-server takes both prices or none; write the other one too"
        key = f"{_KEY}.{priced.unused}"
        found.append(
            Problem(file=settings.workflow_path, key=key, message=message, severity="warning", code=HALF_A_PRICE)
        )
    return found


def describe_call(policy: Policy) -> str:
    """The most that one call takes, for people."""
    ceiling = call_ceiling(policy)
    llm = policy.openhands.conversation.agent.llm
    known = llm.input_cost_per_token_micros is not None and llm.output_cost_per_token_micros is not None
    cost = f", {_money(ceiling)} in money" if known else ""
    return f"{ceiling.prompt_tokens:,} tokens read and {ceiling.completion_tokens:,} written{cost}"


def _unknown_price(priced: Priced, settings: Settings) -> Problem | None:
    in_money = [scope for scope, limit in limits(priced.policy) if limit.cost is not None]
    llm = priced.policy.openhands.conversation.agent.llm
    if not in_money or (llm.input_cost_per_token_micros is not None and llm.output_cost_per_token_micros is not None):
        return None
    status, _ = installation_state(Path(settings.tool_dir))
    why = "the agent-server's price list does not have it"
    install = ""
    if status != "complete":
        why, install = f"the agent-server, which has a price list, is not installed ({status})", "install it, or "
    return Problem(
        file=settings.workflow_path,
        key=f"budget.{in_money[0]}.cost",
        message=f"is in money, but what {llm.model} costs is not known: {why}; {install}write both "
        f"{_KEY}.input_cost_per_token_micros and output_cost_per_token_micros (0 for a free model)",
        code=UNKNOWN_PRICE,
    )


def _too_small(policy: Policy, settings: Settings) -> list[Problem]:
    ceiling = call_ceiling(policy)
    found: list[Problem] = []
    for scope, limit in limits(policy):
        for unit, wanted, call, told in (
            ("tokens", limit.tokens, ceiling.total_tokens, f"{ceiling.total_tokens:,}"),
            ("cost", limit.cost_micros, ceiling.cost_micros, _money(ceiling)),
        ):
            if wanted is not None and wanted < call:
                message = (
                    f"is less than one model call may take ({told}: {describe_call(policy)}), so that nothing ever "
                    f"starts: raise it, or write a smaller {_KEY}.max_input_tokens or max_output_tokens"
                )
                found.append(
                    Problem(
                        file=settings.workflow_path,
                        key=f"budget.{scope}.{unit}",
                        message=message,
                        severity="warning",
                        code=TOO_SMALL,
                    )
                )
    return found


def _money(usage: Usage) -> str:
    return f"{usage.cost_micros / 1_000_000:,.2f}"
