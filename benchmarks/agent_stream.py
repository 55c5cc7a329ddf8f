"""Events a second from a conversation's socket into its picture, the time of an attach, and memory; from another process.

The floor is the same frames from the same server, received and decoded as JSON by nobody in particular. Beside it stands the
remote client of the OpenHands SDK on the same events, where the agent-server is installed. Histories are generated.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskStatus
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from opensymphony.agents.openhands.client import Client, Endpoint
from opensymphony.agents.openhands.installation import python_path
from opensymphony.agents.openhands.mirror import Mirror
from opensymphony.agents.openhands.stream import FullState, Logged, Stream
from opensymphony.clock import Clock
from opensymphony.errors import OpenSymphonyError
from opensymphony.model import ServerState

EVENTS, ATTACH, LONG, STREAMS, EACH = 20_000, 10_000, 100_000, 50, 1_000
_SIZES = sorted({EVENTS, ATTACH, LONG, EACH})
_OUTPUT = "line of output of a command, as long as such lines are\n" * 8


def event(seq: int) -> dict[str, object]:
    """A call, its answer, the figures, words: in turn."""
    base = {"id": f"00000000-0000-4000-8000-{seq:012d}", "timestamp": "2027-01-01T00:00:00.000001"}
    match seq % 4:
        case 0:
            arguments = {"command": "ls -la", "is_input": False, "timeout": None, "reset": False}
            return base | {
                "kind": "ActionEvent",
                "source": "agent",
                "thought": [{"type": "text", "text": "I look around."}],
                "action": {"kind": "TerminalAction", **arguments},
                "tool_name": "terminal",
                "tool_call_id": f"call-{seq}",
                "tool_call": {"id": f"call-{seq}", "name": "terminal", "arguments": "{}", "origin": "completion"},
                "llm_response_id": f"response-{seq}",
                "summary": "look around",
            }
        case 1:
            content = [{"type": "text", "text": _OUTPUT}]
            return base | {
                "kind": "ObservationEvent",
                "source": "environment",
                "tool_name": "terminal",
                "tool_call_id": f"call-{seq - 1}",
                "action_id": f"00000000-0000-4000-8000-{seq - 1:012d}",
                "observation": {"kind": "TerminalObservation", "content": content, "command": "ls -la", "exit_code": 0},
            }
        case 2:
            usage = {"prompt_tokens": 10 * seq, "completion_tokens": seq, "model": "m", "response_id": ""}
            agent = {"model_name": "m", "accumulated_cost": 0.001 * seq, "accumulated_token_usage": usage}
            value = {"usage_to_metrics": {"agent": agent}}
            return base | {
                "kind": "ConversationStateUpdateEvent",
                "source": "environment",
                "key": "stats",
                "value": value,
            }
        case _:
            content = [{"type": "text", "text": "I have looked around, and go on."}]
            return base | {
                "kind": "MessageEvent",
                "source": "agent",
                "llm_message": {"role": "assistant", "content": content},
            }


async def play() -> None:
    """The server's side: `/sockets/session/N` sends a log of N events, `/sockets/events/N` the same without numbers."""
    events = [json.dumps(event(seq)) for seq in range(max(_SIZES))]
    state = {"kind": "ConversationStateUpdateEvent", "key": "full_state", "value": {"execution_status": "finished"}}
    state |= {"id": "s", "timestamp": "2027-01-01T00:00:00.000001", "source": "environment"}

    async def talk(socket: ServerConnection) -> None:
        assert socket.request is not None
        path = socket.request.path.partition("?")[0]
        number = int(path.rpartition("/")[2])
        await socket.recv()
        if "/session/" in path:
            await socket.send(json.dumps({"type": "sync", "through_seq": number - 1}))
            for seq in range(number):
                await socket.send(f'{{"type":"durable","seq":{seq},"event":{events[seq]}}}')
            await socket.send(json.dumps({"type": "transient", "event": state}))
        else:
            for seq in range(number):
                await socket.send(events[seq])
        await socket.wait_closed()

    async with serve(talk, "127.0.0.1", 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await anyio.sleep_forever()


class Line:
    """What a stream asks of a server."""

    tls = False

    def __init__(self, port: int) -> None:
        self._endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}", session_key="key", boot=1)

    async def renew_key(self) -> bool:
        return False

    def endpoint(self) -> Endpoint:
        return self._endpoint

    async def wait_ready(self) -> Endpoint:
        return self._endpoint

    async def wait_cleared(self) -> None:
        return

    def state(self) -> ServerState:
        return ServerState(status="ready")


