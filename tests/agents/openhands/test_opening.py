"""A conversation is made or found, and what is half made is told apart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from opensymphony.agents.openhands import opening
from opensymphony.agents.openhands.client import Endpoint
from opensymphony.agents.openhands.mirror import marker
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.clock import Clock
from opensymphony.errors import AgentServerError, ConfigurationError
from opensymphony.model import CommandKey, ConversationId
from opensymphony.workflow.policy import ConversationAgentPolicy, ConversationPolicy, LlmPolicy
from tests.agents.openhands.fakes import (
    ENVIRONMENT,
    ID,
    KEY,
    REQUEST,
    TOOLS,
    WHOLE,
    FakeServer,
    always,
    in_turn,
)


class JustDied(FakeServer):
    """At the first look nobody has noticed yet that nobody listens any more."""

    looks = 0

    async def wait_ready(self) -> Endpoint:
        self.looks += 1
        return self.endpoint()

    def endpoint(self) -> Endpoint:
        found = super().endpoint()
        return msgspec.structs.replace(found, base_url="http://127.0.0.1:9") if self.looks < 2 else found


async def test_a_server_that_died_a_moment_ago_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversation that could not be asked for is asked for again when the server is back: the ticket did not fail."""
    monkeypatch.setattr(opening, "_LOOK_AGAIN_S", 0.01)
    async with JustDied().serving() as server:
        server.answers |= {"GET /server_info": always({"version": "1.58.0"}), "POST ": always(WHOLE, 201)}
        runtime = OpenHandsRuntime(server, policy=ConversationPolicy, environment=ENVIRONMENT, clock=Clock())
        assert (await runtime.open(REQUEST)).created
        await runtime.close()
        assert server.looks == 2


