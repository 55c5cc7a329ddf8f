"""What we ask of a new conversation: the policy goes in, the body of the create call comes out."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from opensymphony.agents.openhands.asking import ASK_PERSON, TOOL
from opensymphony.agents.openhands.messages import ConversationInfo, read, to_status, to_usage
from opensymphony.errors import AgentServerError
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import Conversation, ConversationId, Launch, Usage
from opensymphony.workflow.policy import ConversationPolicy, LlmPolicy

_MICROS = 1_000_000
_LLM_TIMEOUT_S = 300
_LLM_TAG = "llm"
_FINGERPRINT_CHARS = 16


class NoModel(AgentServerError):
    """Raised when neither the policy nor the environment names a model."""

    error_class = "person"


def creation_body(
    request: ConversationRequest, policy: ConversationPolicy, environment: Mapping[str, str]
) -> dict[str, Any]:
    """No first message: it would start a run by itself, and is not delivered to a conversation that is there already."""
    llm = model_settings(policy.agent.llm, environment)
    agent: dict[str, Any] = {
        "kind": policy.agent.kind,
        "llm": {**llm, "usage_id": "agent"},
        "tools": [{"name": name} for name in policy.agent.tools],
        "include_default_tools": list(policy.agent.include_default_tools),
    }
    condenser = policy.agent.condenser
    if condenser.enabled:
        # The same settings as the agent's but for the name: only then the server switches both at once.
        agent["condenser"] = {
            "kind": "LLMSummarizingCondenser",
            "llm": {**llm, "usage_id": "condenser"},
            "max_size": condenser.max_size,
            "keep_first": condenser.keep_first,
        }
    return {
        "conversation_id": request.conversation_id,
        "workspace": {"working_dir": request.working_dir},
        "agent": agent,
        "max_iterations": policy.max_iterations,
        "stuck_detection": policy.stuck_detection,
        "confirmation_policy": _confirmation(policy),
        **({"security_analyzer": {"kind": "LLMSecurityAnalyzer"}} if _goes_by_risk(policy) else {}),
        **({"client_tools": [ASK_PERSON]} if policy.questions else {}),
        "autotitle": False,  # it would cost a model call of its own
        "tags": tags(request.conversation_id, llm),
    }


def _confirmation(policy: ConversationPolicy) -> dict[str, Any]:
    wanted = policy.confirmation_policy
    if not _goes_by_risk(policy):
        return {"kind": wanted.kind}
    return {"kind": wanted.kind, "threshold": wanted.threshold, "confirm_unknown": wanted.confirm_unknown}


def _goes_by_risk(policy: ConversationPolicy) -> bool:
    return policy.confirmation_policy.kind == "ConfirmRisky"


def confirms_alike(found: ConversationInfo, body: Mapping[str, Any]) -> bool:
    """Whether a conversation asks for approvals as we would have it; one that does not tell asks for none."""
    has = read(found.confirmation_policy, dict[str, Any]) or {"kind": "NeverConfirm"}
    return all(has.get(name) == value for name, value in body["confirmation_policy"].items())


def tags(conversation_id: str, llm: Mapping[str, Any]) -> dict[str, str]:
    """What marks a conversation as ours, and which model it was given last."""
    settings = {name: value for name, value in llm.items() if name != "usage_id"}
    return {
        "opensymphony": "active",
        _LLM_TAG: _fingerprint(conversation_id, msgspec.json.encode(settings, order="sorted")),
    }


def knows_model(found: ConversationInfo, wanted: Mapping[str, str]) -> bool:
    """Whether the model that the conversation was given last is the one it would be given now; `wanted` comes from `tags`."""
    return (found.tags or {}).get(_LLM_TAG) == wanted[_LLM_TAG]


def why_unfit(found: ConversationInfo, body: Mapping[str, Any]) -> str:
    """What of a conversation that is there can no longer be changed and is not as we would ask for; empty when all is well.

    A condenser that is there and would be made otherwise, or not at all, is left as it is: it keeps the history short enough.
    So is the tool for questions, which the server lists among the agent's: no history is worth less than that.
    """
    agent, wanted = found.agent, body["agent"]
    working_dir = body["workspace"]["working_dir"]
    if found.workspace.working_dir != working_dir:
        return f"it works in {found.workspace.working_dir or 'no directory'}, not in {working_dir}"
    if agent.kind not in (None, wanted["kind"]):
        return f"its agent is {agent.kind}, not {wanted['kind']}"
    tools = [tool["name"] for tool in wanted["tools"]]
    found_tools = [tool.name for tool in agent.tools if tool.name != TOOL]
    if found_tools != tools:
        return f"its tools are {', '.join(found_tools) or 'none'}, not {', '.join(tools) or 'none'}"
    defaults = wanted["include_default_tools"]
    if agent.include_default_tools is not None and sorted(agent.include_default_tools) != sorted(defaults):
        return f"its default tools are {', '.join(agent.include_default_tools) or 'none'}, not {', '.join(defaults) or 'none'}"
    if "condenser" in wanted and bytes(agent.condenser) == b"null":
        return "its history is never summarised, and now it should be"
    return ""


def launch_of(body: Mapping[str, Any], policy: ConversationPolicy) -> Launch:
    """What a conversation works with, as it may be shown."""
    llm, condenser = body["agent"]["llm"], body["agent"].get("condenser")
    key = str(llm.get("api_key", ""))
    return Launch(
        model=llm["model"],
        api_key_env=policy.agent.llm.api_key_env,
        base_url_env=policy.agent.llm.base_url_env,
        key_fingerprint=_fingerprint(body["conversation_id"], key.encode()) if key else "",
        tools=tuple(tool["name"] for tool in body["agent"]["tools"]),
        condenser=f"{condenser['max_size']}/{condenser['keep_first']}" if condenser else "",
        confirmation_policy=body["confirmation_policy"]["kind"],
        max_iterations=body["max_iterations"],
    )


def _fingerprint(conversation_id: str, data: bytes) -> str:
    return hmac.new(conversation_id.encode(), data, hashlib.sha256).hexdigest()[:_FINGERPRINT_CHARS]


def to_conversation(
    found: ConversationInfo, *, created: bool, server_version: str, prices: LlmPolicy | None = None
) -> Conversation:
    return Conversation(
        id=ConversationId(found.id),
        created=created,
        status=to_status(found.execution_status),
        server_version=server_version,
        usage=to_usage(found.stats, prices) if found.stats else Usage(),
        store=found.persistence_dir or "",
    )


def model_settings(policy: LlmPolicy, environment: Mapping[str, str]) -> dict[str, Any]:
    """The model as the server takes it, without the name under which its usage is counted."""
    model = policy.model or environment.get("LLM_MODEL")
    if not model:
        raise NoModel("no model is named: set openhands.conversation.agent.llm.model in WORKFLOW.md, or LLM_MODEL")
    llm: dict[str, Any] = {
        "stream": False,
        "timeout": _LLM_TIMEOUT_S,
        # The server's own waits between attempts (8, 16, 32, 64 s) look like a stall.
        "num_retries": policy.num_retries,
        "retry_min_wait": 1,
        "retry_max_wait": 8,
        "retry_multiplier": 1,
        **policy.options,
        "model": model,
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
