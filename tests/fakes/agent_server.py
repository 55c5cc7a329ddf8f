"""An OpenHands agent-server without a model: a program of its own, started where the real one would be.

What an agent does is written in files below `FAKE_AGENTS`: `<ticket>.json`, else `default.json`, a list of turns, of which the
last one stays. A ticket is known by the name of its workspace. What was asked is written to `seen.jsonl` there. Its answers
follow the real server's interface as far as our client uses it (`tests/fakes/test_agent_server.py` compares them with it).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.fakes.talk import STORE, Json, Talk, note

INIT_KEY = os.environ.get("OH_SECRET_KEY", "") if os.environ.get("OH_DEFERRED_INIT") == "1" else ""
"""While set: the server waits to be told its keys."""
KEY = os.environ.get("OH_SESSION_API_KEYS_0", "")
SUCCESS = {"success": True}
MISSING = {"detail": "Not Found"}
RUNS_MAX = int(os.environ.get("OH_MAX_CONCURRENT_RUNS", "10"))
FRAME_BYTES_MAX = 4 * 1024 * 1024

TALKS: dict[str, Talk] = {}
BEGAN = time.monotonic()


def load() -> None:
    """What an earlier server left; an agent that was at work then has failed."""
    for state in STORE.glob("*/base_state.json"):
        log = state.with_name("events.jsonl")
        lines = log.read_text().splitlines() if log.exists() else []
        info = json.loads(state.read_text())
        talk = TALKS[info["id"]] = Talk(info, [json.loads(line) for line in lines])
        if talk.status == "running":
            talk.become("error")


def start_of(body: Json) -> Json:
    """What is told about a new conversation."""
    agent = body["agent"]
    return {
        "id": str(uuid.UUID(body["conversation_id"])),
        "workspace": {"kind": "LocalWorkspace", "working_dir": body["workspace"]["working_dir"]},
        "agent": {
            "kind": agent["kind"],
            "llm": {"model": agent["llm"]["model"], "is_subscription": False},
            "tools": agent["tools"],
        },
        "execution_status": "idle",
        "stats": {"usage_to_metrics": {}},
        "tags": body.get("tags", {}),
        "title": None,
        "max_iterations": body["max_iterations"],
        "last_user_message_id": None,
    }


async def create(request: Request) -> Response:
    body = await request.json()
    info = start_of(body)
    if info["id"] in TALKS:
        return JSONResponse(TALKS[info["id"]].info)
    if _is_full():
        return JSONResponse({"detail": "Too many conversations are running"}, 429)
    talk = TALKS[info["id"]] = Talk(info, [])
    Path(info["workspace"]["working_dir"]).mkdir(parents=True, exist_ok=True)
    talk.save()
    note("create", ticket=talk.key, conversation=info["id"], cwd=info["workspace"]["working_dir"])
    return JSONResponse(info, 201)


def _is_full() -> bool:
    return sum(talk.work is not None for talk in TALKS.values()) >= RUNS_MAX


async def search(request: Request) -> Response:
    wanted = request.query_params.get("status")
    found = [talk.info for talk in TALKS.values() if wanted in (None, talk.status)]
    return JSONResponse({"items": found[: int(request.query_params.get("limit", "100"))], "next_page_id": None})


async def count(request: Request) -> Response:
    wanted = request.query_params.get("status")
    return JSONResponse(sum(wanted in (None, talk.status) for talk in TALKS.values()))


async def read(request: Request, talk: Talk) -> Response:
    return JSONResponse(talk.info)


async def update(request: Request, talk: Talk) -> Response:
    await talk.free.wait()
    talk.info |= {name: value for name, value in (await request.json()).items() if name in ("title", "tags")}
    talk.save()
    return JSONResponse(SUCCESS)


async def delete(request: Request, talk: Talk) -> Response:
    await talk.free.wait()
    await talk.stop()
    del TALKS[talk.info["id"]]
    shutil.rmtree(talk.directory)
    return JSONResponse(SUCCESS)


def tool_of(name: str) -> Json:
    """A tool as the first event of a log tells it: by the name of its class."""
    kind = "".join(part.capitalize() for part in name.split("_"))
    return {"kind": f"{kind}Tool", "title": name, "description": f"The tool {name}.", "action_type": f"{kind}Action"}


async def send(request: Request, talk: Talk) -> Response:
    body = await request.json()
    await talk.free.wait()
    if not talk.events:
        tools = [tool_of(tool["name"]) for tool in talk.info["agent"]["tools"]]
        talk.log("SystemPromptEvent", system_prompt={"type": "text", "text": "You are an agent."}, tools=tools)
    elif talk.status in ("finished", "stuck"):
        talk.become("idle")
    message = {"role": body["role"], "content": body["content"]}
    event = talk.log("MessageEvent", "user", llm_message=message, activated_skills=[], extended_content=[])
    talk.info["last_user_message_id"] = event["id"]
    talk.save()
    if body.get("run"):
        if talk.work is None and _is_full():
            return JSONResponse({"detail": "The message was saved; too many conversations are running"}, 429)
        talk.start()
    return JSONResponse(SUCCESS)


async def run(request: Request, talk: Talk) -> Response:
    if talk.work is None and talk.status != "finished" and _is_full():
        return JSONResponse({"detail": "Too many conversations are running"}, 429)
    if talk.status != "finished" and not talk.start():
        return JSONResponse({"detail": "Conversation already running"}, 409)
    return JSONResponse(SUCCESS)


async def interrupt(request: Request, talk: Talk) -> Response:
    note("interrupt", ticket=talk.key)
    await talk.stop()
    return JSONResponse(SUCCESS)


async def search_events(request: Request, talk: Talk) -> Response:
    asked = request.query_params
    found = [
        event
        for event in talk.events
        if asked.get("kind") in (None, event["kind"])
        and asked.get("source") in (None, event["source"])
        and (
            asked.get("body") is None
            or asked["body"].lower() in json.dumps(event.get("llm_message"), ensure_ascii=False).lower()
        )
    ]
    if asked.get("sort_order") == "TIMESTAMP_DESC":
        found.reverse()
    first = next((at for at, event in enumerate(found) if event["id"] == asked.get("page_id")), 0)
    last = first + int(asked.get("limit", "100"))
    following = found[last]["id"] if last < len(found) else None
    return JSONResponse({"items": found[first:last], "next_page_id": following})


async def count_events(request: Request, talk: Talk) -> Response:
    return JSONResponse(len(talk.events))


async def session(socket: WebSocket) -> None:
    """The numbered log from where the client was, the state in memory, then what happens."""
    await socket.accept()
    talk = TALKS.get(str(uuid.UUID(socket.path_params["id"])))
    if INIT_KEY:
        await socket.close(4001)
        return
    wrong_key = (await socket.receive_json()).get("session_api_key") != KEY
    if wrong_key or talk is None:
        await socket.close(4001 if wrong_key else 4004)
        return
    await talk.free.wait()
    queue: asyncio.Queue[str] = asyncio.Queue()
    asked = socket.query_params.get("after_seq")
    first = len(talk.events) if asked is None else int(asked) + 1
    sync: Json = {"type": "sync", "from_seq": first, **({"through_seq": len(talk.events) - 1} if talk.events else {})}
    frames = [sync]
    frames += [{"type": "durable", "seq": at, "event": talk.events[at]} for at in range(first, len(talk.events))]
    for frame in [*frames, talk.full_state()]:
        queue.put_nowait(json.dumps(frame))
    talk.listeners.add(queue)
    sending = asyncio.create_task(_send_all(socket, queue))
    try:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await socket.receive_text()
    finally:
        talk.listeners.discard(queue)
        sending.cancel()


async def _send_all(socket: WebSocket, queue: asyncio.Queue[str]) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            frame = await queue.get()
            if len(frame) > FRAME_BYTES_MAX:
                await socket.close(1013, "frame_too_large")
                return
            await socket.send_text(frame)


async def info(request: Request) -> Response:
    seconds = time.monotonic() - BEGAN
    capabilities = ["idempotent_conversation_create_v1"]
    return JSONResponse({"version": "1.58.0", "uptime": seconds, "idle_time": 0.0, "capabilities": capabilities})


async def ready(request: Request) -> Response:
    return JSONResponse({"status": "ready"})


async def alive(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def initialise(request: Request) -> Response:
    global INIT_KEY, KEY
    if not INIT_KEY:
        return JSONResponse({"detail": "server already in state: ready"}, 400)
    if request.headers.get("X-Init-API-Key") != INIT_KEY:
        return JSONResponse({"detail": "Unauthorized"}, 401)
    INIT_KEY, KEY = "", (await request.json())["session_api_keys"][0]
    load()
    return JSONResponse({"state": "ready", "error": None})


def keyed(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if INIT_KEY:
            return JSONResponse({"detail": "Internal Server Error", "exception": "503: deferred-init"}, 503)
        if KEY and request.headers.get("X-Session-API-Key") != KEY:
            return JSONResponse({"detail": "Unauthorized"}, 401)
        return await answer(request)

    return endpoint


def talking(answer: Callable[[Request, Talk], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        talk = TALKS.get(str(uuid.UUID(request.path_params["id"])))
        return JSONResponse(MISSING, 404) if talk is None else await answer(request, talk)

    return keyed(endpoint)


ONE = "/api/conversations/{id}"
ROUTES = [
    Route("/ready", ready),
    Route("/alive", alive),
    Route("/server_info", info),
    Route("/api/init", initialise, methods=["POST"]),
    Route("/api/conversations/count", keyed(count)),
    Route("/api/conversations/search", keyed(search)),
    Route("/api/conversations", keyed(create), methods=["POST"]),
    Route(ONE, talking(read)),
    Route(ONE, talking(update), methods=["PATCH"]),
    Route(ONE, talking(delete), methods=["DELETE"]),
    Route(f"{ONE}/events", talking(send), methods=["POST"]),
    Route(f"{ONE}/events/search", talking(search_events)),
    Route(f"{ONE}/events/count", talking(count_events)),
    Route(f"{ONE}/run", talking(run), methods=["POST"]),
    Route(f"{ONE}/interrupt", talking(interrupt), methods=["POST"]),
    WebSocketRoute("/sockets/session/{id}", session),
]


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    if not INIT_KEY:
        load()
    note("boot", environment=sorted(os.environ), python=sys.executable)
    yield
    for talk in list(TALKS.values()):
        await talk.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    app = Starlette(routes=ROUTES, lifespan=lifespan)
    uvicorn.run(
        app, host=given.host, port=given.port, ws="websockets-sansio", log_level="warning", timeout_graceful_shutdown=1
    )


if __name__ == "__main__":
    main()
