"""`doctor --model`, with an answer as the client tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from opensymphony.agents.openhands.model_call import ModelAnswer
from opensymphony.doctor import model
from opensymphony.doctor.model import model_check
from opensymphony.doctor.place import Place
from opensymphony.doctor.steps import Steps
from opensymphony.isolation import Isolation
from opensymphony.model import AgentFailure
from opensymphony.settings import Settings
from opensymphony.views import Check
from tests.doctor.conftest import Project


async def checked(project: Project, settings: Settings | None = None) -> Check:
    steps = Steps(lambda check: None)
    place = Place(project.directory, "n")
    await model_check(steps, place, settings or project.settings, project.policy, Isolation())
    [check] = steps.checks
    return check


def answers(monkeypatch: pytest.MonkeyPatch, answer: ModelAnswer) -> list[Any]:
    asked: list[Any] = []

    async def ask(*arguments: Any, **more: Any) -> ModelAnswer:
        asked.append((arguments, more))
        return answer

    monkeypatch.setattr(model, "ask_model", ask)
    monkeypatch.setenv("LLM_API_KEY", "canary-key")
    return asked


async def test_a_model_that_calls_a_tool_passes_and_says_what_it_took(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ModelAnswer(tools=("finish",), prompt_tokens=250, completion_tokens=40, cost_micros=1_234)
    asked = answers(monkeypatch, found)
    check = await checked(project)
    assert (check.status, check.detail) == (
        "pass",
        "openai/m called a tool; 250 tokens read and 40 written, cost 0.001234",
    )
    assert check.figures.items() >= {"prompt_tokens": 250, "completion_tokens": 40, "cost_micros": 1_234}.items()
    [((llm, _, environment), more)] = asked
    assert (llm.model, environment["LLM_API_KEY"]) == ("openai/m", "canary-key")
    assert more["tool_dir"] == Path(project.settings.tool_dir)
    answers(monkeypatch, ModelAnswer(tools=("finish",), prompt_tokens=1, completion_tokens=1))
    check = await checked(project)
    assert "its price is not known" in check.detail and "cost_micros" not in check.figures


async def test_a_model_without_tools_is_of_no_use(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ModelAnswer(text="ok"))
    check = await checked(project)
    assert (check.status, "without calling the tool" in check.detail, "said: ok" in check.detail) == (
        "fail",
        True,
        True,
    )
    assert "native_tool_calling" in check.fix


async def test_a_refusal_comes_with_the_advice_of_its_kind(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = AgentFailure(code="x", detail="no such key", advice="check it, then `opensymphony retry`")
    answers(monkeypatch, ModelAnswer(failure=failure))
    check = await checked(project)
    assert (check.status, check.detail) == ("fail", "openai/m: no such key")
    assert check.fix == "check it, then `opensymphony doctor --model`"


async def test_what_is_missing_is_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is named; no client is installed."""
    from opensymphony.doctor.trial import replace

    check = await checked(project, replace(project.settings, llm_model=None))
    assert (check.status, "LLM_MODEL" in check.detail) == ("fail", True)
    check = await checked(project)
    assert (check.status, "opensymphony install openhands" in check.detail) == ("fail", True)
