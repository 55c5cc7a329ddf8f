"""The contract of tests/contracts/test_agent_runtime.py on the real agent-server, with a scripted model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.demo.model import Failure, Message, ModelEndpoint, Reply, Text, ToolCall, text_of
from tests.contracts.agents import Turn, World, serving
from tests.contracts.test_agent_runtime import (
    TestOpening,
    TestSending,
    TestStopping,
    TestTrouble,
    TestTurns,
)
from tests.live.conftest import Stage, model_environment

__all__ = ["TestOpening", "TestSending", "TestStopping", "TestTrouble", "TestTurns"]

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


class RealBehind:
    """The shared server of the live tests; one conversation is scripted at a time."""

    def __init__(self, supervisor: Supervisor, stage: Stage, endpoint: ModelEndpoint) -> None:
        self.supervisor = supervisor
        self.environment = dict(model_environment(endpoint))
        self._stage = stage

    def script(self, working_dir: Path, turns: Sequence[Turn]) -> None:
        """Which turn it is, the messages of people in front of the model tell."""

        def play(messages: list[Message]) -> Reply:
            asked = [at for at, message in enumerate(messages) if message["role"] == "user"]
            # Two messages without an answer between them are one in front of the model.
            sent = sum(text_of(messages[at]).count("<!-- opensymphony:") for at in asked)
            turn = turns[min(sent, len(turns)) - 1]
            if turn.refused:
                return Failure(status=401, body='{"error": {"message": "bad key"}}')
            answered = sum(message["role"] == "assistant" for message in messages[asked[-1] :]) if asked else 0
            if answered < len(turn.run):
                return ToolCall(name="terminal", arguments={"command": turn.run[answered], "timeout": 120})
            return ToolCall(name="finish", arguments={"message": turn.says}) if turn.says else Text(text="")

        self._stage.play = play


@pytest.fixture
async def world(supervisor: Supervisor, stage: Stage, endpoint: ModelEndpoint, tmp_path: Path) -> AsyncIterator[World]:
    async with serving(RealBehind(supervisor, stage, endpoint), tmp_path) as made:
        yield made
