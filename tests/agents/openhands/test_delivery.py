"""A message is delivered once, whatever is lost on the way."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import Response

from opensymphony.agents.openhands.mirror import marker
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.errors import AgentServerError
from tests.agents.openhands.fakes import (
    ID,
    KEY,
    FakeServer,
    Log,
)


async def test_a_message_carries_its_key(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """The key is the last line of the text, where people who read it see only a comment."""
    log = Log(fake, statuses=[200], delivered=[True])
    await runtime.send(ID, KEY, "Do it.")
    assert log.events[0]["llm_message"]["content"][0]["text"] == f"Do it.\n\n{marker(KEY)}"
    assert log.events[0]["llm_message"]["run"] is True


async def test_a_message_whose_answer_was_lost_is_not_sent_again(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """A 500 after delivery: the message is found, the agent is started, nothing is doubled."""
    log = Log(fake, statuses=[500], delivered=[True])
    await runtime.send(ID, KEY, "Do it.")
    assert (log.posts, len(log.events)) == (1, 1)
    assert "POST /run" in fake.requests


async def test_a_message_that_did_not_arrive_is_sent_again(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """A 500 without delivery: it is looked for, not found, and sent once more."""
    log = Log(fake, statuses=[500, 200], delivered=[False, True])
    await runtime.send(ID, KEY, "Do it.")
    assert (log.posts, len(log.events)) == (2, 1)


async def test_nothing_is_sent_again_while_a_tool_is_open(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """The lost message may wait behind the tool: it is looked for only when the tool has its result."""
    log = Log(fake, statuses=[500], delivered=[False])
    log.add("ActionEvent", tool_call_id="call", tool_name="terminal")
    looks = 0
    original = log.search

    async def search(request: Request) -> Response:
        nonlocal looks
        looks += request.query_params.get("sort_order") == "TIMESTAMP_DESC"
        if looks == 3 and len(log.events) == 1:
            log.add("ObservationEvent", tool_call_id="call")
            log.add("MessageEvent", source="user", llm_message={"content": [{"type": "text", "text": marker(KEY)}]})
        return await original(request)

    fake.answers["GET /events/search"] = search
    await runtime.send(ID, KEY, "Do it.")
    assert (log.posts, looks) == (1, 3)


async def test_a_full_server_has_the_message_already(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """429: the message is saved; only the run is asked for again."""
    log = Log(fake, statuses=[429], delivered=[True])
    await runtime.send(ID, KEY, "Do it.")
    assert (log.posts, fake.requests[-1]) == (1, "POST /run")


async def test_a_message_that_was_heard_is_left_alone(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Sent, run and ended: sending again does nothing at all."""
    log = Log(fake, statuses=[200], delivered=[True])
    await runtime.send(ID, KEY, "Do it.")
    log.add("ConversationStateUpdateEvent", key="execution_status", value="error")
    fake.requests.clear()
    await runtime.send(ID, KEY, "Do it.")
    assert not [asked for asked in fake.requests if asked.startswith("POST")]


async def test_a_server_that_never_answers_is_an_error_in_the_end(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Attempts are counted."""
    log = Log(fake, statuses=[500] * 3, delivered=[False] * 3)
    with pytest.raises(AgentServerError, match="3 attempts"):
        await runtime.send(ID, KEY, "Do it.")
    assert log.posts == 3
