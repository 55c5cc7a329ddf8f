"""The fifteen traps of the agent-server that a client falls into, worst first, each on the real server.

They were measured on the pinned release; a test that fails after an upgrade says that the server has changed, or we have.
"""

from __future__ import annotations

import ast
import json
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import anyio
import httpx
import pytest

from opensymphony.agents.openhands.client import Client, ConversationGone, Unanswered
from opensymphony.agents.openhands.launch import creation_body
from opensymphony.agents.openhands.messages import to_status
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.clock import Clock, new_id
from opensymphony.demo.model import Message, ModelEndpoint, Reply, ToolCall
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import AgentStatus, CommandKey, ConversationId, TurnEnd
from opensymphony.processes import list_processes
from opensymphony.workflow.policy import ConfirmationPolicy, ConversationPolicy, LocalServerPolicy
from tests.agents.openhands.test_launch import unknown_fields
from tests.fakes.cutting_proxy import CuttingProxy
from tests.live.conftest import Live, Stage, model_environment, places, policy

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

HOLD = "while [ ! -e go ]; do sleep 0.05; done"
_ALL_AT_ONCE = 13
"""More tools than a pool of the default size has threads on any small machine."""


def terminal(command: str) -> ToolCall:
    return ToolCall(name="terminal", arguments={"command": command})


def finish(message: str) -> ToolCall:
    return ToolCall(name="finish", arguments={"message": message})


@pytest.fixture
async def client(supervisor: Supervisor) -> AsyncIterator[Client]:
    made = Client(supervisor.endpoint)
    yield made
    await made.close()


async def kill(live: Live) -> None:
    """kill -9 of the server; returns when the next one is ready."""
    before = live.supervisor.state()
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    await live.until(
        lambda: live.supervisor.state().restarts > before.restarts and live.supervisor.state().status == "ready"
    )


def new_conversation() -> str:
    return str(UUID(new_id()))