async def test_a_create_that_failed_and_made_it_is_not_trusted(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """500, but a conversation is there (trap 9): it looks whole and may be broken; without a message nothing is lost anew."""
    fake.answers |= {"POST ": in_turn((500, {}), (201, WHOLE)), "GET ": always(WHOLE), "DELETE ": always({})}
    found = await runtime.open(REQUEST)
    assert (found.id, found.server_version, found.created) == ("c1", "1.58.0", True)
    assert "DELETE " in fake.requests


async def test_a_half_made_conversation_is_made_anew(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """A conversation without the tools we asked for and without a message is removed, then created again."""
    half = {**WHOLE, "agent": {"tools": []}}
    fake.answers |= {"POST ": in_turn((200, half), (201, WHOLE)), "DELETE ": always({})}
    found = await runtime.open(REQUEST)
    assert found.created
    assert [asked for asked in fake.requests if asked in ("POST ", "DELETE ")] == ["POST ", "DELETE ", "POST "]


async def test_a_conversation_that_stays_broken_is_an_error(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Two attempts, then the cause is told."""
    fake.answers |= {"POST ": always({"detail": "Internal", "exception": "ValueError: tool"}, 500)}
    with pytest.raises(AgentServerError, match="ValueError: tool"):
        await runtime.open(REQUEST)


FOUND = {
    **WHOLE,
    "last_user_message_id": "m",
    "agent": {"kind": "Agent", "tools": TOOLS, "condenser": {"max_size": 240}},
}


class Found:
    """A conversation that is there with a history; takes tags and switches as the server does."""

    def __init__(self, fake: FakeServer, info: dict[str, Any] = FOUND, *, prompted: bool = True) -> None:
        self.info = dict(info)
        self.switched: list[dict[str, Any]] = []
        self.fake = fake
        text = {"content": [{"type": "text", "text": marker("A-1#1/5/send-message")}]}
        items = [{"id": "m", "kind": "MessageEvent", "source": "user", "llm_message": text}] if prompted else []
        fake.answers |= {
            "POST ": self.create,
            "PATCH ": self.patch,
            "POST /switch_llm": self.switch,
            "GET /events/search": always({"items": items}),
            "POST /events": always({}),
        }

    async def create(self, request: Request) -> Response:
        return JSONResponse(self.info)

    async def patch(self, request: Request) -> Response:
        self.info |= await request.json()
        return JSONResponse({})

    async def switch(self, request: Request) -> Response:
        self.switched.append((await request.json())["llm"])
        return JSONResponse({})


@pytest.mark.parametrize(
    ("difference", "why"),
    [
        ({"agent": {"kind": "Agent", "tools": []}}, "its tools are none, not terminal, file_editor, task_tracker"),
        ({"agent": {"kind": "ACPAgent", "tools": TOOLS}}, "its agent is ACPAgent, not Agent"),
        (
            {"agent": {"tools": TOOLS, "include_default_tools": []}},
            "its default tools are none, not FinishTool, ThinkTool",
        ),
        ({"agent": {"tools": TOOLS, "condenser": None}}, "its history is never summarised"),
        ({"workspace": {"working_dir": "/v"}}, "it works in /v, not in /w"),
    ],
)
async def test_what_cannot_be_changed_any_more_is_told(
    fake: FakeServer, runtime: OpenHandsRuntime, difference: dict[str, Any], why: str
) -> None:
    """A conversation with a history is neither deleted nor used under a policy that asks for something else."""
    found = Found(fake, FOUND | difference)
    opened = await runtime.open(REQUEST)
    assert not opened.created
    assert why in opened.unfit
    assert (found.switched, "DELETE " in fake.requests) == ([], False)


async def test_a_conversation_that_fits_goes_on(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """It is given the model once, and not again as long as that stays the same, also not by the next daemon."""
    found = Found(fake)
    opened = await runtime.open(REQUEST)
    assert (opened.unfit, opened.prompted, opened.launch and opened.launch.model) == ("", True, "openai/m")
    assert [(one["api_key"], one["usage_id"]) for one in found.switched] == [("k", "agent")]
    later = OpenHandsRuntime(fake, policy=ConversationPolicy, environment=ENVIRONMENT, clock=Clock())
    await later.open(REQUEST)
    await later.close()
    assert len(found.switched) == 1


@pytest.mark.parity("rehydrates_missing_conversation_with_fresh_prompt")
async def test_the_servers_history_says_whether_it_was_prompted(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """A log without a message of ours lacks the full prompt, whatever we remember."""
    Found(fake, prompted=False)
    assert (await runtime.open(REQUEST)).prompted is False


async def test_nothing_of_the_key_is_told(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Tags and launch profile hold a fingerprint; another key has another one, another conversation too."""
    found = Found(fake)
    opened = await runtime.open(REQUEST)
    assert "canary" not in str(found.info["tags"])
    environment = ENVIRONMENT | {"LLM_API_KEY": "canary"}
    later = OpenHandsRuntime(fake, policy=ConversationPolicy, environment=environment, clock=Clock())
    again = await later.open(REQUEST)
    await later.close()
    assert again.launch is not None
    assert opened.launch is not None
    assert again.launch.key_fingerprint != opened.launch.key_fingerprint
    assert "canary" not in f"{found.info['tags']}{again.launch}"
    assert len(found.switched) == 2


@pytest.mark.parity("reuses_despite_llm_config_changes")
async def test_a_key_that_changes_between_two_turns_is_given_before_the_next(fake: FakeServer) -> None:
    """The policy's model section was edited: environment read again, conversation switched, then the message sent."""
    found, policy = Found(fake), ConversationPolicy()
    keys = ["new"]

    async def read() -> dict[str, str]:
        return ENVIRONMENT | {"LLM_API_KEY": keys[0], "OTHER": "other"}

    runtime = OpenHandsRuntime(
        fake, policy=lambda: policy, environment=ENVIRONMENT, clock=Clock(), read_environment=read
    )
    await runtime.open(REQUEST)
    await runtime.send(ID, KEY, "Do it.")
    assert [one["api_key"] for one in found.switched] == ["new"]
    llm = LlmPolicy(api_key_env="OTHER", options={"reasoning_effort": "high"})
    policy = ConversationPolicy(agent=ConversationAgentPolicy(llm=llm))
    fake.requests.clear()
    await runtime.send(ID, CommandKey("k/2"), "Go on.")
    await runtime.close()
    assert (found.switched[-1]["api_key"], found.switched[-1]["reasoning_effort"]) == ("other", "high")
    assert fake.requests.index("POST /switch_llm") < fake.requests.index("POST /events")


async def test_a_model_that_cannot_be_switched_makes_it_unfit(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Then another conversation goes on in its place."""
    Found(fake)
    fake.answers["POST /switch_llm"] = always({"detail": "no"}, 422)
    assert "its model could not be switched" in (await runtime.open(REQUEST)).unfit


async def test_a_key_that_cannot_be_read_again_leaves_the_one_that_is_known(fake: FakeServer) -> None:
    """A password store that is locked for a moment fails no ticket."""

    async def read() -> dict[str, str]:
        raise ConfigurationError([])

    runtime = OpenHandsRuntime(
        fake, policy=ConversationPolicy, environment=ENVIRONMENT, clock=Clock(), read_environment=read
    )
    found = Found(fake)
    await runtime.open(REQUEST)
    await runtime.close()
    assert found.switched[0]["api_key"] == "k"


@pytest.mark.fixes(27)
async def test_a_successor_is_told_what_was_done(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """The old conversation is stopped and read, never deleted; one that cannot be read costs nothing but its summary."""
    Found(fake)
    fake.answers["POST /interrupt"] = always({}, 404)
    request = msgspec.structs.replace(REQUEST, predecessor=ConversationId("c1"))
    assert isinstance((await runtime.open(request)).summary, str)
    assert "POST /interrupt" in fake.requests
    fake.answers["GET /events/search"] = in_turn(*[(500, {})] * 2, (200, {"items": []}))
    assert (await runtime.open(request)).summary == ""
    assert "DELETE " not in fake.requests
