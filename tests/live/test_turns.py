"""Turns of the real agent-server, with a scripted model, beside what tests/contracts/test_agent_runtime.py shows of them."""

from __future__ import annotations

import pytest

from opensymphony.agents.openhands.client import Client
from opensymphony.agents.openhands.messages import message_text
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.clock import Clock
from opensymphony.demo.model import ModelEndpoint, ToolCall, ToolCalls
from opensymphony.model import CommandKey, ConversationId
from tests.live.conftest import Live, Stage, model_environment, policy, sleeps_in

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


def terminal(command: str, thought: str = "", **more: object) -> ToolCall:
    return ToolCall(name="terminal", arguments={"command": command, **more}, thought=thought)


def finish(message: str) -> ToolCall:
    return ToolCall(name="finish", arguments={"message": message})


async def user_messages(live: Live, conversation_id: ConversationId) -> list[str]:
    client = Client(live.supervisor.endpoint)
    try:
        page = await client.events_from(conversation_id, None, limit=100)
    finally:
        await client.close()
    return [message_text(event) for event in page.items if event.kind == "MessageEvent" and event.source == "user"]


async def test_a_whole_turn_is_told_to_its_end(live: Live, stage: Stage) -> None:
    """Tools run, the end is told with status, last words and figures, and signs of life came on the way."""
    stage.script(
        terminal("echo hello > made.txt"), ToolCalls(calls=(terminal("ls"), terminal("pwd"))), finish("all done")
    )
    conversation_id = await live.open()
    end = await live.turn(conversation_id, "ABC-1#1/turn-1/send")
    assert (end.status, end.final_text, end.failure) == ("finished", "all done", None)
    assert (live.directory / conversation_id / "made.txt").read_text() == "hello\n"
    assert end.usage.model_calls == 3
    assert end.usage.prompt_tokens > 1_000
    assert [one.status for one in live.progress][:1] == ["running"]
    assert live.progress[-1].status == "finished"
    assert sum(one.usage is not None for one in live.progress) >= 3


async def test_the_same_key_is_sent_once(live: Live, stage: Stage) -> None:
    """A message that is there already is not sent again, whatever its key looks like."""
    stage.script(finish("done"))
    conversation_id = await live.open()
    key = "A B--> 1%#1/turn-1/send"
    await live.turn(conversation_id, key)
    await live.runtime.send(conversation_id, CommandKey(key), "Do it.")
    end = await live.await_turn(conversation_id, key)
    assert end.status == "finished"
    assert len(await user_messages(live, conversation_id)) == 1


async def test_a_message_sent_in_an_earlier_life_is_gone_on_with(
    live: Live, stage: Stage, endpoint: ModelEndpoint
) -> None:
    """We died before we knew that the message was sent, and the agent was interrupted with the server: sending again sends
    nothing, and waiting sets the agent to work again instead of taking its pause for a person's."""
    stage.script(terminal("[ -e seen ] || { touch seen; sleep 60; }"), finish("went on"))
    conversation_id = await live.open()
    await live.runtime.send(conversation_id, CommandKey("k/1"), "Do it.")
    await live.until(lambda: sleeps_in(live.directory / conversation_id))
    await live.runtime.stop(conversation_id)
    later = OpenHandsRuntime(live.supervisor, policy=policy, environment=model_environment(endpoint), clock=Clock())
    await later.send(conversation_id, CommandKey("k/1"), "Do it.")
    end = await later.await_turn(conversation_id, CommandKey("k/1"), live.report, resume=False)
    await later.close()
    assert (end.status, end.final_text) == ("finished", "went on")
    assert len(await user_messages(live, conversation_id)) == 1


async def test_an_agent_that_repeats_itself_is_stuck(live: Live, stage: Stage) -> None:
    """The server's own detection ends the turn with that status."""
    stage.script(terminal("echo again"))
    conversation_id = await live.open()
    end = await live.turn(conversation_id, "k/1")
    assert end.status == "stuck"
