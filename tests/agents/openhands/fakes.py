"""An agent-server for cases that the real one cannot be brought to: scripted sockets and scripted REST answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from websockets.asyncio.server import ServerConnection, serve

from opensymphony.agents.openhands.client import Endpoint
from opensymphony.api.server import serve_app
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import CommandKey, ConversationId, ServerState

ID = ConversationId("c1")
KEY = CommandKey("A-1#1/turn-1/send")
REQUEST = ConversationRequest(conversation_id=ID, working_dir="/w", title="T")
TOOLS = [{"name": name} for name in ("terminal", "file_editor", "task_tracker")]
WHOLE = {"id": "c1", "execution_status": "idle", "agent": {"tools": TOOLS}, "workspace": {"working_dir": "/w"}}
ENVIRONMENT = {"LLM_MODEL": "openai/m", "LLM_API_KEY": "k", "LLM_BASE_URL": "http://127.0.0.1:1/v1"}

Scene = Callable[[ServerConnection], Awaitable[None]]
Answer = Callable[[Request], Awaitable[Response]]


def durable(seq: int, event_id: str = "", **fields: Any) -> str:
    event = {"id": event_id or f"e{seq}", "kind": "PauseEvent", **fields}
    return json.dumps({"type": "durable", "seq": seq, "event": event})


def sync(through_seq: int | None) -> str:
    return json.dumps({"type": "sync", **({} if through_seq is None else {"through_seq": through_seq})})


def full_state(status: str, **more: Any) -> str:
    event = {"kind": "ConversationStateUpdateEvent", "key": "full_state", "value": {"execution_status": status, **more}}
    return json.dumps({"type": "transient", "event": event})


class FakeServer:
    """Plays one scene for each socket that is opened, the last one again and again; REST answers come from `answers`."""

    def __init__(self) -> None:
        self.scenes: list[Scene] = []
        self.answers: dict[str, Answer] = {}
        """By `METHOD path`, without the conversation's own prefix."""
        self.cursors: list[str | None] = []
        self.paths: list[str] = []
        self.auths: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.refuse_sockets = False
        self.boot = 1
        self.pid: int | None = None
        self.cleared = anyio.Event()
        self.cleared.set()
        self._rest_port = 0
        self._socket_port = 0

    tls = False

    async def renew_key(self, refused: str) -> bool:
        return False

    def endpoint(self) -> Endpoint:
        return Endpoint(base_url=f"http://127.0.0.1:{self._rest_port}", session_key="key", boot=self.boot)

    async def wait_ready(self) -> Endpoint:
        return Endpoint(base_url=f"http://127.0.0.1:{self._socket_port}", session_key="key", boot=self.boot)

    async def wait_cleared(self) -> None:
        await self.cleared.wait()

    def state(self) -> ServerState:
        return ServerState(status="ready", pid=self.pid)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeServer]:
        app = Starlette(routes=[Route("/{path:path}", self._rest, methods=["GET", "POST", "PATCH", "DELETE"])])
        async with (
            anyio.create_task_group() as tasks,
            serve(self._socket, "127.0.0.1", 0, process_request=self._process_request, compression=None) as sockets,
        ):
            self._socket_port = next(iter(sockets.sockets)).getsockname()[1]
            self._rest_port = await tasks.start(partial(serve_app, app, "127.0.0.1", 0))
            yield self
            tasks.cancel_scope.cancel()

    def _process_request(self, connection: ServerConnection, request: Any) -> Any:
        return connection.respond(403, "") if self.refuse_sockets else None

    async def _socket(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        address = urlsplit(connection.request.path)
        query = parse_qs(address.query)
        self.paths.append(address.path)
        self.cursors.append(query.get("after_seq", [None])[0])
        self.auths.append(json.loads(await connection.recv()))
        await self.scenes[min(len(self.cursors), len(self.scenes)) - 1](connection)

    async def _rest(self, request: Request) -> Response:
        path = request.url.path.removeprefix("/api/conversations").removeprefix("/c1")
        asked = f"{request.method} {path}"
        self.requests.append(asked)
        answer = self.answers.get(asked)
        return await answer(request) if answer else JSONResponse({"detail": "Not found"}, 404)


def always(body: Any, status: int = 200) -> Answer:
    async def answer(request: Request) -> Response:
        return JSONResponse(body, status)

    return answer


def in_turn(*answers: tuple[int, Any]) -> Answer:
    """The first answer first; the last one stays."""
    left = list(answers)

    async def answer(request: Request) -> Response:
        status, body = left.pop(0) if len(left) > 1 else left[0]
        return JSONResponse(body, status)

    return answer


def say(*frames: str, code: int | None = None, reason: str = "", cut: bool = False) -> Scene:
    """Send the frames, then close with a code, cut the line without a word, or stay open."""

    async def scene(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame)
        if cut:
            connection.transport.abort()
        elif code is not None:
            await connection.close(code, reason)
        else:
            await connection.wait_closed()

    return scene


class Log:
    """The server's log of one conversation, with a POST that may lose its answer."""

    def __init__(self, fake: FakeServer, *, statuses: list[int], delivered: list[bool]) -> None:
        self.events: list[dict[str, Any]] = []
        self.posts = 0
        self._statuses = statuses
        self._delivered = delivered
        fake.answers |= {"GET /events/search": self.search, "POST /events": self.post, "POST /run": always({})}

    async def post(self, request: Request) -> Response:
        if self._delivered[self.posts]:
            message = await request.json()
            self.add("MessageEvent", source="user", llm_message=message)
        self.posts += 1
        return JSONResponse({}, self._statuses[self.posts - 1])

    async def search(self, request: Request) -> Response:
        query = request.query_params
        events = [one for one in self.events if query.get("kind") in (None, one["kind"])]
        if "body" in query:
            events = [one for one in events if query["body"] in json.dumps(one)]
        if query.get("sort_order") == "TIMESTAMP_DESC":
            events.reverse()
        return JSONResponse({"items": events})

    def add(self, kind: str, **fields: Any) -> None:
        self.events.append({"id": f"e{len(self.events)}", "kind": kind, **fields})
