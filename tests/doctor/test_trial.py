"""What is tried with, and what the scripted agent does."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from opensymphony.demo.model import Message, Text, ToolCall
from opensymphony.doctor.place import Place
from opensymphony.doctor.steps import StepFailed
from opensymphony.doctor.trial import TRACE, Turn, for_trial, messages_read, read_trace, replace, scripted
from opensymphony.logs import forget_secret, know_secret
from opensymphony.model import AgentFailure, CommandKey, ConversationId, TurnEnd
from opensymphony.workflow.policy import (
    CodeHostPolicy,
    ConfirmationPolicy,
    ConversationAgentPolicy,
    ConversationPolicy,
    HooksPolicy,
    LocalServerPolicy,
    OpenHandsPolicy,
    Policy,
    RepositoryPolicy,
    TrackerPolicy,
    TransportPolicy,
)

POLICY = Policy(
    tracker=TrackerPolicy(kind="files"),
    repository=RepositoryPolicy(url="/somewhere"),
    code_host=CodeHostPolicy(kind="bitbucket"),
    hooks=HooksPolicy(after_create="touch hooked"),
    openhands=OpenHandsPolicy(
        transport=TransportPolicy(base_url="http://127.0.0.1:9999"),
        local_server=LocalServerPolicy(count=3, env={"A": "b"}),
        conversation=ConversationPolicy(confirmation_policy=ConfirmationPolicy(kind="AlwaysConfirm"), max_iterations=7),
    ),
)


def test_only_agent_and_server_stay_as_they_are(tmp_path: Path) -> None:
    """No hook, no repository, no approval, one server at a port that is free."""
    place = Place(tmp_path, "n")
    found = for_trial(POLICY, place)
    assert (found.repository, found.code_host, found.hooks) == (None, None, HooksPolicy())
    assert found.workspace.root == str(tmp_path / "workspaces")
    assert (found.openhands.wanted_port, found.openhands.local_server.count) == (0, 1)
    assert found.openhands.local_server.env == {"A": "b"}
    conversation = found.openhands.conversation
    assert (conversation.confirmation_policy.kind, conversation.max_iterations) == ("NeverConfirm", 7)
    assert for_trial(POLICY, place, steps_max=5).openhands.conversation.max_iterations == 5


def with_tools(*tools: str, default: tuple[str, ...] = ("FinishTool",)) -> Policy:
    agent = ConversationAgentPolicy(tools=tools, include_default_tools=default)
    return replace(POLICY, openhands=OpenHandsPolicy(conversation=ConversationPolicy(agent=agent)))


def test_the_scripted_agent_acts_once_a_message_and_tells_what_it_has_read() -> None:
    play = scripted(with_tools("terminal"))
    user: Message = {"role": "user", "content": "x"}
    acted: list[Message] = [{"role": "assistant", "content": ""}, {"role": "tool", "content": "ok"}]
    first = play([user])
    assert isinstance(first, ToolCall) and first.name == "terminal"
    end = play([user, *acted])
    assert isinstance(end, ToolCall) and (end.name, messages_read(end.arguments["message"])) == ("finish", 1)
    again = play([user, *acted, user])
    assert isinstance(again, ToolCall) and again.name == "terminal"
    last = play([user, *acted, user, *acted])
    assert isinstance(last, ToolCall) and messages_read(last.arguments["message"]) == 2


def test_it_uses_no_tool_that_the_policy_does_not_give() -> None:
    end = scripted(with_tools("file_editor", default=()))([{"role": "user", "content": "x"}])
    assert isinstance(end, Text) and messages_read(end.text) == 1
    assert messages_read("something else") == 0


def test_what_an_agent_made_of_the_file_is_only_looked_at(tmp_path: Path) -> None:
    """Other bytes, endless ones, a pipe that nobody writes to, a socket, links, a directory: nothing is waited for."""
    assert read_trace(str(tmp_path)) is None
    path = tmp_path / TRACE
    path.write_bytes(b"\xff\xfeworks\n")
    assert read_trace(str(tmp_path)) == "\ufffd\ufffdworks\n"
    path.write_bytes(b"x" * 1_000_000)
    assert len(read_trace(str(tmp_path)) or "") == 4_096
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        listener.bind(TRACE)
        with pytest.raises(StepFailed, match="no ordinary file"):
            read_trace(str(tmp_path))
    path.unlink()
    for make in (os.mkfifo, os.mkdir, lambda made: os.symlink("/etc/hostname", made)):
        make(path)
        with pytest.raises(StepFailed, match="no ordinary file"):
            read_trace(str(tmp_path))
        path.rmdir() if path.is_dir() else path.unlink()


async def ended_with(outcome: TurnEnd | Exception) -> Turn:
    async def await_turn(*arguments: Any, **more: Any) -> TurnEnd:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    life: Any = SimpleNamespace(runtime=SimpleNamespace(agents=SimpleNamespace(await_turn=await_turn)))
    turn = Turn(life, ConversationId("c"), CommandKey("k"))
    await turn.run()
    return turn


async def test_an_odd_end_of_a_turn_is_kept_for_the_step_that_asks(tmp_path: Path) -> None:
    """It is waited for beside the steps: raised there, it would end them all."""
    turn = await ended_with(ValueError("odd"))
    assert turn.moved.is_set() and turn.over.is_set()
    with pytest.raises(ValueError, match="odd"):
        turn.result()


async def test_half_a_key_is_not_told_either() -> None:
    """The provider's words are cut, but not before the key is out of them."""
    key = "canary-key-of-a-provider"
    failure = AgentFailure(code="x", detail=f"{'x' * 490}{key}")
    turn = await ended_with(TurnEnd(status="error", failure=failure))
    know_secret(key)
    try:
        with pytest.raises(StepFailed) as told:
            turn.result()
    finally:
        forget_secret(key)
    assert "canary" not in str(told.value)
