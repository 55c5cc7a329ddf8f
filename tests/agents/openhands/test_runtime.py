"""What the runtime knows without a turn; whole turns are in tests/live."""

from __future__ import annotations

from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.model import Liveness
from tests.agents.openhands.fakes import (
    ID,
    FakeServer,
    always,
)


async def test_a_server_that_does_not_answer_is_not_alive(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Behind a server that is ill nothing works; behind one that answers, and whose processes are out of sight, perhaps."""
    fake.answers["GET /alive"] = always({"status": "ill"}, 500)
    assert await runtime.probe(ID, "/w") == Liveness(alive=False, detail="the agent-server does not answer")
    fake.answers["GET /alive"] = always({"status": "ok"})
    assert (await runtime.probe(ID, "/w")).alive
