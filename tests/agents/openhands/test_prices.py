"""What a model costs, as the agent-server's own list has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opensymphony.agents.openhands import prices
from opensymphony.agents.openhands.prices import ModelPrices, find, find_in, list_path

LIST: dict[str, Any] = {
    "sample_spec": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "max_tokens": "a text"},
    "plain": {
        "litellm_provider": "openai",
        "input_cost_per_token": 2e-06,
        "output_cost_per_token": 8e-06,
        "max_input_tokens": 1000,
        "max_output_tokens": 100,
    },
    "caching": {
        "litellm_provider": "anthropic",
        "input_cost_per_token": 3e-06,
        "input_cost_per_token_above_200k_tokens": 6e-06,
        "input_cost_per_token_priority": 9e-05,
        "cache_read_input_token_cost": 3e-07,
        "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 7e-06,
        "output_cost_per_token": 1.5e-05,
        "output_cost_per_token_above_200k_tokens": 2.25e-05,
        "output_cost_per_token_batches": 1,
        "output_cost_per_reasoning_token": 1.6e-05,
    },
    "tiered": {"tiered_pricing": [{"input_cost_per_token": 1e-07, "output_cost_per_token": 2e-06}, {}, 3]},
    "ollama/free": {"litellm_provider": "ollama", "input_cost_per_token": 0, "output_cost_per_token": 0.0},
    "vertex": {"litellm_provider": "vertex_ai-models", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "half": {"input_cost_per_token": 1e-06, "output_cost_per_token": None, "max_tokens": 50},
    "odd": {"input_cost_per_token": True, "output_cost_per_token": "1e-06", "max_input_tokens": -3, "max_tokens": []},
    "absurd": {"input_cost_per_token": 5000, "output_cost_per_token": -1},
    "no object": 17,
}


@pytest.fixture
def tool_dir(tmp_path: Path) -> Path:
    """An installation as far as its price list goes."""
    place = tmp_path / "env-1" / "lib" / "python3.13" / "site-packages" / "litellm"
    place.mkdir(parents=True)
    (place / "model_prices_and_context_window_backup.json").write_text(json.dumps(LIST))
    (tmp_path / "current").symlink_to("env-1")
    return tmp_path


def price(tool_dir: Path, model: str) -> tuple[float | None, float | None] | None:
    found = find(tool_dir, model)
    return found and (found.input_cost_per_token_micros, found.output_cost_per_token_micros)


def test_a_model_is_found_with_and_without_its_provider(tool_dir: Path) -> None:
    """Also behind a proxy; but another provider's model of the same name is another model."""
    assert find(tool_dir, "openai/plain") == ModelPrices(
        name="plain",
        input_cost_per_token_micros=2.0,
        output_cost_per_token_micros=8.0,
        max_input_tokens=1000,
        max_output_tokens=100,
    )
    assert find(tool_dir, "plain") == find(tool_dir, "litellm_proxy/openai/plain") == find(tool_dir, "openai/plain")
    assert price(tool_dir, "vertex_ai/vertex") == (1.0, 1.0)
    assert price(tool_dir, "ollama/free") == (0.0, 0.0)
    assert price(tool_dir, "ollama/plain") is None
    assert price(tool_dir, "nobody/knows/this") is None


def test_the_dearest_price_counts(tool_dir: Path) -> None:
    """Writing to the cache and long prompts cost more; ways to ask that nobody here uses do not count."""
    assert price(tool_dir, "anthropic/caching") == (7.0, 22.5)
    assert price(tool_dir, "tiered") == (0.1, 2.0)


def test_an_odd_entry_costs_only_itself(tool_dir: Path) -> None:
    """What is no price is no price; the example entry at the top of the list is no free model."""
    assert price(tool_dir, "half") == (1.0, None)
    assert price(tool_dir, "odd") == price(tool_dir, "absurd") == (None, None)
    assert price(tool_dir, "no object") is price(tool_dir, "sample_spec") is price(tool_dir, "") is None
    found = find(tool_dir, "half")
    assert found is not None
    assert (found.max_input_tokens, found.max_output_tokens) == (None, 50), "a limit of answers is no window"


def test_a_list_that_cannot_be_read_knows_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, broken, too large, or not what it was."""
    assert find(tmp_path, "plain") is None
    place = tmp_path / "list.json"
    for content in ("", "{", "[1]", '{"plain": '):
        place.write_text(content)
        assert find_in(place, "plain") is None
    place.write_bytes(b'{"plain": {"\xff": 1}}')
    assert find_in(place, "plain") is None
    place.write_text(json.dumps(LIST))
    assert find_in(place, "plain") is not None
    monkeypatch.setattr(prices, "FILE_BYTES_MAX", 10)
    assert find_in(place, "plain") is None


def test_the_installed_list_has_what_people_use(agent_server_tool_dir: Path) -> None:
    """The real one has prices for models of several providers under the names that litellm gives them."""
    assert list_path(agent_server_tool_dir) is not None
    for model in ("openai/gpt-5-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro"):
        found = find(agent_server_tool_dir, model)
        assert found is not None, model
        assert found.input_cost_per_token_micros, model
        assert found.output_cost_per_token_micros, model
        assert found.max_input_tokens, model
        assert found.max_output_tokens, model
