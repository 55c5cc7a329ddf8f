"""The request for a new conversation."""

from __future__ import annotations

import pytest

from opensymphony.agents.openhands.launch import creation_body
from opensymphony.errors import AgentServerError
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import ConversationId
from opensymphony.workflow.policy import CondenserPolicy, ConversationAgentPolicy, ConversationPolicy, LlmPolicy

REQUEST = ConversationRequest(conversation_id=ConversationId("c1"), working_dir="/w", title="T")
ENVIRONMENT = {"LLM_MODEL": "openai/m", "LLM_API_KEY": "k", "LLM_BASE_URL": "http://127.0.0.1:1/v1"}


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
