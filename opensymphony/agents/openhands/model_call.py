"""One small call of the model, through the client and with the settings that agents have; no agent-server is started.

In: the policy's `llm` section, and its key and address. Out: whether a tool was called, and what it took.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from opensymphony import bundled, processes
from opensymphony.agents.openhands import failures
from opensymphony.agents.openhands.environment import DEFAULTS, installation_of
from opensymphony.agents.openhands.launch import model_settings
from opensymphony.isolation import Isolation, View
from opensymphony.model import AgentFailure
from opensymphony.workflow.policy import LlmPolicy

ANSWER_TOKENS_MAX = 2_048
"""The most that the model may write: enough for one that thinks first, and what some providers ask at least for that."""
_MODEL_TIMEOUT_S = 60
_LIMIT_MS = 120_000
_MARK = "opensymphony-answer: "
_SCRIPT = "try_model.py"
_DETAIL_MAX = 600


class ModelAnswer(Struct, frozen=True, kw_only=True):
    """What came of the call."""

    tools: tuple[str, ...] = ()
    """Those that it called."""
    text: str = ""
    """What it said instead; untrusted."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micros: int | None = None
    """None: its price is not known."""
    failure: AgentFailure | None = None
    """Why there is no answer, with what helps."""


class _Told(Struct, frozen=True, kw_only=True):
    """As the script says it."""

    tools: tuple[str, ...] = ()
    text: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    code: str = ""
    detail: str = ""


async def call_model(
    llm: LlmPolicy,
    prices: LlmPolicy,
    environment: Mapping[str, str],
    *,
    python: str,
    home: Path,
    nonce: str,
    isolation: Isolation,
) -> ModelAnswer:
    """Ask once. `home` is where the client may leave what it likes; everything that is started carries `nonce`."""
    limited = msgspec.structs.replace(
        llm, num_retries=1, max_output_tokens=min(llm.max_output_tokens or ANSWER_TOKENS_MAX, ANSWER_TOKENS_MAX)
    )
    asked = {**model_settings(limited, environment), "timeout": _MODEL_TIMEOUT_S}
    script = bundled.path("openhands-server") / _SCRIPT
    needed = View(readable=(*installation_of(python), str(script)), writable=(str(home),))
    done = await processes.run(
        isolation.wrap([python, str(script)], needed),
        cwd=str(home),
        env=processes.scrubbed_environment(nonce, {**DEFAULTS, "HOME": str(home)}),
        timeout_ms=_LIMIT_MS,
        input_bytes=msgspec.json.encode(asked),  # the key stands in no command line and no environment
    )
    told = _told(done.output)
    if told is None or told.code:
        if done.timed_out:
            told = _Told(code="LLMTimeoutError", detail=f"no answer within {_LIMIT_MS // 1000} s")
        elif told is None:
            told = _Told(
                code="no_answer", detail=f"the agent-server's client ended with {done.exit_code}: {done.output[-500:]}"
            )
        return ModelAnswer(failure=_failure(told, llm, environment.get(llm.api_key_env, "")))
    return ModelAnswer(
        tools=told.tools,
        text=told.text,
        prompt_tokens=told.prompt_tokens,
        completion_tokens=told.completion_tokens,
        cost_micros=_cost_micros(told, prices),
    )


def _told(output: str) -> _Told | None:
    """The last answer among whatever the client's libraries print; None when it ended before there was one."""
    lines = [line.removeprefix(_MARK) for line in output.splitlines() if line.startswith(_MARK)]
    try:
        return msgspec.json.decode(lines[-1], type=_Told) if lines else None
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def _failure(told: _Told, llm: LlmPolicy, key: str) -> AgentFailure:
    detail = " ".join(told.detail.split())
    if key:  # some providers repeat what they refuse
        detail = detail.replace(key, "***")
    return failures.assess(AgentFailure(code=told.code, detail=detail[:_DETAIL_MAX]), llm)


def _cost_micros(told: _Told, prices: LlmPolicy) -> int | None:
    if told.cost > 0:
        return round(told.cost * 1_000_000)
    read, written = prices.input_cost_per_token_micros, prices.output_cost_per_token_micros
    if read is None or written is None:
        return None
    return round(told.prompt_tokens * read + told.completion_tokens * written)
