"""One small call of the model: what goes to the client, and what is made of its answer. The real client: tests/live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opensymphony.agents.openhands.model_call import ANSWER_TOKENS_MAX, ModelAnswer, call_model
from opensymphony.clock import new_id
from opensymphony.isolation import Isolation
from opensymphony.workflow.policy import LlmPolicy

ENVIRONMENT = {"LLM_API_KEY": "canary-key", "LLM_BASE_URL": "http://127.0.0.1:1/v1"}
PRICED = LlmPolicy(model="openai/m", input_cost_per_token_micros=2.0, output_cost_per_token_micros=10.0)


class Client:
    """An interpreter that writes down what it is given and says what it is told to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.python = directory / "env" / "bin" / "python"
        self.python.parent.mkdir(parents=True)
        self.home = directory / "home"
        self.home.mkdir()

    def says(self, text: str, code: int = 0) -> None:
        (self.directory / "said").write_text(text)
        self.python.write_text(
            f"#!/bin/sh\ncat > {self.directory}/asked\nenv > {self.directory}/env.txt\n"
            f'echo "$@" > {self.directory}/argv\ncat {self.directory}/said\nexit {code}\n'
        )
        self.python.chmod(0o755)

    def answers(self, **told: Any) -> None:
        self.says(f"a warning of a library\n\nopensymphony-answer: {json.dumps(told)}\n")

    async def ask(self, llm: LlmPolicy = PRICED, prices: LlmPolicy = PRICED) -> ModelAnswer:
        return await call_model(
            llm, prices, ENVIRONMENT, python=str(self.python), home=self.home, nonce=new_id(), isolation=Isolation()
        )


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


async def test_it_asks_with_the_settings_of_agents_and_a_limit(client: Client) -> None:
    """Key and address go over standard input: they stand in no command line and no environment."""
    client.answers(tools=["finish"], prompt_tokens=100, completion_tokens=10)
    found = await client.ask(LlmPolicy(model="openai/m", options={"reasoning_effort": "low"}, num_retries=9))
    assert found == ModelAnswer(tools=("finish",), prompt_tokens=100, completion_tokens=10, cost_micros=300)
    asked = json.loads((client.directory / "asked").read_text())
    assert (asked["model"], asked["api_key"], asked["base_url"]) == ("openai/m", *ENVIRONMENT.values())
    assert (asked["reasoning_effort"], asked["num_retries"], asked["max_output_tokens"]) == (
        "low",
        1,
        ANSWER_TOKENS_MAX,
    )
    assert (client.directory / "argv").read_text().strip().endswith("openhands-server/try_model.py")
    for name in ("argv", "env.txt"):
        assert "canary" not in (client.directory / name).read_text()


async def test_a_smaller_limit_of_the_policy_counts(client: Client) -> None:
    client.answers(tools=["finish"])
    await client.ask(LlmPolicy(model="openai/m", max_output_tokens=50))
    assert json.loads((client.directory / "asked").read_text())["max_output_tokens"] == 50


async def test_what_it_cost_is_known_or_not(client: Client) -> None:
    """The client's own figure first, then the prices, else nothing."""
    client.answers(tools=["finish"], prompt_tokens=100, completion_tokens=10, cost=0.5)
    assert (await client.ask()).cost_micros == 500_000
    client.answers(tools=["finish"], prompt_tokens=100, completion_tokens=10)
    assert (await client.ask(prices=LlmPolicy(model="openai/m"))).cost_micros is None


@pytest.mark.parametrize(
    ("code", "detail", "rule"),
    [
        ("LLMAuthenticationError", "Incorrect API key provided: canary-key", "auth"),
        ("NotFoundError", "The model `m` does not exist", "model"),
        ("LLMRateLimitError", "You exceeded your current quota", "quota"),
        ("LLMRateLimitError", "slow down", "rate_limit"),
        ("LLMServiceUnavailableError", "Connection error.", "unavailable"),
        ("LLMTimeoutError", "too slow", "timeout"),
        ("LLMBadRequestError", "LLM Provider NOT provided", "model"),
    ],
)
async def test_each_failure_has_its_advice_and_shows_no_key(client: Client, code: str, detail: str, rule: str) -> None:
    client.answers(code=code, detail=detail)
    failure = (await client.ask()).failure
    assert failure is not None
    assert (failure.rule, bool(failure.advice), "canary" in failure.detail) == (rule, True, False)


async def test_a_client_that_breaks_is_told_as_such(client: Client) -> None:
    """With its last words, which show no key either."""
    for said in ("Traceback: no module named openhands canary-key", "opensymphony-answer: {nonsense"):
        client.says(said, code=1)
        failure = (await client.ask()).failure
        assert failure is not None
        assert "ended with 1" in failure.detail and "canary" not in failure.detail