def left(nonce: str, words: str) -> list[str]:
    """Command lines of the server's and its agents' processes that hold these words."""
    found: list[str] = []
    for process in list_processes(nonce):
        try:
            line = Path(f"/proc/{process.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words in line:
            found.append(line)
    return found


def release(live: Live, conversation_id: str) -> None:
    (live.directory / conversation_id / "go").touch()


async def at_work(live: Live) -> None:
    await live.until(lambda: any(one.tool_open for one in live.progress))


async def test_01_the_snapshot_on_disk_is_no_status(live: Live, stage: Stage, client: Client) -> None:
    """GET goes on telling how the turn before ended; a turn that runs is neither taken for its end nor for at rest."""
    stage.script(finish("first"))
    conversation_id = await live.open()
    await live.turn(conversation_id, "k/1")
    live.progress.clear()
    stage.script(terminal(HOLD), finish("second"))
    ends: list[TurnEnd] = []

    async def turn() -> None:
        ends.append(await live.turn(conversation_id, "k/2"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turn)
        await at_work(live)
        assert live.progress[-1].status == "running"
        assert [one.id for one in await client.running()] == [conversation_id], "the server's memory knows"
        release(live, conversation_id)
    assert (ends[0].status, ends[0].final_text) == ("finished", "second")


@pytest.mark.parametrize("cuts", [10, pytest.param(100, marks=pytest.mark.faults)])
async def test_02_cut_sockets_neither_lose_nor_double(
    supervisor: Supervisor, endpoint: ModelEndpoint, stage: Stage, tmp_path: Path, cuts: int
) -> None:
    """Every connection is cut again and again during a turn, each time it came back: it is told once, with all its figures."""
    proxy = CuttingProxy(supervisor)
    steps = 0

    def play(messages: list[Message]) -> Reply:
        nonlocal steps
        steps += 1
        return finish("whole") if proxy.cuts >= cuts else terminal(f"echo {steps}; sleep 0.1")

    stage.play = play
    async with proxy.serving():
        runtime = OpenHandsRuntime(proxy, policy=policy, environment=model_environment(endpoint), clock=Clock())
        live = Live(runtime, supervisor, tmp_path)
        conversation_id = await live.open()
        ends: list[TurnEnd] = []

        async def turn() -> None:
            ends.append(await live.turn(conversation_id, "k/1"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn)
            while proxy.cuts < cuts:
                told = len(live.progress)
                await live.until(lambda told=told: len(live.progress) > told)
                await proxy.cut()
        await runtime.close()
    assert (ends[0].status, ends[0].final_text, ends[0].usage.model_calls) == ("finished", "whole", steps)
    seen = [one.last_seq for one in live.progress]
    assert seen == sorted(seen)


async def test_03_many_tools_run_at_once_and_reads_go_on(live: Live, stage: Stage, client: Client) -> None:
    """Each waits for all the others: a pool of the default size would be full before they have all begun."""
    count = f"ls {live.directory}/started | wc -l"
    (live.directory / "started").mkdir()
    stage.script(
        terminal(
            f"touch {live.directory}/started/$(basename $PWD); while [ $({count}) -lt {_ALL_AT_ONCE + 1} ]; do sleep 0.2; done"
        ),
        finish("done"),
    )
    opened = [await live.open() for _ in range(_ALL_AT_ONCE)]
    ends: list[TurnEnd] = []

    async def turn(conversation_id: ConversationId) -> None:
        ends.append(await live.turn(conversation_id, "k/1"))

    async with anyio.create_task_group() as tasks:
        for conversation_id in opened:
            tasks.start_soon(turn, conversation_id)
        await live.until(lambda: len(list((live.directory / "started").iterdir())) == _ALL_AT_ONCE)
        for conversation_id in opened:
            assert await client.newest_events(conversation_id)
        (live.directory / "started" / "now").touch()
    assert [end.final_text for end in ends] == ["done"] * _ALL_AT_ONCE


async def test_04_a_failure_is_logged_as_a_line(live: Live, client: Client) -> None:
    """The server's own rendering of a traceback would stop everything in it for seconds."""
    with pytest.raises(Unanswered):
        await client.create(broken_body(live, new_conversation()))
    lines = [line for line in live.supervisor.places.log.read_text().splitlines() if line.startswith("{")]
    failures = [line for line in lines if "Traceback" in line or "exc_info" in line or '"levelname": "ERROR"' in line]
    assert failures
    assert all(isinstance(json.loads(line), dict) for line in failures)


def broken_body(live: Live, conversation_id: str) -> dict[str, Any]:
    """One that the server answers with 500, after it has made the conversation."""
    body = whole_body(live, conversation_id)
    body["agent"]["tools"] = [{"name": "no_such_tool"}]
    body["initial_message"] = {"role": "user", "content": [{"type": "text", "text": "Do it."}], "run": False}
    return body


def whole_body(live: Live, conversation_id: str, **more: Any) -> dict[str, Any]:
    request = ConversationRequest(conversation_id=ConversationId(conversation_id), working_dir="/w", title="A test")
    environment = {"LLM_MODEL": "openai/scripted", "LLM_BASE_URL": "http://127.0.0.1:1/v1", "LLM_API_KEY": "canary-key"}
    return creation_body(request, ConversationPolicy(**more), environment)


async def test_05_the_key_of_the_model_outlives_the_server(live: Live, stage: Stage, endpoint: ModelEndpoint) -> None:
    """Without a secret key that stays, a stored conversation would have none after a restart, and say so two minutes later."""
    stage.script(finish("done"))
    conversation_id = await live.open()
    await live.turn(conversation_id, "k/1")
    await kill(live)
    endpoint.keys.clear()
    end = await live.turn(conversation_id, "k/2")
    assert (end.status, set(endpoint.keys)) == ("finished", {"canary-key"})


async def test_06_no_lease_of_a_dead_server_is_in_the_way(live: Live, stage: Stage, client: Client) -> None:
    """What a killed server had is there as soon as the next one is ready."""
    stage.script(terminal(HOLD), finish("done"))
    conversation_id = await live.open()
    await live.runtime.send(conversation_id, CommandKey("k/1"), "Do it.")
    await live.until(lambda: left(live.supervisor.nonce, "sleep"))
    await kill(live)
    assert await client.get(conversation_id) is not None
    assert not (await client.running())
    release(live, conversation_id)
    end = await live.await_turn(conversation_id, "k/1", resume=True)
    assert (end.status, end.final_text) == ("finished", "done")


@pytest.mark.faults
async def test_07_a_server_is_ended_while_tools_run(
    server_python: str, endpoint: ModelEndpoint, stage: Stage, tmp_path: Path
) -> None:
    """It would wait for them: they are interrupted first, and the conversation says so. Nothing of it is left."""
    stage.script(terminal("trap '' INT TERM; sleep 911"), finish("done"))
    made = Supervisor(python=server_python, places=places(tmp_path), policy=LocalServerPolicy(), clock=Clock())
    runtime = OpenHandsRuntime(made, policy=policy, environment=model_environment(endpoint), clock=Clock())
    live = Live(runtime, made, tmp_path)
    async with anyio.create_task_group() as tasks:
        await tasks.start(made.run)
        await made.wait_ready()
        conversation_id = await live.open()
        await runtime.send(conversation_id, CommandKey("k/1"), "Do it.")
        await live.until(lambda: left(made.nonce, "sleep 911"))
        nonce = made.nonce
        await runtime.close()
        tasks.cancel_scope.cancel()
    assert list_processes(nonce) == ()
    written = [path.read_text() for path in places(tmp_path).conversations.rglob("event-*.json")]
    assert any("InterruptEvent" in text or "interrupted" in text for text in written)


async def test_08_a_killed_server_leaves_no_shell(live: Live, stage: Stage) -> None:
    """Each conversation's tmux outlives it; where the next server finds them, and by their mark, they are ended."""
    stage.script(terminal("sleep 912"), finish("done"))
    conversation_id = await live.open()
    await live.runtime.send(conversation_id, CommandKey("k/1"), "Do it.")
    before = live.supervisor.nonce
    await live.until(lambda: left(before, "sleep 912"))
    await kill(live)
    assert not left(before, "sleep 912")
    assert not left(before, "tmux")


async def test_09_a_create_that_failed_is_inspected(live: Live, stage: Stage, client: Client) -> None:
    """The server has made it all the same, without its tools, and would answer the next try with it."""
    stage.script(finish("done"))
    conversation_id = ConversationId(new_conversation())
    with pytest.raises(Unanswered):
        await client.create(broken_body(live, conversation_id))
    assert await client.get(conversation_id) is not None
    (live.directory / conversation_id).mkdir()
    request = ConversationRequest(
        conversation_id=conversation_id, working_dir=str(live.directory / conversation_id), title="A test"
    )
    assert (await live.runtime.open(request)).created
    assert (await live.turn(conversation_id, "k/1")).status == "finished"


async def test_10_a_connection_is_not_used_after_a_failure(live: Live, client: Client) -> None:
    """The server resets it: the next request of the same client works all the same."""
    for _ in range(3):
        with pytest.raises(Unanswered):
            await client.create(broken_body(live, new_conversation()))
        assert await client.alive()


async def test_11_a_deleted_conversation_is_noticed(live: Live, stage: Stage, client: Client) -> None:
    """Its socket stays open and silent."""
    stage.script(finish("done"))
    conversation_id = await live.open()
    await live.turn(conversation_id, "k/1")
    stage.script(terminal(HOLD), finish("never"))

    async def delete() -> None:
        await at_work(live)
        await live.runtime.stop(conversation_id)
        await client.delete(conversation_id)

    live.progress.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(delete)
        try:
            end = await live.turn(conversation_id, "k/2")
        except ConversationGone:
            end = None
    assert end is None or end.status == "paused"
    with pytest.raises(ConversationGone):
        await live.await_turn(conversation_id, "k/2")


async def test_12_an_event_that_no_frame_can_carry_is_read_by_rest(live: Live, stage: Stage) -> None:
    """It would close the socket each time anew; the turn behind it is told to its end."""
    stage.script(terminal("true"), finish("long"))
    conversation_id = await live.open()
    end = await live.turn(conversation_id, "k/1", "x" * (5 << 20))
    assert (end.status, end.final_text) == ("finished", "long")


async def test_13_a_message_carries_out_nothing(live: Live, stage: Stage, endpoint: ModelEndpoint) -> None:
    """What waits for an approval is rejected before a message, which the server would take for one."""
    careful = partial(ConversationPolicy, confirmation_policy=ConfirmationPolicy(kind="AlwaysConfirm"))
    runtime = OpenHandsRuntime(live.supervisor, policy=careful, environment=model_environment(endpoint), clock=Clock())
    asking = Live(runtime, live.supervisor, live.directory)
    stage.script(terminal("touch carried-out"))
    conversation_id = await asking.open()
    assert (await asking.turn(conversation_id, "k/1")).status == "waiting_for_confirmation"
    stage.script(terminal("echo another"))
    end = await asking.turn(conversation_id, "k/2", "By the way, use tabs.")
    assert end.asked is not None
    assert "another" in end.asked.text
    assert not (live.directory / conversation_id / "carried-out").exists()
    await runtime.close()


async def test_14_an_approval_over_a_restart_leaves_a_whole_history(
    live: Live, stage: Stage, endpoint: ModelEndpoint
) -> None:
    """The server would send the model a tool's answer without its call: a provider refuses that."""
    careful = partial(ConversationPolicy, confirmation_policy=ConfirmationPolicy(kind="AlwaysConfirm"))
    runtime = OpenHandsRuntime(live.supervisor, policy=careful, environment=model_environment(endpoint), clock=Clock())
    asking = Live(runtime, live.supervisor, live.directory)
    stage.script(terminal("touch carried-out"))
    conversation_id = await asking.open()
    first = await asking.turn(conversation_id, "k/1")
    assert first.asked is not None
    await kill(live)
    endpoint.requests.clear()
    await runtime.send(conversation_id, CommandKey("k/2"), "Approved: do exactly this.")
    stage.script(terminal("touch carried-out"), terminal("echo more"))
    await runtime.await_turn(
        conversation_id, CommandKey("k/2"), asking.report, resume=False, granted=(first.asked.digest,)
    )
    assert (live.directory / conversation_id / "carried-out").exists()
    assert endpoint.requests
    for request in endpoint.requests:
        called: set[str] = set()
        for message in request["messages"]:
            called |= {call["id"] for call in message.get("tool_calls") or ()}
            assert message["role"] != "tool" or message["tool_call_id"] in called
    await runtime.close()


async def test_15_every_field_of_ours_is_known(live: Live) -> None:
    """The server passes over what it does not know: whatever we ask of it stands in its own description."""
    async with httpx.AsyncClient(base_url=live.supervisor.endpoint().base_url) as http:
        described = (await http.get("/openapi.json")).json()["components"]["schemas"]
    body = whole_body(live, new_conversation(), confirmation_policy=ConfirmationPolicy(kind="ConfirmRisky"))
    agent = body["agent"]
    ignored = unknown_fields(body, "StartConversationRequest", described)
    ignored += unknown_fields(agent, "Agent-Input", described, "agent.")
    ignored += unknown_fields(agent["llm"], "LLM-Input", described, "agent.llm.")
    ignored += unknown_fields(agent["condenser"], "LLMSummarizingCondenser-Input", described, "agent.condenser.")
    ignored += unknown_fields(body["confirmation_policy"], "ConfirmRisky-Input", described, "confirmation_policy.")
    ignored += unknown_fields(body["client_tools"][0], "ClientToolSpec-Input", described, "client_tools.")
    assert ignored == []


def test_every_status_of_the_server_has_a_name_here(server_python: str) -> None:
    """Read from the installed release: one that is new has to be given a meaning before it is used."""
    [source] = Path(server_python).parent.parent.glob("lib/python*/site-packages/openhands/sdk/conversation/state.py")
    tree = ast.parse(source.read_text())
    [enum] = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "ConversationExecutionStatus"
    ]
    found = [ast.literal_eval(node.value) for node in enum.body if isinstance(node, ast.Assign)]
    assert len(found) >= 8
    assert {one for one in found if to_status(one) == "unknown"} == set()
    assert {to_status(one) for one in found} <= set(get_args(AgentStatus))
