"""Names of the agent-server that a policy may use."""

from __future__ import annotations

from opensymphony.schema import looks_secret
from opensymphony.workflow.agent_options import DEFAULT_TOOLS, LLM_OPTIONS
from opensymphony.workflow.policy import ConversationAgentPolicy, LlmPolicy


def test_no_secret_and_nothing_with_a_key_of_its_own_can_be_named() -> None:
    """Keys and addresses come from the environment, and what counts for a budget has one place."""
    assert [name for name in LLM_OPTIONS if looks_secret(name)] == []
    own = {"model", "api_key", "base_url", "usage_id", "stream", "input_cost_per_token", "output_cost_per_token"}
    assert not (own | set(LlmPolicy.__struct_fields__)) & set(LLM_OPTIONS)


def test_the_defaults_are_names_that_there_are() -> None:
    """What is asked for without being written down is known, too."""
    assert set(ConversationAgentPolicy().include_default_tools) <= set(DEFAULT_TOOLS)
