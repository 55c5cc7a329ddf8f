"""Cut sockets, and what is known of a running server. Killed daemons and servers are in test_daemon.py."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.abc import SocketStream

from opensymphony.agents.openhands.client import Endpoint
from opensymphony.agents.openhands.ownership import read_record
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.clock import Clock
from opensymphony.demo.model import Message, ModelEndpoint, ToolCall
from opensymphony.model import ServerState, TurnEnd
from opensymphony.processes import list_processes
from tests.live.conftest import Live, Stage, model_environment, policy

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


class CuttingProxy:
    """A TCP proxy in front of the server that cuts every connection on request."""

    def __init__(self, behind: Supervisor) -> None:
        self._behind = behind
        self._open: set[SocketStream] = set()
        self.port = 0
        self.cuts = 0

    def endpoint(self) -> Endpoint:
        return msgspec.structs.replace(self._behind.endpoint(), base_url=f"http://127.0.0.1:{self.port}")

    tls = False

    async def renew_key(self) -> bool:
        return False

    async def wait_cleared(self) -> None:
        await self._behind.wait_cleared()

    async def wait_ready(self) -> Endpoint:
        await self._behind.wait_ready()
        return self.endpoint()

    def state(self) -> ServerState:
        return self._behind.state()

    async def cut(self) -> None:
        for stream in list(self._open):
            self.cuts += 1
            await stream.aclose()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        self.port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._handle)
            yield
            tasks.cancel_scope.cancel()

    async def _handle(self, client: SocketStream) -> None:
        port = int(self._behind.endpoint().base_url.rpartition(":")[2])
        async with client, await anyio.connect_tcp("127.0.0.1", port) as server, anyio.create_task_group() as tasks:
            self._open |= {client}
            tasks.start_soon(self._pump, client, server, tasks.cancel_scope)
            tasks.start_soon(self._pump, server, client, tasks.cancel_scope)
        self._open -= {client}

    async def _pump(self, source: SocketStream, sink: SocketStream, scope: anyio.CancelScope) -> None:
        try:
            async for chunk in source:
                await sink.send(chunk)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        scope.cancel()


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
