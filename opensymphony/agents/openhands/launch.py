"""What we ask of a new conversation: the policy goes in, the body of the create call comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensymphony.agents.openhands.messages import ConversationInfo, to_status, to_usage
from opensymphony.errors import AgentServerError
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import Conversation, ConversationId, Usage
from opensymphony.workflow.policy import ConversationPolicy, LlmPolicy

_MICROS = 1_000_000
_LLM_TIMEOUT_S = 300


class NoModel(AgentServerError):
    """Raised when neither the policy nor the environment names a model."""

    error_class = "person"


def creation_body(
    request: ConversationRequest, policy: ConversationPolicy, environment: Mapping[str, str]
) -> dict[str, Any]:
    """No first message: it would start a run by itself, and is not delivered to a conversation that is there already."""
    agent: dict[str, Any] = {
        "kind": policy.agent.kind,
        "llm": _llm(policy.agent.llm, environment, "agent"),
        "tools": [{"name": name} for name in policy.agent.tools],
    }
    condenser = policy.agent.condenser
    if condenser.enabled:
        agent["condenser"] = {
            "kind": "LLMSummarizingCondenser",
            "llm": _llm(policy.agent.llm, environment, "condenser"),
            "max_size": condenser.max_size,
            "keep_first": condenser.keep_first,
        }
    return {
        "conversation_id": request.conversation_id,
        "workspace": {"working_dir": request.working_dir},
        "agent": agent,
        "max_iterations": policy.max_iterations,
        "stuck_detection": policy.stuck_detection,
        "confirmation_policy": {"kind": "NeverConfirm"},
        "autotitle": False,  # it would cost a model call of its own
        "tags": {"opensymphony": "active"},
    }


def is_as_asked(found: ConversationInfo, body: Mapping[str, Any]) -> bool:
    """Whether a conversation that is there has the tools and the directory we would ask for."""
    tools = [tool.name for tool in found.agent.tools]
    wanted = [tool["name"] for tool in body["agent"]["tools"]]
    return tools == wanted and works_in(found, body)


def works_in(found: ConversationInfo, body: Mapping[str, Any]) -> bool:
    return found.workspace.working_dir == body["workspace"]["working_dir"]


def to_conversation(
    found: ConversationInfo, *, created: bool, server_version: str, prices: LlmPolicy | None = None
) -> Conversation:
    return Conversation(
        id=ConversationId(found.id),
        created=created,
        status=to_status(found.execution_status),
        server_version=server_version,
        usage=to_usage(found.stats, prices) if found.stats else Usage(),
    )


def _llm(policy: LlmPolicy, environment: Mapping[str, str], usage_id: str) -> dict[str, Any]:
    model = policy.model or environment.get("LLM_MODEL")
    if not model:
        raise NoModel("no model is named: set openhands.conversation.agent.llm.model in WORKFLOW.md, or LLM_MODEL")
    llm: dict[str, Any] = {
        "model": model,
        "usage_id": usage_id,
        "stream": False,
        "timeout": _LLM_TIMEOUT_S,
        # The server's own waits between attempts (8, 16, 32, 64 s) look like a stall.
        "num_retries": policy.num_retries,
        "retry_min_wait": 1,
        "retry_max_wait": 8,
        "retry_multiplier": 1,
    }
    optional = {
        "base_url": environment.get(policy.base_url_env),
        "api_key": environment.get(policy.api_key_env),
        "input_cost_per_token": _money(policy.input_cost_per_token_micros),
        "output_cost_per_token": _money(policy.output_cost_per_token_micros),
        # A budget counts on them: what is told to us as the most of a call has to be told to the model, too.
        "max_input_tokens": policy.max_input_tokens,
        "max_output_tokens": policy.max_output_tokens,
    }
    # A price of 0 is one: it says that the model is free.
    return llm | {name: value for name, value in optional.items() if value is not None and value != ""}


def _money(micros: float | None) -> float | None:
    return None if micros is None else micros / _MICROS
