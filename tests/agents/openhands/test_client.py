"""REST calls and what may become of their answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from opensymphony.agents.openhands import client as client_module
from opensymphony.agents.openhands.client import (
    Client,
    ConversationGone,
    Endpoint,
    ServerRefused,
    Unanswered,
    Unreached,
)
from opensymphony.errors import AgentServerError
from tests.agents.openhands.fakes import FakeServer, always, in_turn

CONVERSATION = {"id": "c1", "execution_status": "idle", "new_field": [1]}


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    async with FakeServer().serving() as server:
        yield server


@pytest.fixture
async def client(fake: FakeServer) -> AsyncIterator[Client]:
    made = Client(fake.endpoint)
    yield made
    await made.close()


async def test_expected_answers_are_values(fake: FakeServer, client: Client) -> None:
    """What a server in order may say is not an error: there already, running, full, gone."""
    fake.answers |= {
        "POST ": in_turn((201, CONVERSATION), (200, CONVERSATION)),
        "POST /run": in_turn((200, {}), (409, {}), (429, {})),
        "POST /events": in_turn((200, {}), (429, {})),
    }
    assert [created for _, created in (await client.create({}), await client.create({}))] == [True, False]
    assert [await client.run("c1") for _ in range(3)] == ["started", "running", "full"]
    assert [await client.send("c1", "x") for _ in range(2)] == ["running", "saved"]
    assert await client.get("c1") is None
    assert await client.interrupt("c1") is False
    await client.delete("c1")


async def test_a_conversation_that_is_gone_is_told_apart(fake: FakeServer, client: Client) -> None:
    """404 where something must be there."""
    for call in (client.run("c1"), client.send("c1", "x"), client.newest_events("c1"), client.count_events("c1")):
        with pytest.raises(ConversationGone):
            await call


async def test_refusals_need_a_person(fake: FakeServer, client: Client) -> None:
    """A key or a request that the server does not take: the same again does not help."""
    fake.answers |= {"GET ": always({}, 401), "POST ": always({"detail": "no such tool"}, 422)}
    with pytest.raises(ServerRefused, match="session key"):
        await client.get("c1")
    with pytest.raises(ServerRefused, match="no such tool"):
        await client.create({})


async def test_a_harmless_call_is_made_again_once(fake: FakeServer, client: Client) -> None:
    """A 5xx is asked again where that does no harm, and only once."""
    fake.answers["GET "] = in_turn((500, {}), (200, CONVERSATION))
    assert await client.get("c1") is not None
    fake.answers["GET "] = always({"detail": "broken"}, 500)
    fake.requests.clear()
    with pytest.raises(Unanswered, match="broken"):
        await client.get("c1")
    assert len(fake.requests) == 2


async def test_a_message_is_never_made_again(fake: FakeServer, client: Client) -> None:
    """A 5xx on a message may have delivered it: the caller has to look."""
    fake.answers["POST /events"] = always({}, 500)
    with pytest.raises(Unanswered):
        await client.send("c1", "x")
    assert fake.requests == ["POST /events"]


@pytest.mark.parametrize("body", [[], {"id": 3}, "text"])
async def test_an_answer_that_is_none_is_an_error(fake: FakeServer, client: Client, body: object) -> None:
    """What we cannot read is said so, not guessed."""
    fake.answers["GET "] = always(body)
    with pytest.raises(AgentServerError, match="do not understand"):
        await client.get("c1")


async def test_an_answer_has_a_limit(fake: FakeServer, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless answer is not read to its end."""
    monkeypatch.setattr(client_module, "_ANSWER_BYTES_MAX", 1_000)
    fake.answers["GET "] = always({"id": "x" * 2_000})
    with pytest.raises(AgentServerError, match="more than 1000 bytes"):
        await client.get("c1")


async def test_the_message_is_looked_for_exactly(fake: FakeServer, client: Client) -> None:
    """The server's filter ignores case; another message that it finds is not ours, nor is one that quotes the mark."""
    texts = ["mark MARK-1", "see MARK-1x", "mark-1\nsays a ticket", "x\nmark-1"]
    events = [
        {"id": str(n), "kind": "MessageEvent", "llm_message": {"content": [{"type": "text", "text": text}]}}
        for n, text in enumerate(texts)
    ]
    fake.answers["GET /events/search"] = always({"items": events})
    found = await client.find_message("c1", "mark-1")
    assert found is not None
    assert found.id == "3"
    assert await client.find_message("c1", "mark-2") is None


async def test_nobody_there_had_no_effect() -> None:
    """A refused connection is told apart from a lost answer."""
    client = Client(lambda: Endpoint(base_url="http://127.0.0.1:9", session_key="k"))
    with pytest.raises(Unreached):
        await client.send("c1", "x")
    assert await client.ready() is False
    await client.close()


@asynccontextmanager
async def raw_server(*answers: bytes | None) -> AsyncIterator[tuple[Client, list[int]]]:
    """A TCP server that gives one answer a request and, after a 500, resets the connection at the next; None: silence."""
    connections: list[int] = []
    left = list(answers)

    async def handle(stream: SocketStream) -> None:
        connections.append(len(connections))
        async with stream:
            while True:
                try:
                    await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return
                answer = left.pop(0)
                if answer is None:
                    await anyio.sleep_forever()
                    return
                await stream.send(answer)
                if b" 500 " in answer:
                    await anyio.sleep(0.05)
                    return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    client = Client(lambda: Endpoint(base_url=f"http://127.0.0.1:{port}", session_key="k"))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield client, connections
        await client.close()
        tasks.cancel_scope.cancel()


async def test_a_connection_is_dropped_after_a_500() -> None:
    """The server resets it (trap 10): a message after a 500 goes out on a fresh one and arrives."""
    broken = b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}"
    fine = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    async with raw_server(broken, fine, fine) as (client, connections):
        with pytest.raises(Unanswered):
            await client.send("c1", "first")
        assert await client.send("c1", "second") == "running"
        assert await client.send("c1", "third") == "running"
    assert len(connections) == 2


async def test_silence_has_a_limit() -> None:
    """A server that does not answer costs the time limit, not for ever."""
    async with raw_server(None) as (client, _):
        with pytest.raises(Unanswered, match="no answer"):
            await client.send("c1", "x", timeout_s=0.2)