@asynccontextmanager
async def following(port: int, number: int) -> AsyncIterator[Mirror]:
    """A picture of the conversation that has taken everything in, and its open socket."""
    line = Line(port)
    client = Client(line.endpoint)
    stream = Stream(line, client, str(number), clock=Clock(), attaches=anyio.CapacityLimiter(8))
    mirror = Mirror()
    while mirror.last_seq < number - 1 or mirror.status != "finished":
        match await stream.receive(60):
            case Logged(seq=seq, event=one):
                mirror.fold(seq, one)
            case FullState(value=value):
                mirror.adopt(value, with_status=True)
            case _:
                pass
    yield mirror
    await stream.close()
    await client.close()


async def ours(port: int, number: int) -> float:
    began = time.perf_counter()
    async with following(port, number) as mirror:
        assert mirror.last_seq == number - 1
        return time.perf_counter() - began


async def floor(port: int, number: int) -> float:
    began = time.perf_counter()
    url = f"ws://127.0.0.1:{port}/sockets/session/{number}"
    async with connect(url, compression=None, max_size=None) as socket:
        await socket.send("{}")
        for _ in range(number + 2):
            msgspec.json.decode(await socket.recv(decode=False))
        return time.perf_counter() - began


_SDK = """
import sys, threading, time
import openhands.tools.terminal
from openhands.sdk.conversation.impl.remote_conversation import WebSocketCallbackClient
port, number, got, done = int(sys.argv[1]), int(sys.argv[2]), [], threading.Event()
def hear(event):
    got.append(event)
    if len(got) == number:
        done.set()
began = time.perf_counter()
client = WebSocketCallbackClient(f"http://127.0.0.1:{port}", str(number), hear, api_key="key")
client.start()
assert done.wait(300), len(got)
print(time.perf_counter() - began)
"""


def sdk(port: int, number: int) -> str:
    """The SDK's own client, in its own environment."""
    try:
        python = python_path(
            Path(os.environ.get("OPENSYMPHONY_TOOL_DIR", Path.home() / ".opensymphony" / "openhands-server"))
        )
        argv = [python, "-c", _SDK, str(port), str(number)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    except (OSError, OpenSymphonyError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip().splitlines()[-1:] if isinstance(error, subprocess.CalledProcessError) else [error]
        return f"not run ({said[0] if said else error})"
    return f"{number / float(done.stdout):,.0f}"


def memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def held(port: int, streams: int, number: int) -> float:
    """What so many pictures with their sockets take, in MB."""
    before = memory_bytes()
    async with anyio.create_task_group() as tasks:

        async def hold(*, task_status: TaskStatus[None]) -> None:
            async with following(port, number):
                task_status.started()
                await anyio.sleep_forever()

        for _ in range(streams):
            await tasks.start(hold)
        taken = memory_bytes() - before
        tasks.cancel_scope.cancel()
    return taken / 1e6


def main() -> None:
    with tempfile.TemporaryFile() as errors:
        argv = [sys.executable, "-m", "benchmarks.agent_stream", "play"]
        server = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            anyio.run(measure, port)
        finally:
            server.kill()
            server.wait()


async def measure(port: int) -> None:
    await floor(port, EACH)
    print(f"50 streams of {EACH:,} events each: {await held(port, STREAMS, EACH):.1f} MB more")
    print(f"one of {LONG:,} events: {await held(port, 1, LONG):.1f} MB more")
    own, least = await ours(port, EVENTS), await floor(port, EVENTS)
    beside = await anyio.to_thread.run_sync(sdk, port, EVENTS)
    print(f"events/s: {EVENTS / own:,.0f}, floor {EVENTS / least:,.0f}, the SDK's client {beside}")
    own, least = await ours(port, ATTACH), await floor(port, ATTACH)
    print(f"attach to {ATTACH:,} events: {own * 1000:,.0f} ms, floor {least * 1000:,.0f} ms")


if __name__ == "__main__":
    if sys.argv[1:] == ["play"]:
        anyio.run(play)
    else:
        main()
