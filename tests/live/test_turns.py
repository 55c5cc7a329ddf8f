"""Turns of the real agent-server, with a scripted model."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from opensymphony.agents.openhands.client import Client
from opensymphony.agents.openhands.messages import message_text
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.clock import Clock
from opensymphony.demo.model import Failure, ModelEndpoint, Text, ToolCall, ToolCalls
from opensymphony.errors import AgentServerError
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import CommandKey, ConversationId, TurnEnd
from tests.live.conftest import Live, Stage, model_environment, policy

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


async def test_a_second_turn_follows_the_first(live: Live, stage: Stage) -> None:
    """The end of the first turn is not taken for the end of the second, and the figures are totals."""
    stage.script(terminal("true"), finish("first"))
    conversation_id = await live.open()
    first = await live.turn(conversation_id, "k/1")
    stage.script(terminal("sleep 1"), Text(text="second"))
    second = await live.turn(conversation_id, "k/2")
    assert (first.final_text, second.final_text, second.status) == ("first", "second", "finished")
    assert second.usage.model_calls == first.usage.model_calls + 2
    assert second.last_seq > first.last_seq
    again = await live.await_turn(conversation_id, "k/1", resume=True)
    assert again.status == "finished"


async def test_who_attaches_while_a_tool_runs_sees_it_at_once(
    live: Live, stage: Stage, endpoint: ModelEndpoint
) -> None:
    """The server holds the socket's first frame back until a call ends: the open call shows all the same, and its end too."""
    stage.script(terminal("sleep 15", timeout=60), finish("done"))
    conversation_id = await live.open()
    await live.runtime.send(conversation_id, CommandKey("k/1"), "Do it.")
    await live.until(lambda: _sleeping(live, conversation_id))
    async with anyio.create_task_group() as tasks:
        ended: list[TurnEnd] = []

        async def wait() -> None:
            ended.append(await live.await_turn(conversation_id, "k/1"))

        tasks.start_soon(wait)
        await live.until(lambda: any(one.tool_open for one in live.progress))
        assert _sleeping(live, conversation_id)
        await live.until(lambda: ended)
    assert (ended[0].status, ended[0].final_text) == ("finished", "done")


async def test_open_finds_what_is_there(live: Live, stage: Stage) -> None:
    """Opening twice makes one conversation, and its figures and status come with it."""
    stage.script(finish("done"))
    conversation_id = await live.open()
    await live.turn(conversation_id, "k/1")
    request = ConversationRequest(
        conversation_id=conversation_id, working_dir=str(live.directory / conversation_id), title="A test"
    )
    found = await live.runtime.open(request)
    assert (found.created, found.status, found.id) == (False, "finished", conversation_id)
    assert found.usage.model_calls == 1
    elsewhere = ConversationRequest(conversation_id=conversation_id, working_dir="/elsewhere", title="A test")
    moved = await live.runtime.open(elsewhere)
    assert "works in" in moved.unfit
    assert moved.unfit.endswith("not in /elsewhere")


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
    await live.until(lambda: _sleeping(live, conversation_id))
    await live.runtime.stop(conversation_id)
    later = OpenHandsRuntime(live.supervisor, policy=policy, environment=model_environment(endpoint), clock=Clock())
    await later.send(conversation_id, CommandKey("k/1"), "Do it.")
    end = await later.await_turn(conversation_id, CommandKey("k/1"), live.report, resume=False)
    await later.close()
    assert (end.status, end.final_text) == ("finished", "went on")
    assert len(await user_messages(live, conversation_id)) == 1


async def test_stop_ends_a_running_tool(live: Live, stage: Stage, endpoint: ModelEndpoint) -> None:
    """Stopping during a long command returns when nothing runs, with what was used up to then, and the turn ends as paused."""
    stage.script(terminal("sleep 60"), finish("never"))
    conversation_id = await live.open()
    ends: list[TurnEnd] = []

    async def turn() -> None:
        ends.append(await live.turn(conversation_id, "k/1"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turn)
        await live.until(lambda: any(one.tool_open for one in live.progress) or _sleeping(live, conversation_id))
        with anyio.fail_after(60):
            usage = await live.runtime.stop(conversation_id)
    assert ends[0].status == "paused"
    assert not _sleeping(live, conversation_id)
    assert usage is not None
    assert usage.model_calls == 1
    assert usage.prompt_tokens > 1_000
    later = OpenHandsRuntime(live.supervisor, policy=policy, environment=model_environment(endpoint), clock=Clock())
    assert await later.stop(conversation_id) == usage, "the server tells it, also who has heard nothing before"
    await later.close()


def _sleeping(live: Live, conversation_id: str) -> bool:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if "sleep" in (entry / "comm").read_text() and conversation_id in str((entry / "cwd").readlink()):
                return True
        except OSError:
            continue
    return False


async def test_stopping_what_is_gone_is_done(live: Live) -> None:
    """A conversation that the server does not know is stopped."""
    assert await live.runtime.stop(ConversationId("11111111-1111-4111-8111-111111111111")) is None


async def test_a_turn_of_a_conversation_that_is_gone_is_an_error(live: Live) -> None:
    """Waiting on nothing never hangs."""
    with pytest.raises(AgentServerError, match="gone"):
        await live.await_turn(ConversationId("11111111-1111-4111-8111-111111111111"), "k/1")


async def test_a_turn_that_was_never_sent_is_an_error(live: Live) -> None:
    """A conversation without our message is told apart from one that is slow."""
    conversation_id = await live.open()
    with pytest.raises(AgentServerError, match="no message"):
        await live.await_turn(conversation_id, "k/never")


async def test_a_model_that_refuses_ends_the_turn_with_its_class(live: Live, stage: Stage) -> None:
    """An answer 401 of the model is a failure of kind `auth`, not a hang and not our error."""
    stage.script(Failure(status=401, body='{"error": {"message": "bad key"}}'))
    conversation_id = await live.open()
    end = await live.turn(conversation_id, "k/1")
    assert end.status == "error"
    assert end.failure is not None
    assert (end.failure.kind, end.failure.code) == ("auth", "LLMAuthenticationError")


async def test_an_agent_that_repeats_itself_is_stuck(live: Live, stage: Stage) -> None:
    """The server's own detection ends the turn with that status."""
    stage.script(terminal("echo again"))
    conversation_id = await live.open()
    end = await live.turn(conversation_id, "k/1")
    assert end.status == "stuck"


async def test_a_message_to_a_busy_agent_is_one_turn(live: Live, stage: Stage) -> None:
    """A second message during the run is taken up by it, and its turn ends with the run."""
    stage.script(terminal("sleep 2"), finish("both"))
    conversation_id = await live.open()
    await live.runtime.send(conversation_id, CommandKey("k/1"), "Do it.")
    end = await live.turn(conversation_id, "k/2")
    assert (end.status, end.final_text) == ("finished", "both")
    assert len(await user_messages(live, conversation_id)) == 2
