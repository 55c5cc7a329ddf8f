"""What goes wrong on a real agent-server and ends as it is documented: nothing doubled, nothing lost."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import anyio
import pytest

from opensymphony.agents.openhands.client import Client
from opensymphony.agents.openhands.messages import message_text
from opensymphony.agents.openhands.mirror import marker
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.clock import Clock
from opensymphony.demo.model import ModelEndpoint, ToolCall
from opensymphony.model import CommandKey
from tests.live.conftest import Live, Stage, model_environment, policy, sleeps_in
from tests.live.daemon_under_test import DaemonUnderTest, commit, finish, has, once, scripted, shell, view

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


async def test_a_message_at_the_door_when_its_daemon_dies(
    live: Live, stage: Stage, endpoint: ModelEndpoint, tmp_path: Path
) -> None:
    """The server holds it back behind a running tool and delivers it later, though nobody waits for the answer: the next
    daemon sends nothing, waits for the end of the tool, and finds it."""
    hold = ToolCall(name="terminal", arguments={"command": "while [ ! -e go ]; do sleep 0.05; done"})
    stage.script(hold, ToolCall(name="finish", arguments={"message": "done"}))
    conversation_id = await live.open()
    await live.runtime.send(conversation_id, CommandKey("k/1"), "Do it.")
    client = Client(live.supervisor.endpoint)
    await live.until(lambda: sleeps_in(tmp_path / conversation_id))
    with anyio.move_on_after(2):
        await client.send(conversation_id, f"More.\n\n{marker('k/2')}")
        pytest.fail("the server took a message while a tool ran: it holds none back any more")
    later = OpenHandsRuntime(live.supervisor, policy=policy, environment=model_environment(endpoint), clock=Clock())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later.send, conversation_id, CommandKey("k/2"), "More.")
        await anyio.sleep(2)
        (tmp_path / conversation_id / "go").touch()
    end = await later.await_turn(conversation_id, CommandKey("k/2"), live.report, resume=True)
    assert end.status == "finished"
    page = await client.events_from(conversation_id, None, limit=100)
    said = [message_text(event) for event in page.items if event.kind == "MessageEvent" and event.source == "user"]
    assert len([text for text in said if "k/2" in text]) == 1
    await later.close()
    await client.close()


@pytest.mark.faults
async def test_a_frozen_server_is_started_again(daemon: DaemonUnderTest, stage: Stage) -> None:
    """It lives and answers nothing: after a minute it is ended, and the agent goes on in the next one; one commit."""
    stage.play = scripted({"COLD-1": [shell(once(daemon.marks / "1", "sleep 913")), commit("COLD-1"), finish()]})
    await daemon.lay_out()
    daemon.ticket("COLD-1")
    await daemon.start("run")
    await daemon.wait_for("the agent is at work", lambda: daemon.processes("sleep 913"))
    frozen = list(daemon.processes("cpu_count=64"))
    assert frozen
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    seen = await daemon.until("another server is there", lambda now: now.server.restarts == 1 and now.server.pid)
    assert seen.server.pid not in frozen
    await daemon.until("it is done", has("COLD-1", phase="in_review"))
    assert await daemon.commits("opensymphony/COLD-1") == ["COLD-1 1"]
    assert len(daemon.user_messages()) == 1
    await daemon.signal(signal.SIGTERM)
    assert await daemon.ended() == 0
    assert daemon.processes() == {}


@pytest.mark.faults
async def test_a_model_that_never_answers(daemon: DaemonUnderTest, stage: Stage) -> None:
    """The agent is stopped when it has been silent for too long, and the ticket says so; when the model answers again,
    `retry` goes on in the same conversation."""
    hangs = [True]

    def first() -> ToolCall:
        return shell("true", delay_ms=600_000 if hangs[0] else 0)

    stage.play = scripted({"HANG-1": [first, commit("HANG-1"), finish()]})
    await daemon.lay_out(agent="stall_timeout_ms: 8000, max_failures: 1")
    daemon.ticket("HANG-1")
    await daemon.start("run")
    seen = await daemon.until("it waits for a person", has("HANG-1", phase="needs_person"))
    conversation = seen.tickets[0].conversation_id
    assert "nothing was heard from the agent for" in daemon.comments("HANG-1"), daemon.comments("HANG-1")
    hangs[0] = False
    assert (await daemon.command("retry", "HANG-1"))[0] == 0
    await daemon.until("it is done", has("HANG-1", phase="in_review", conversation_id=conversation))
    assert await daemon.commits("opensymphony/HANG-1") == ["HANG-1 1"]
    assert len(daemon.stored_conversations()) == 1
    await daemon.signal(signal.SIGTERM)
    assert await daemon.ended() == 0


@pytest.mark.faults
async def test_a_server_that_cannot_write(daemon: DaemonUnderTest, stage: Stage) -> None:
    """Its disk is full in the midst of a turn: the run fails and is tried again; when there is room, the work is done once."""
    gate = daemon.marks / "go"
    hold = shell(f"touch {daemon.marks}/begun; while [ ! -e {gate} ]; do sleep 0.05; done")
    stage.play = scripted({"FULL-1": [hold, commit("FULL-1"), finish()]})
    await daemon.lay_out(agent="tool_timeout_ms: 6000, stall_timeout_ms: 6000")
    daemon.ticket("FULL-1")
    await daemon.start("run")
    await daemon.wait_for("the agent is at work", lambda: (daemon.marks / "begun").exists())
    servers = list(daemon.processes("cpu_count=64"))
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in servers}
    for pid, (_, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    gate.touch()
    await daemon.until(
        "it failed", lambda now: (one := view(now, "FULL-1")) and (one.failures or one.phase != "running")
    )
    for pid, before in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    await daemon.until("it is done", has("FULL-1", phase="in_review"))
    assert await daemon.commits("opensymphony/FULL-1") == ["FULL-1 1"]
    await daemon.signal(signal.SIGTERM)
    assert await daemon.ended() == 0
    assert daemon.processes() == {}
