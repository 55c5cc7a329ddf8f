"""The request for a new conversation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opensymphony.agents.openhands.launch import creation_body
from opensymphony.errors import AgentServerError
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import ConversationId
from opensymphony.workflow.agent_options import LLM_OPTIONS
from opensymphony.workflow.policy import CondenserPolicy, ConversationAgentPolicy, ConversationPolicy, LlmPolicy

REQUEST = ConversationRequest(conversation_id=ConversationId("c1"), working_dir="/w", title="T")
ENVIRONMENT = {"LLM_MODEL": "openai/m", "LLM_API_KEY": "k", "LLM_BASE_URL": "http://127.0.0.1:1/v1"}


@pytest.mark.parity("forwards_condenser")
@pytest.mark.parity("honors_agent_tool_overrides")
@pytest.mark.parity("forwards_llm_provider_overrides")
def test_the_conversation_is_asked_for_as_the_policy_says() -> None:
    """Every choice of the policy stands in the request, the key comes from the named variable, nothing is left to defaults."""
    agent = ConversationAgentPolicy(
        llm=LlmPolicy(
            model="openai/other",
            api_key_env="MY_KEY",
            num_retries=2,
            input_cost_per_token_micros=2.5,
            max_input_tokens=90_000,
            max_output_tokens=4_000,
        ),
        tools=("terminal",),
        condenser=CondenserPolicy(max_size=50),
    )
    body = creation_body(REQUEST, ConversationPolicy(agent=agent, max_iterations=7), ENVIRONMENT | {"MY_KEY": "mine"})
    llm = body["agent"]["llm"]
    assert (llm["model"], llm["api_key"], llm["num_retries"], llm["stream"]) == ("openai/other", "mine", 2, False)
    assert llm["input_cost_per_token"] == 2.5e-6
    assert (llm["max_input_tokens"], llm["max_output_tokens"]) == (90_000, 4_000)
    assert (llm["usage_id"], body["agent"]["condenser"]["llm"]["usage_id"]) == ("agent", "condenser")
    assert (body["agent"]["tools"], body["agent"]["condenser"]["max_size"]) == ([{"name": "terminal"}], 50)
    assert (body["max_iterations"], body["autotitle"], "initial_message" in body) == (7, False, False)


@pytest.mark.parity("fails_when_provider_env_missing")
@pytest.mark.fixes(23)
def test_no_model_is_said_before_anything_is_made() -> None:
    """Neither policy nor environment names a model: one line with both remedies."""
    with pytest.raises(AgentServerError, match="LLM_MODEL"):
        creation_body(REQUEST, ConversationPolicy(), {})


def test_prices_and_limits_are_told_as_they_are_written() -> None:
    """A price of 0 says that the model is free; what is not written is left to the server."""
    free = LlmPolicy(
        input_cost_per_token_micros=0, output_cost_per_token_micros=0, max_input_tokens=50_000, max_output_tokens=4_000
    )
    body = creation_body(REQUEST, ConversationPolicy(agent=ConversationAgentPolicy(llm=free)), ENVIRONMENT)
    llm = body["agent"]["llm"]
    assert (llm["input_cost_per_token"], llm["output_cost_per_token"]) == (0, 0)
    assert (llm["max_input_tokens"], llm["max_output_tokens"]) == (50_000, 4_000)
    bare = creation_body(REQUEST, ConversationPolicy(), ENVIRONMENT | {"LLM_BASE_URL": ""})["agent"]["llm"]
    assert not {
        "input_cost_per_token",
        "output_cost_per_token",
        "max_input_tokens",
        "max_output_tokens",
        "base_url",
    } & set(bare)


OPENAPI = Path(__file__).parents[4] / "shared/specs/openhands-agent-server-1.58.openapi.json"


def unknown_fields(body: dict[str, Any], schema: str, schemas: dict[str, Any], at: str = "") -> list[str]:
    """Fields of the body that the server's own document does not have, and would ignore."""
    known = schemas[schema]["properties"]
    return [f"{at}{name}" for name in body if name not in known]


@pytest.mark.skipif(not OPENAPI.exists(), reason="the official OpenAPI document is not beside the repository")
def test_nothing_is_sent_that_the_server_ignores() -> None:
    """An unknown field is accepted and ignored in silence (trap 15): every one of ours stands in the official document."""
    schemas = json.loads(OPENAPI.read_text())["components"]["schemas"]
    llm = LlmPolicy(
        input_cost_per_token_micros=1, output_cost_per_token_micros=1, max_input_tokens=20_000, max_output_tokens=9,
        options=dict.fromkeys(LLM_OPTIONS, 1),
    )  # fmt: skip
    policy = ConversationPolicy(agent=ConversationAgentPolicy(llm=llm))
    body = creation_body(REQUEST, policy, ENVIRONMENT)
    agent = body["agent"]
    ignored = unknown_fields(body, "StartConversationRequest", schemas)
    ignored += unknown_fields(agent, "Agent-Input", schemas, "agent.")
    ignored += unknown_fields(agent["llm"], "LLM-Input", schemas, "agent.llm.")
    ignored += unknown_fields(agent["condenser"], "LLMSummarizingCondenser-Input", schemas, "agent.condenser.")
    ignored += unknown_fields(agent["condenser"]["llm"], "LLM-Input", schemas, "agent.condenser.llm.")
    assert ignored == []
    assert unknown_fields({"kind": "Agent", "tolls": []}, "Agent-Input", schemas) == ["tolls"]


def test_options_do_not_replace_what_has_a_key_of_its_own() -> None:
    """A policy's option stands beside our own settings, and wins over the ones that have no key."""
    llm = LlmPolicy(model="openai/other", options={"timeout": 600, "reasoning_effort": "high"})
    body = creation_body(REQUEST, ConversationPolicy(agent=ConversationAgentPolicy(llm=llm)), ENVIRONMENT)
    sent = body["agent"]["llm"]
    assert (sent["model"], sent["timeout"], sent["reasoning_effort"]) == ("openai/other", 600, "high")
    names = {"usage_id"}
    condenser = body["agent"]["condenser"]["llm"]
    assert {k: v for k, v in condenser.items() if k not in names} == {
        k: v for k, v in sent.items() if k not in names
    }, "the server switches both at once only while they are the same"
