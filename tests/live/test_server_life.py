"""Cut sockets, and what is known of a running server. Killed daemons and servers are in test_daemon.py."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from opensymphony.agents.openhands.ownership import read_record
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.clock import Clock
from opensymphony.demo.model import Message, ModelEndpoint, ToolCall
from opensymphony.model import TurnEnd
from opensymphony.processes import list_processes
from tests.fakes.cutting_proxy import CuttingProxy
from tests.live.conftest import Live, Stage, model_environment, policy

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


async def test_cut_sockets_do_not_end_a_turn(
    supervisor: Supervisor, endpoint: ModelEndpoint, stage: Stage, tmp_path: Path
) -> None:
    """Every connection is cut ten times during a turn, each time it came back: it is told once, with all of its figures."""
    proxy = CuttingProxy(supervisor)
    steps = 0

    def play(messages: list[Message]) -> ToolCall:
        nonlocal steps
        steps += 1
        if proxy.cuts >= 10:
            return ToolCall(name="finish", arguments={"message": "whole"})
        return ToolCall(name="terminal", arguments={"command": f"echo {steps}; sleep 0.2"})

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
            while proxy.cuts < 10:
                told = len(live.progress)
                await live.until(lambda told=told: len(live.progress) > told)
                await proxy.cut()
        await runtime.close()
    assert (ends[0].status, ends[0].final_text, ends[0].usage.model_calls) == ("finished", "whole", steps)
    seen = [one.last_seq for one in live.progress]
    assert seen == sorted(seen)


async def test_the_record_holds_what_recognises_a_server(supervisor: Supervisor) -> None:
    """The record of a running server names the live process, is closed to others, and is whole JSON."""
    path = supervisor.places.owner_record
    record = read_record(path)
    assert record is not None
    assert record.pid == supervisor.state().pid
    assert record.pid in {process.pid for process in list_processes(record.nonce)}
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["nonce"] == supervisor.nonce
    places = supervisor.places
    assert (places.secret_key.stat().st_mode & 0o777, places.log.stat().st_mode & 0o777) == (0o600, 0o600)
