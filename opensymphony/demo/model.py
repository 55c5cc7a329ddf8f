"""A scripted model: chat-completion requests come in over HTTP, the replies that a play decides go out.

It stands in for the paid model in the demo and in tests, and speaks the OpenAI chat-completions protocol, plain and
streamed, so that the agent-server in front of it is the real one. litellm calls it as model `openai/scripted` with
`endpoint.base_url`.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, cast

import anyio
import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from opensymphony.api.server import serve_app
from opensymphony.clock import Clock, new_id

MODEL = "scripted"
_REQUESTS_KEPT = 100
_BODY_BYTES_MAX = 32 * 1024 * 1024
_CHARACTERS_PER_TOKEN = 4


class ToolCall(Struct, frozen=True, kw_only=True):
    """The model wants one tool to run; `finish` is a tool too, with the argument `message`."""

    name: str
    arguments: Mapping[str, Any] = {}
    thought: str = ""
    delay_ms: int = 0
    """How long the model seems to think."""


class ToolCalls(Struct, frozen=True, kw_only=True):
    """Several tools at once."""

    calls: tuple[ToolCall, ...]
    thought: str = ""
    delay_ms: int = 0


class Text(Struct, frozen=True, kw_only=True):
    """A plain answer, which ends the turn."""

    text: str
    delay_ms: int = 0


class Failure(Struct, frozen=True, kw_only=True):
    """The endpoint fails: any status, any body, as a real one may."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = {}
    delay_ms: int = 0


Reply = ToolCall | ToolCalls | Text | Failure
Message = dict[str, Any]
"""One chat message as the protocol has it: `role`, `content`, perhaps `tool_calls` or `tool_call_id`."""
Play = Callable[[list[Message]], Reply]
"""Decides the reply from the messages so far; one that raises makes the endpoint answer 500."""


def text_of(message: Message) -> str:
    """The text of one message, whichever of the protocol's two forms its content has."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content)


class ModelEndpoint:
    """A running scripted model."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._clock = Clock()
        self.base_url = ""
        self.requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_KEPT)
        """Bodies of the newest requests, oldest first."""
        self.keys: deque[str] = deque(maxlen=_REQUESTS_KEPT)
        """The keys that came with them."""
        self.request_count = 0

    async def models(self, request: Request) -> Response:
        """The one model there is."""
        return _json({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "opensymphony"}]})

    async def chat_completions(self, request: Request) -> Response:
        """One model call."""
        body = await _read_json(request)
        messages = body.get("messages") if body else None
        if body is None or not isinstance(messages, list):
            return _error(400, "the body is not a chat completion request")
        self.requests.append(body)
        self.keys.append(request.headers.get("authorization", "").removeprefix("Bearer "))
        self.request_count += 1
        try:
            reply = self._play(cast(list[Message], messages))
        except Exception as error:  # the play is the test's or demo's own: its fault must show at once
            return _error(500, f"the play failed: {error!r}")
        await anyio.sleep(reply.delay_ms / 1000)
        if isinstance(reply, Failure):
            return Response(reply.body, reply.status, dict(reply.headers))
        completion = self._completion(reply, body)
        if body.get("stream"):
            return StreamingResponse(_chunks(completion), media_type="text/event-stream")
        return _json(completion)

    def _completion(self, reply: ToolCall | ToolCalls | Text, body: dict[str, Any]) -> dict[str, Any]:
        message = _message(reply)
        prompt_tokens = _tokens(msgspec.json.encode([body["messages"], body.get("tools")]))
        completion_tokens = _tokens(msgspec.json.encode(message))
        return {
            "id": f"chatcmpl-{new_id()}",
            "object": "chat.completion",
            "created": self._clock.now_ms() // 1000,
            "model": MODEL,
            "choices": [
                {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        }


@contextlib.asynccontextmanager
async def serve_model(play: Play, *, port: int = 0) -> AsyncGenerator[ModelEndpoint]:
    """Serve `play` on loopback until the block ends; `port` 0 takes any free one."""
    endpoint = ModelEndpoint(play)
    app = Starlette(
        routes=[
            Route("/v1/models", endpoint.models),
            Route("/v1/chat/completions", endpoint.chat_completions, methods=["POST"]),
        ]
    )
    async with anyio.create_task_group() as tasks:
        bound: int = await tasks.start(partial(serve_app, app, "127.0.0.1", port))
        endpoint.base_url = f"http://127.0.0.1:{bound}/v1"
        try:
            yield endpoint
        finally:
            tasks.cancel_scope.cancel()


def _message(reply: ToolCall | ToolCalls | Text) -> Message:
    match reply:
        case Text():
            return {"role": "assistant", "content": reply.text}
        case ToolCall():
            calls, thought = (reply,), reply.thought
        case ToolCalls():
            calls, thought = reply.calls, reply.thought
    return {
        "role": "assistant",
        "content": thought or None,
        "tool_calls": [
            {
                "id": f"call_{new_id()}",
                "type": "function",
                "function": {"name": call.name, "arguments": msgspec.json.encode(dict(call.arguments)).decode()},
            }
            for call in calls
        ],
    }


async def _chunks(completion: dict[str, Any]) -> AsyncIterator[bytes]:
    """The same answer as server-sent events: the role, the content in pieces, the tool calls, the usage, the end."""
    head = {name: completion[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = completion["choices"][0]
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    content = choice["message"]["content"] or ""
    deltas += [{"content": content[at : at + 64]} for at in range(0, len(content), 64)]
    deltas += [
        {"tool_calls": [{"index": index, **call}]} for index, call in enumerate(choice["message"].get("tool_calls", []))
    ]
    for delta in deltas:
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    yield _event({**head, "choices": [], "usage": completion["usage"]})
    yield b"data: [DONE]\n\n"


async def _read_json(request: Request) -> dict[str, Any] | None:
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > _BODY_BYTES_MAX:
            return None
    try:
        return msgspec.json.decode(received, type=dict[str, Any])
    except msgspec.DecodeError:
        return None


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def _json(data: dict[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(data), status, media_type="application/json")


def _error(status: int, message: str) -> Response:
    return _json({"error": {"message": message, "type": "invalid_request_error", "code": None}}, status)


def _tokens(text: bytes) -> int:
    return max(1, len(text) // _CHARACTERS_PER_TOKEN)
