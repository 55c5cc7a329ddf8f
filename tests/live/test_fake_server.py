"""The fake agent-server of the conformance tests says what the real one says, frame for frame, as far as we read it."""

from __future__ import annotations

import json
import os
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect

from opensymphony.agents.openhands.launch import creation_body
from opensymphony.demo.model import Message, ModelEndpoint, Reply, ToolCall, text_of
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import ConversationId
from tests.fakes.stub_installation import FAKE, ROOT
from tests.live.conftest import Live, Stage, model_environment, policy

pytestmark = pytest.mark.live

Json = dict[str, Any]


@asynccontextmanager
async def fake(directory: Path, turns: list[Json]) -> AsyncIterator[tuple[str, str]]:
    """Address and key of a fake server whose agents play these turns."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (directory / "default.json").write_text(json.dumps(turns))
    given = {"FAKE_AGENTS": str(directory), "OH_CONVERSATIONS_PATH": str(directory / "store")}
    argv = [sys.executable, "-c", FAKE, str(ROOT), "--host", "127.0.0.1", "--port", str(port)]
    async with await anyio.open_process(argv, env=os.environ | given | {"OH_SESSION_API_KEYS_0": "key"}) as process:
        try:
            yield f"127.0.0.1:{port}", "key"
        finally:
            process.terminate()


async def told(address: str, key: str, directory: Path, environment: Mapping[str, str]) -> list[Json]:
    """One conversation of two turns, the second one interrupted: all frames, by what our client reads of them."""
    conversation_id = str(uuid.uuid4())
    request = ConversationRequest(
        conversation_id=ConversationId(conversation_id), working_dir=str(directory), title="T-1"
    )
    frames: list[Json] = []
    client = httpx.AsyncClient(base_url=f"http://{address}", headers={"X-Session-API-Key": key}, trust_env=False)
    async with client:
        with anyio.fail_after(30):
            while not await _is_ready(client):
                await anyio.sleep(0.05)
        body = creation_body(request, policy(), environment)
        assert (await client.post("/api/conversations", json=body, timeout=60)).status_code == 201
        where = f"ws://{address}/sockets/session/{conversation_id}?after_seq=-1"
        async with connect(where, proxy=None, max_size=None) as session:
            await session.send(json.dumps({"type": "auth", "session_api_key": key}))
            for number in range(2):
                message = {"role": "user", "content": [{"type": "text", "text": f"turn {number}"}], "run": True}
                sent = await client.post(f"/api/conversations/{conversation_id}/events", json=message, timeout=60)
                assert sent.status_code == 200
                with anyio.fail_after(45):
                    while True:
                        frame = json.loads(await session.recv())
                        frames.append(frame)
                        if number == 1 and sleeps(frame):
                            await client.post(f"/api/conversations/{conversation_id}/interrupt", timeout=60)
                        if frame["type"] == "transient" and _ended(frames):
                            break
    return frames


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/ready")).status_code == 200
    except httpx.TransportError:
        return False


def _ended(frames: list[Json]) -> bool:
    """Whether a status other than running stands behind the newest message."""
    events = [frame["event"] for frame in frames if frame["type"] == "durable"]
    last = max(
        (at for at, one in enumerate(events) if one.get("source") == "user" and "llm_message" in one), default=-1
    )
    after = [one["value"] for one in events[last + 1 :] if one.get("key") == "execution_status"] if last >= 0 else []
    return bool(after) and after[-1] != "running" and frames[-1]["event"]["value"]["execution_status"] == after[-1]


def line(frames: list[Json]) -> list[tuple[str, ...]]:
    """The order of what matters to our client; figures and what the real server adds between are left out."""
    found: list[tuple[str, ...]] = []
    for frame in frames:
        event = frame.get("event", {})
        if event.get("key") in ("stats", "last_user_message_id", "agent_state", "agent"):
            continue
        value = event.get("value") if event.get("key") == "execution_status" else ""
        found.append(
            (frame["type"], event.get("kind", ""), event.get("key", ""), str(value), event.get("tool_name", ""))
        )
    return found


def play(messages: list[Message]) -> Reply:
    """The first turn looks around and ends, the second one sleeps in a command."""
    begun = max(at for at, message in enumerate(messages) if message["role"] == "user")
    said = sum(message["role"] == "assistant" for message in messages[begun:])
    if "turn 1" in text_of(messages[begun]):
        return ToolCall(name="terminal", arguments={"command": "sleep 600"})
    if said == 0:
        return ToolCall(name="terminal", arguments={"command": "echo hi"})
    return ToolCall(name="finish", arguments={"message": "Done."})


def sleeps(frame: Json) -> bool:
    event = frame.get("event", {})
    return event.get("kind") == "ActionEvent" and "sleep" in json.dumps(event["action"])


async def test_frames_of_the_fake_are_those_of_the_real_one(
    live: Live, stage: Stage, endpoint: ModelEndpoint, tmp_path: Path
) -> None:
    """A turn with a command, and one that is interrupted in its command: the same frames in the same order."""
    stage.play = play
    environment = model_environment(endpoint)
    here = live.supervisor.endpoint()
    real_dir, fake_dir = tmp_path / "real", tmp_path / "fake"
    real_dir.mkdir()
    fake_dir.mkdir()
    real = await told(here.base_url.removeprefix("http://"), here.session_key, real_dir, environment)
    async with fake(tmp_path, [{"run": ["echo hi"]}, {"run": ["sleep 600"]}]) as (address, key):
        ours = await told(address, key, fake_dir, environment)
    assert line(ours) == line(real)
