"""What is tried with, and what the scripted agent does."""

from __future__ import annotations

from pathlib import Path

from opensymphony.demo.model import Message, Text, ToolCall
from opensymphony.doctor.place import Place
from opensymphony.doctor.trial import for_trial, messages_read, replace, scripted
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
