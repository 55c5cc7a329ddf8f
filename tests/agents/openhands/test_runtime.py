"""What the runtime knows without a turn; whole turns are in tests/live."""

from __future__ import annotations

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from websockets.asyncio.server import ServerConnection

from opensymphony.agents.openhands import session as session_module
from opensymphony.agents.openhands.mirror import marker
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.clock import Clock
from opensymphony.model import Liveness, TurnEnd, TurnProgress
from opensymphony.workflow.policy import ConversationPolicy
from tests.agents.openhands.fakes import (
    ENVIRONMENT,
    ID,
    KEY,
    REQUEST,
    WHOLE,
    FakeServer,
    always,
    durable,
    full_state,
    sync,
)


async def test_a_server_that_does_not_answer_is_not_alive(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Behind a server that is ill nothing works; behind one that answers, and whose processes are out of sight, perhaps."""
    fake.answers["GET /alive"] = always({"status": "ill"}, 500)
    assert await runtime.probe(ID, "/w") == Liveness(alive=False, detail="the agent-server does not answer")
    fake.answers["GET /alive"] = always({"status": "ok"})
    assert (await runtime.probe(ID, "/w")).alive


class Keyless:
    """A server whose conversation fails for its key until it is given one, and then finishes when it is told to go on."""

    def __init__(self, fake: FakeServer, detail: str, *, another_helps: bool = True) -> None:
        self.another_helps = another_helps
        self.detail = detail
        self.keys: list[str] = []
        self.told = anyio.Event()
        fake.answers |= {
            "POST ": always(WHOLE, 201),
            "POST /switch_llm": self.switch,
            "POST /run": self.run,
            "GET /events/search": always({"items": []}),
        }
        fake.scenes = [self.scene]

    async def switch(self, request: Request) -> Response:
        self.keys.append((await request.json())["llm"]["api_key"])
        return JSONResponse({})

    async def run(self, request: Request) -> Response:
        self.told.set()
        return JSONResponse({})

    async def scene(self, connection: ServerConnection) -> None:
        def status(seq: int, value: str) -> str:
            return durable(seq, kind="ConversationStateUpdateEvent", key="execution_status", value=value)

        text = {"content": [{"type": "text", "text": marker(KEY)}]}

        def failed(seq: int) -> str:
            return durable(seq, kind="ConversationErrorEvent", code="LLMServiceUnavailableError", detail=self.detail)

        before = (sync(0), durable(0, kind="MessageEvent", source="user", llm_message=text), full_state("idle"))
        for frame in (*before, status(1, "running"), status(2, "error"), failed(3), full_state("error")):
            await connection.send(frame)
        await self.told.wait()
        if self.another_helps:
            after = (status(5, "finished"), full_state("finished"))
        else:
            after = (status(5, "error"), failed(6), full_state("error"))
        for frame in (status(4, "running"), *after):
            await connection.send(frame)
        await connection.wait_closed()


async def turn_of(runtime: OpenHandsRuntime) -> TurnEnd:
    async def report(progress: TurnProgress) -> None:
        pass

    await runtime.open(REQUEST)
    with anyio.fail_after(30):
        return await runtime.await_turn(ID, KEY, report, resume=False)


async def test_a_server_that_lost_the_key_is_given_it_again(
    fake: FakeServer, runtime: OpenHandsRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart without its secret the server has no key any more (trap 5): the turn goes on once it has it again."""
    monkeypatch.setattr(session_module, "_START_S", 0.2)
    server = Keyless(fake, "OpenAIException - Missing credentials. Please pass an `api_key`")
    end = await turn_of(runtime)
    assert (end.status, end.failure, server.keys) == ("finished", None, ["k"])


async def test_a_key_that_is_refused_and_is_still_the_same_is_told(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Without another key nothing is switched and nothing is tried: a person has to act."""
    server = Keyless(fake, "Incorrect API key provided")
    end = await turn_of(runtime)
    assert end.failure is not None
    assert (end.status, end.failure.action, server.keys) == ("error", "person", [])
    assert "LLM_API_KEY" in end.failure.advice
    assert not server.told.is_set()


async def test_a_provider_that_repeats_the_key_does_not_spread_it(fake: FakeServer) -> None:
    """What it refuses may stand in its answer; it goes into no journal and no comment."""
    environment = ENVIRONMENT | {"LLM_API_KEY": "canary-key"}
    runtime = OpenHandsRuntime(fake, policy=ConversationPolicy, environment=environment, clock=Clock())
    Keyless(fake, "Incorrect API key provided: canary-key.")
    end = await turn_of(runtime)
    await runtime.close()
    assert end.failure is not None
    assert end.failure.detail == "Incorrect API key provided: ***."


async def test_a_key_that_is_refused_for_good_is_told_after_one_repair(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is another key, and it does not help either: the second failure ends the turn."""
    monkeypatch.setattr(session_module, "_START_S", 0.2)
    keys = iter(("k", "second", "third"))

    async def read() -> dict[str, str]:
        return ENVIRONMENT | {"LLM_API_KEY": next(keys)}

    runtime = OpenHandsRuntime(
        fake, policy=ConversationPolicy, environment=ENVIRONMENT, clock=Clock(), read_environment=read
    )
    server = Keyless(fake, "Incorrect API key provided", another_helps=False)
    end = await turn_of(runtime)
    await runtime.close()
    assert (end.status, server.keys) == ("error", ["second"])
