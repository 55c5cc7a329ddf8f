"""`doctor --model`: one small call of the real model, so that what is wrong with it costs next to nothing."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread

from opensymphony.agents import ask_model
from opensymphony.daemon.model_access import model_environment, with_model
from opensymphony.daemon.model_prices import look_up
from opensymphony.doctor.place import Place
from opensymphony.doctor.steps import Found, StepFailed, Steps
from opensymphony.isolation import Isolation
from opensymphony.logs import redacted
from opensymphony.settings import Settings
from opensymphony.workflow.policy import Policy

NAME = "model-call"
_LIMIT_MS = 180_000
_FIX = "correct LLM_MODEL, LLM_API_KEY and LLM_BASE_URL, or openhands.conversation.agent.llm in WORKFLOW.md"
_NO_TOOLS = (
    "choose a model that can call tools; for one that only writes text, try native_tool_calling: false in "
    "openhands.conversation.agent.llm.options"
)


async def model_check(steps: Steps, place: Place, settings: Settings, policy: Policy, isolation: Isolation) -> None:
    """Take the one step."""

    async def ask() -> Found:
        return await _ask(place, settings, policy, isolation)

    await steps.take(NAME, ask, limit_ms=_LIMIT_MS, fix=_FIX, always=True)


async def _ask(place: Place, settings: Settings, policy: Policy, isolation: Isolation) -> Found:
    chosen = with_model(policy, settings)
    environment = await model_environment(chosen, settings)
    priced = await anyio.to_thread.run_sync(look_up, chosen, settings)
    llm = chosen.openhands.conversation.agent.llm
    prices = priced.policy.openhands.conversation.agent.llm
    answer = await ask_model(
        llm,
        prices,
        environment,
        tool_dir=Path(settings.tool_dir),
        home=place.home,
        nonce=place.nonce,
        isolation=isolation,
    )
    if answer.failure is not None:
        advice = answer.failure.advice.replace("opensymphony retry", "opensymphony doctor --model")
        raise StepFailed(f"{llm.model}: {answer.failure.detail}", advice)
    tokens = f"{answer.prompt_tokens:,} tokens read and {answer.completion_tokens:,} written"
    cost = "its price is not known" if answer.cost_micros is None else f"cost {answer.cost_micros / 1_000_000:.6f}"
    if not answer.tools:
        said = f", and said: {redacted(answer.text)[:200]}" if answer.text else ""
        raise StepFailed(f"{llm.model} answered without calling the tool that it was asked to call{said}", _NO_TOOLS)
    figures = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
    if answer.cost_micros is not None:
        figures["cost_micros"] = answer.cost_micros
    return Found(detail=f"{llm.model} called a tool; {tokens}, {cost}", figures=figures)
