"""A message is delivered once, whatever is lost on the way."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from opensymphony.agents.openhands import delivery
from opensymphony.agents.openhands.mirror import marker
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.errors import AgentServerError
from tests.agents.openhands.fakes import (
    ID,
    KEY,
    FakeServer,
    Log,
    always,
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


async def test_a_ticket_that_quotes_a_key_keeps_no_message_back(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """The first prompt holds text of strangers, and keys can be guessed: only the last line says what a message is."""
    log = Log(fake, statuses=[200], delivered=[True])
    prompt = f"Description:\n{marker(KEY)}\n\n{marker('another')}"
    log.add("MessageEvent", source="user", llm_message={"content": [{"type": "text", "text": prompt}]})
    await runtime.send(ID, KEY, "Do it.")
    assert log.posts == 1


def comes_at_look(fake: FakeServer, log: Log, number: int) -> None:
    """At this look at an open call it has its result, and the message that it held back is there."""
    looks, original = 0, log.search

    async def search(request: Request) -> Response:
        nonlocal looks
        looks += bool(log.events) and request.query_params.get("sort_order") == "TIMESTAMP_DESC"
        if looks == number:
            looks += 1
            log.add("ObservationEvent", tool_call_id="call")
            log.add("MessageEvent", source="user", llm_message={"content": [{"type": "text", "text": marker(KEY)}]})
        return await original(request)

    fake.answers["GET /events/search"] = search


async def test_nothing_is_sent_again_while_a_tool_is_open(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """The lost message may wait behind the tool: it is sent again only when the tool has its result and nothing came."""
    log = Log(fake, statuses=[500], delivered=[False])
    post = log.post

    async def held_back(request: Request) -> Response:
        log.add("ActionEvent", tool_call_id="call", tool_name="terminal")
        return await post(request)

    comes_at_look(fake, log, 3)
    fake.answers["POST /events"] = held_back
    await runtime.send(ID, KEY, "Do it.")
    assert (log.posts, len(log.events)) == (1, 3)


async def test_what_an_earlier_daemon_sent_is_waited_for(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """It died while the server held its message back: nothing is sent while a call is open."""
    log = Log(fake, statuses=[], delivered=[])
    log.add("ActionEvent", tool_call_id="call", tool_name="terminal")
    comes_at_look(fake, log, 3)
    await runtime.send(ID, KEY, "Do it.")
    assert log.posts == 0
    assert "POST /run" in fake.requests


async def test_a_call_with_nothing_behind_it_is_interrupted(
    fake: FakeServer, runtime: OpenHandsRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hold every message back for ever; one behind which something works is waited for."""
    monkeypatch.setattr(delivery, "_SILENT_S", 0.0)
    log = Log(fake, statuses=[200], delivered=[True])
    log.add("ActionEvent", tool_call_id="call", tool_name="terminal")

    async def interrupt(request: Request) -> Response:
        log.add("AgentErrorEvent", tool_call_id="call")
        log.add("ConversationStateUpdateEvent", key="execution_status", value="paused")
        return JSONResponse({})

    fake.answers["POST /interrupt"] = interrupt
    fake.answers["GET /alive"] = always({}, 503)
    await runtime.send(ID, KEY, "Do it.")
    assert (log.posts, fake.requests.count("POST /interrupt")) == (1, 1)


async def test_a_result_that_was_lost_for_good_holds_up_nobody(
    fake: FakeServer, runtime: OpenHandsRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose disk was full never writes it: after the interruption it is given some time, and then no more."""
    monkeypatch.setattr(delivery, "_SILENT_S", 0.0)
    monkeypatch.setattr(delivery, "_DEAD_S", 0.1)
    log = Log(fake, statuses=[200], delivered=[True])
    log.add("ActionEvent", tool_call_id="call", tool_name="terminal")
    fake.answers["POST /interrupt"] = always({})
    fake.answers["GET /alive"] = always({}, 503)
    await runtime.send(ID, KEY, "Do it.")
    assert log.posts == 1


async def test_what_was_confirmed_to_stand_still_holds_nothing_back(
    fake: FakeServer, runtime: OpenHandsRuntime
) -> None:
    """We have stopped it ourselves: a call that is open all the same is not waited for."""
    log = Log(fake, statuses=[200], delivered=[True])
    log.add("ActionEvent", tool_call_id="call", tool_name="terminal")
    runtime._conversations.of(ID).stands_still = True
    await runtime.send(ID, KEY, "Do it.")
    assert log.posts == 1
    assert not runtime._conversations.of(ID).stands_still


async def test_what_waits_for_an_approval_is_rejected_before_a_message(
    fake: FakeServer, runtime: OpenHandsRuntime
) -> None:
    """The message would carry it out. When the message is there already the action came after it, and is left alone."""
    log = Log(fake, statuses=[200], delivered=[True])
    log.add("ActionEvent", tool_call_id="call", tool_name="terminal")
    log.add("ConversationStateUpdateEvent", key="execution_status", value="waiting_for_confirmation")

    async def respond(request: Request) -> Response:
        assert (await request.json())["accept"] is False
        log.add("UserRejectObservation", tool_call_id="call")
        log.add("ConversationStateUpdateEvent", key="execution_status", value="idle")
        return JSONResponse({})

    fake.answers["POST /events/respond_to_confirmation"] = respond
    await runtime.send(ID, KEY, "Do it.")
    assert (log.posts, fake.requests.count("POST /events/respond_to_confirmation")) == (1, 1)
    log.add("ActionEvent", tool_call_id="next", tool_name="terminal")
    log.add("ConversationStateUpdateEvent", key="execution_status", value="waiting_for_confirmation")
    await runtime.send(ID, KEY, "Do it.")
    assert (log.posts, fake.requests.count("POST /events/respond_to_confirmation")) == (1, 1)


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
