"""Cut sockets, killed daemons and ended servers: nothing is doubled, nothing is left."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.abc import SocketStream

from opensymphony.agents.openhands.client import Endpoint
from opensymphony.agents.openhands.ownership import OwnerRecord, read_record
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.clock import Clock
from opensymphony.demo.model import Message, ModelEndpoint, ToolCall
from opensymphony.model import ServerState, TurnEnd
from opensymphony.processes import is_alive, list_processes, start
from opensymphony.workflow.policy import LocalServerPolicy
from tests.live.conftest import Live, Stage, model_environment, places, policy

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]


class CuttingProxy:
    """A TCP proxy in front of the server that cuts every connection on request."""

    def __init__(self, behind: Supervisor) -> None:
        self._behind = behind
        self._open: set[SocketStream] = set()
        self.port = 0
        self.cuts = 0

    def endpoint(self) -> Endpoint:
        return msgspec.structs.replace(self._behind.endpoint(), base_url=f"http://127.0.0.1:{self.port}")

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


DAEMON = """
import sys, anyio
from pathlib import Path
from opensymphony.agents.openhands.environment import Places
from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.clock import Clock
from opensymphony.workflow.policy import LocalServerPolicy
async def main():
    root = Path(sys.argv[2])
    places = Places(state=root / "state", conversations=root / "conversations")
    supervisor = Supervisor(python=sys.argv[1], places=places, policy=LocalServerPolicy(), clock=Clock())
    async with anyio.create_task_group() as tasks:
        await tasks.start(supervisor.run)
        (root / "ready").touch()
anyio.run(main)
"""
STRAYS = "(setsid sleep 1000 >/dev/null 2>&1 &); tmux -L stray new-session -d 'sleep 1001'; sleep 1002"


class Found:
    """A server that is there, known by its owner's record only."""

    def __init__(self, record: OwnerRecord) -> None:
        self._record = record

    def endpoint(self) -> Endpoint:
        return self._record.endpoint

    async def wait_ready(self) -> Endpoint:
        return self._record.endpoint

    async def wait_cleared(self) -> None:
        return

    def state(self) -> ServerState:
        return ServerState(status="external")


async def test_an_orphan_is_ended_and_its_agent_goes_on(
    server_python: str, endpoint: ModelEndpoint, stage: Stage, tmp_path: Path
) -> None:
    """kill -9 of a daemon in the middle of a turn: at the next start its server and all that agents started are ended, the
    conversation goes on in a new server, and after a stop no process is left."""
    stage.script(
        ToolCall(name="terminal", arguments={"command": STRAYS}),
        ToolCall(name="terminal", arguments={"command": STRAYS.replace("sleep 1002", "true")}),
        ToolCall(name="finish", arguments={"message": "went on"}),
    )
    paths = places(tmp_path)
    daemon = await _start_daemon(server_python, tmp_path)
    live, conversation_id, record = await _begin_turn(endpoint, tmp_path)
    os.kill(daemon, signal.SIGKILL)
    assert record.pid is not None
    assert is_alive(record.pid, record.start_time)
    assert len(list_processes(record.nonce)) >= 5

    supervisor = Supervisor(python=server_python, places=paths, policy=LocalServerPolicy(), clock=Clock())
    async with anyio.create_task_group() as tasks:
        await tasks.start(supervisor.run)
        assert list_processes(record.nonce) == ()
        live.runtime = OpenHandsRuntime(
            supervisor, policy=policy, environment=model_environment(endpoint), clock=Clock()
        )
        end = await live.await_turn(conversation_id, "k/1", resume=True)
        assert (end.status, end.final_text) == ("finished", "went on")
        assert len(list_processes(supervisor.nonce)) >= 4
        await live.runtime.close()
        tasks.cancel_scope.cancel()
    assert list_processes(supervisor.nonce) == ()
    assert supervisor.state().status == "stopped"
    assert not paths.owner_record.exists()
    assert (paths.secret_key.stat().st_mode & 0o777, paths.log.stat().st_mode & 0o777) == (0o600, 0o600)


async def _start_daemon(server_python: str, root: Path) -> int:
    with open(os.devnull, "rb") as null, (root / "daemon.log").open("wb") as log:
        process = await start(
            [sys.executable, "-c", DAEMON, server_python, str(root)],
            cwd=os.getcwd(),
            env=dict(os.environ),
            stdin=null.fileno(),
            output=log.fileno(),
        )
    with anyio.fail_after(90):
        while not (root / "ready").exists():
            assert process.returncode is None, (root / "daemon.log").read_text()
            await anyio.sleep(0.1)
    return process.pid


async def _begin_turn(endpoint: ModelEndpoint, root: Path) -> tuple[Live, str, OwnerRecord]:
    record = read_record(places(root).owner_record)
    assert record is not None
    runtime = OpenHandsRuntime(Found(record), policy=policy, environment=model_environment(endpoint), clock=Clock())
    live = Live(runtime, None, root)  # type: ignore[arg-type]
    conversation_id = await live.open()
    await runtime.send(conversation_id, "k/1", "Do it.")  # type: ignore[arg-type]
    await live.until(lambda: _has_stray(record.nonce))
    await runtime.close()
    return live, conversation_id, record


def _has_stray(nonce: str) -> bool:
    lines = []
    for process in list_processes(nonce):
        try:
            lines.append(Path(f"/proc/{process.pid}/cmdline").read_bytes().replace(b"\0", b" "))
        except OSError:
            continue
    return all(any(line.startswith(f"sleep {n}".encode()) for line in lines) for n in (1000, 1001, 1002))


async def test_the_record_holds_what_recognises_a_server(supervisor: Supervisor) -> None:
    """The record of a running server names the live process, is closed to others, and is whole JSON."""
    path = supervisor.places.owner_record
    record = read_record(path)
    assert record is not None
    assert record.pid == supervisor.state().pid
    assert record.pid in {process.pid for process in list_processes(record.nonce)}
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["nonce"] == supervisor.nonce
