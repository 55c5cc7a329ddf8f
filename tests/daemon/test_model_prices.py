"""Which prices count, and which budgets cannot be counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from opensymphony.agents import Runtime
from opensymphony.daemon.app import Daemon
from opensymphony.daemon.model_access import with_llm
from opensymphony.daemon.model_prices import budget_problems, describe_call, look_up, with_prices
from opensymphony.errors import ConfigurationError
from opensymphony.scheduler import events as e
from opensymphony.settings import Settings
from opensymphony.workflow.policy import BudgetLimit, BudgetPolicy, LlmPolicy, Policy
from tests.daemon.world import World
from tests.scheduler.playbook import policy

LIST = {
    "known": {
        "litellm_provider": "openai",
        "input_cost_per_token": 2e-06,
        "cache_creation_input_token_cost": 4e-06,
        "output_cost_per_token": 1e-05,
        "max_input_tokens": 100_000,
        "max_output_tokens": 10_000,
    },
    "free": {"input_cost_per_token": 0, "output_cost_per_token": 0},
    "seats": {"max_input_tokens": 5_000, "max_output_tokens": 500},
}


@pytest.fixture
def settings(world: World) -> Settings:
    """A host with a price list in the place of an agent-server."""
    found = world.settings()
    place = Path(found.tool_dir) / "current" / "lib" / "python3.12" / "site-packages" / "litellm"
    place.mkdir(parents=True)
    (place / "model_prices_and_context_window_backup.json").write_text(json.dumps(LIST))
    return found


def with_budget(model: str, day: BudgetLimit | None = None, **llm: Any) -> Policy:
    base = with_llm(policy(), LlmPolicy(model=model, **llm))
    return msgspec.structs.replace(base, budget=BudgetPolicy(day=day or BudgetLimit(cost=5)))


def llm_of(chosen: Policy) -> LlmPolicy:
    return chosen.openhands.conversation.agent.llm


def test_the_list_fills_in_what_the_policy_does_not_say(settings: Settings) -> None:
    """At the dearest of its prices; the name of the model and everything else stay as they were."""
    priced = look_up(with_budget("openai/known"), settings)
    assert llm_of(priced.policy) == LlmPolicy(
        model="openai/known",
        input_cost_per_token_micros=4.0,
        output_cost_per_token_micros=10.0,
        max_input_tokens=100_000,
        max_output_tokens=10_000,
    )
    assert priced.source == "the agent-server's price list (known)"
    assert describe_call(priced.policy) == "100,000 tokens read and 10,000 written, 0.50 in money"


def test_the_policys_own_prices_win(settings: Settings) -> None:
    """Both of them; limits that it does not say still come from the list."""
    own = {"input_cost_per_token_micros": 1.0, "output_cost_per_token_micros": 2.0, "max_output_tokens": 7}
    found = llm_of(with_prices(with_budget("openai/known", **own), settings))
    assert (found.input_cost_per_token_micros, found.output_cost_per_token_micros) == (1.0, 2.0)
    assert (found.max_input_tokens, found.max_output_tokens) == (100_000, 7)
    assert look_up(with_budget("nobody/knows", **own), settings).source == "WORKFLOW.md"


@pytest.mark.parametrize("model", ["nobody/knows", "seats"])
def test_money_without_a_price_is_an_error(model: str, settings: Settings) -> None:
    """With file, key and what to do; a budget in tokens needs no price."""
    with pytest.raises(ConfigurationError) as refused:
        with_prices(with_budget(model), settings)
    [problem] = refused.value.problems
    assert (problem.file, problem.key, problem.code) == (settings.workflow_path, "budget.day.cost", "unknown_price")
    assert problem.message.startswith(f"is in money, but what {model} costs is not known")
    assert "openhands.conversation.agent.llm.input_cost_per_token_micros" in problem.message
    with_prices(with_budget(model, BudgetLimit(tokens=10_000_000)), settings)


def test_without_an_agent_server_the_remedy_is_to_install_it(world: World) -> None:
    """Nothing is wrong with the file then."""
    with pytest.raises(ConfigurationError, match=r"is not installed \(absent\); install it, or write both"):
        with_prices(with_budget("openai/known"), world.settings())


def test_a_free_model_may_have_a_budget(settings: Settings) -> None:
    """Its price is known: it is nothing, whoever says so."""
    assert llm_of(with_prices(with_budget("free"), settings)).input_cost_per_token_micros == 0
    with_prices(with_budget("mine", input_cost_per_token_micros=0, output_cost_per_token_micros=0), settings)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (BudgetLimit(cost=0.49), ["budget.day.cost: is less than one model call may take (0.50: 100,000 tokens read"]),
        (BudgetLimit(tokens=109_999), ["budget.day.tokens: is less than one model call may take (110,000: "]),
        (BudgetLimit(tokens=110_000, cost=0.5), []),
        (BudgetLimit(tokens=1, cost=0.1), ["budget.day.tokens", "budget.day.cost"]),
    ],
)
def test_a_limit_without_room_for_one_call_is_told(limit: BudgetLimit, said: list[str], settings: Settings) -> None:
    """Nothing would ever start, and nobody would know why."""
    problems = budget_problems(look_up(with_budget("known", limit), settings), settings)
    assert [problem.severity for problem in problems] == ["warning"] * len(said)
    for problem, text in zip(problems, said, strict=True):
        assert text in str(problem)


async def test_decisions_know_prices_and_the_agent_server_does_not(world: World, settings: Settings) -> None:
    """Told to the server, the dearest price would count for cheap cached tokens too; the day is known before work starts."""
    world.ticket("A-1")
    opened: list[dict[str, Any]] = []

    def open_runtime(chosen: Callable[[], Policy], **given: Any) -> Runtime:
        opened.append({"asked": chosen(), "prices": given["prices"]()})
        return world.agents.open_runtime(chosen, **given)

    asked = with_llm(world.policy(budget=BudgetPolicy(day=BudgetLimit(cost=50))), LlmPolicy(model="openai/known"))
    daemon = Daemon(
        settings,
        asked,
        environment={},
        once=True,
        price=lambda policy: with_prices(policy, settings),
        open_runtime=open_runtime,
    )
    await daemon.run()
    assert opened == [{"asked": asked, "prices": llm_of(with_prices(asked, settings))}]
    events = [record.event for record in world.whole_journal()]
    loaded = next(event for event in events if isinstance(event, e.PolicyLoaded))
    assert llm_of(loaded.policy).input_cost_per_token_micros == 4.0
    kinds = [type(event) for event in events]
    assert kinds.index(e.PolicyLoaded) < kinds.index(e.DayBegan) < kinds.index(e.TicketChanged)
