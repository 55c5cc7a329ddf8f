"""The scripted model as a client of the OpenAI protocol sees it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from opensymphony.demo.model import Failure, Message, Reply, Text, ToolCall, ToolCalls, serve_model, text_of

HELLO = [{"role": "user", "content": "hello"}]


async def ask(base_url: str, **body: Any) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{base_url}/chat/completions", json={"model": "scripted", "messages": HELLO, **body})


async def test_a_text_reply_is_a_chat_completion() -> None:
    """The answer has a valid id, usage figures and a finish reason, and the request is kept."""
    async with serve_model(lambda messages: Text(text=f"you said {text_of(messages[-1])}")) as endpoint:
        answer = (await ask(endpoint.base_url)).json()
    assert answer["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "you said hello"},
        "finish_reason": "stop",
    }
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 1
    assert answer["id"].startswith("chatcmpl-")
    assert endpoint.requests[0]["messages"] == HELLO


async def test_tool_calls_carry_their_arguments_as_text() -> None:
    """One or several calls: each with an id of its own and arguments encoded as a JSON string."""
    calls = ToolCalls(calls=(ToolCall(name="a", arguments={"x": 1}), ToolCall(name="b")), thought="both")
    async with serve_model(lambda messages: calls) as endpoint:
        choice = (await ask(endpoint.base_url)).json()["choices"][0]
    found = choice["message"]["tool_calls"]
    assert [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in found] == [
        ("a", {"x": 1}),
        ("b", {}),
    ]
    assert len({call["id"] for call in found}) == 2
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", "both")


@pytest.mark.parametrize("reply", [Text(text="long " * 50), ToolCall(name="a", arguments={"x": 1}, thought="why")])
async def test_a_streamed_answer_says_the_same(reply: Reply) -> None:
    """The chunks of a streamed answer add up to the plain one, with usage before the end."""
    async with serve_model(lambda messages: reply) as endpoint:
        plain = (await ask(endpoint.base_url)).json()["choices"][0]["message"]
        lines = [line[6:] for line in (await ask(endpoint.base_url, stream=True)).text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == (plain["content"] or "")
    names = [call["function"] for delta in deltas for call in delta.get("tool_calls", [])]
    assert names == [call["function"] for call in plain.get("tool_calls", [])]
    assert chunks[-1]["usage"]["total_tokens"] > 0


async def test_a_failure_is_answered_as_scripted() -> None:
    """Status, body and headers are the script's."""
    reply = Failure(status=429, body="slow down", headers={"Retry-After": "7"})
    async with serve_model(lambda messages: reply) as endpoint:
        answer = await ask(endpoint.base_url)
    assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (429, "slow down", "7")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"messages": 3}', b"\xff"])
async def test_a_request_that_is_none_is_refused(content: bytes) -> None:
    """What is not a chat completion request is answered 400, and the endpoint goes on."""
    async with (
        serve_model(lambda messages: Text(text="fine")) as endpoint,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        bad = await client.post(f"{endpoint.base_url}/chat/completions", content=content)
        models = await client.get(f"{endpoint.base_url}/models")
    assert bad.status_code == 400
    assert models.json()["data"][0]["id"] == "scripted"


async def test_a_play_that_raises_says_so() -> None:
    """A mistake in a script is a 500 with its cause, not a hanging agent."""

    def play(messages: list[Message]) -> Reply:
        raise LookupError("no such scene")

    async with serve_model(play) as endpoint:
        answer = await ask(endpoint.base_url)
    assert answer.status_code == 500
    assert "no such scene" in answer.text


async def test_records_of_requests_are_bounded() -> None:
    """Only the newest hundred bodies are kept; the count goes on."""
    async with serve_model(lambda messages: Text(text="x")) as endpoint, httpx.AsyncClient(trust_env=False) as client:
        for _ in range(105):
            await client.post(f"{endpoint.base_url}/chat/completions", json={"messages": HELLO})
    assert (len(endpoint.requests), endpoint.request_count) == (100, 105)
