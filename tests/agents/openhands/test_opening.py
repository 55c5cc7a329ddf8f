"""A conversation is made or found, and what is half made is told apart."""

from __future__ import annotations

import msgspec
import pytest

from opensymphony.agents.openhands import opening
from opensymphony.agents.openhands.client import Endpoint
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.clock import Clock
from opensymphony.errors import AgentServerError
from opensymphony.interfaces import ConversationRequest
from opensymphony.workflow.policy import ConversationPolicy
from tests.agents.openhands.fakes import (
    ENVIRONMENT,
    ID,
    REQUEST,
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


async def test_a_conversation_with_a_history_keeps_its_tools(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """A policy that changed its tools does not cost a history; another directory does not go unnoticed."""
    old = {**WHOLE, "agent": {"tools": []}, "last_user_message_id": "m"}
    fake.answers |= {"POST ": always(old)}
    assert (await runtime.open(REQUEST)).created is False
    with pytest.raises(AgentServerError, match=r"works in /w, not in /v"):
        await runtime.open(ConversationRequest(conversation_id=ID, working_dir="/v", title="T"))
    assert "DELETE " not in fake.requests
