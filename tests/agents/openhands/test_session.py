"""How a turn ends, status by status, where the real server cannot be brought to it in a test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, get_args

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from websockets.asyncio.server import ServerConnection

from opensymphony.agents.openhands import session as session_module
from opensymphony.agents.openhands.client import ConversationGone
from opensymphony.agents.openhands.mirror import marker
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.clock import Clock
from opensymphony.errors import AgentServerError
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import AgentStatus, CommandKey, ConversationId, LogPosition, TurnEnd, TurnProgress, Usage
from opensymphony.workflow.policy import ConversationPolicy
from tests.agents.openhands.fakes import FakeServer, Scene, always, durable, full_state, in_turn, say, sync

ID = ConversationId("c1")
KEY = CommandKey("k/1")


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    async with FakeServer().serving() as server:
        server.answers |= {
            "GET ": always({"id": "c1", "execution_status": "running"}),
            "POST /run": always({}),
            "POST /interrupt": always({}),
        }
        yield server


@pytest.fixture
async def runtime(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenHandsRuntime]:
    monkeypatch.setattr(session_module, "_SETTLE_S", 0.1)
    monkeypatch.setattr(session_module, "_START_S", 0.1)
    monkeypatch.setattr(session_module, "_LOOK_S", 0.2)
    made = OpenHandsRuntime(fake, policy=ConversationPolicy, environment={"LLM_MODEL": "openai/m"}, clock=Clock())
    yield made
    await made.close()


def message(seq: int) -> str:
    content = [{"type": "text", "text": f"Do it.\n\n{marker(KEY)}"}]
    return durable(seq, kind="MessageEvent", source="user", llm_message={"content": content})


def status(seq: int, value: str) -> str:
    return durable(seq, kind="ConversationStateUpdateEvent", key="execution_status", value=value)


def error(seq: int) -> str:
    return durable(seq, kind="ConversationErrorEvent", code="LLMRateLimitError", detail="d")


async def turn(runtime: OpenHandsRuntime, *, resume: bool = False) -> tuple[TurnEnd, list[TurnProgress]]:
    told: list[TurnProgress] = []

    async def report(progress: TurnProgress) -> None:
        told.append(progress)

    with anyio.fail_after(20):
        return await runtime.await_turn(ID, KEY, report, resume=resume), told


def live(*frames: str) -> Scene:
    """Attached when our message is the newest event; the frames come behind it."""
    return say(sync(0), message(0), full_state("idle"), *frames)


@pytest.mark.parametrize("value", [*sorted(set(get_args(AgentStatus)) - {"idle", "running"}), "never heard of"])
@pytest.mark.fixes(21)
async def test_every_status_ends_a_turn(fake: FakeServer, runtime: OpenHandsRuntime, value: str) -> None:
    """Whatever an agent ends in is told, also a status that this release has no name for; none hangs."""
    fake.scenes = [live(status(1, "running"), status(2, value), full_state(value))]
    end, told = await turn(runtime)
    expected = value if value in get_args(AgentStatus) else "unknown"
    assert (end.status, end.last_seq) == (expected, 2)
    assert [one.status for one in told] == ["running", expected]


async def test_a_status_is_not_yet_the_end(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """The cause comes behind the status, and a hook may set the agent to work again: the end is the snapshot after the run."""
    fake.scenes = [
        live(
            status(1, "running"),
            status(2, "finished"),
            status(3, "running"),
            status(4, "error"),
            error(5),
            full_state("error"),
        )
    ]
    end, _ = await turn(runtime)
    assert end.status == "error"
    assert end.failure is not None
    assert end.failure.code == "LLMRateLimitError"


async def test_an_end_before_we_came_is_told_after_silence(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Attached to a turn that is over: there is no snapshot of its end, silence behind the log tells it."""
    frames = [message(0), status(1, "running"), status(2, "finished"), full_state("finished")]
    fake.scenes = [say(sync(2), *frames)]
    assert (await turn(runtime, resume=True))[0].status == "finished"
    assert "POST /run" not in fake.requests


async def test_the_end_of_an_earlier_turn_is_not_ours(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """An agent that stands still behind our message is told to go on."""
    went_on = [status(2, "running"), status(3, "finished"), full_state("finished")]
    fake.scenes = [_on_run(fake, [sync(1), status(0, "finished"), message(1), full_state("finished")], went_on)]
    assert (await turn(runtime))[0].last_seq == 3


@pytest.mark.parametrize("stands", ["idle", "finished"])
async def test_an_agent_that_never_starts_is_an_error(fake: FakeServer, runtime: OpenHandsRuntime, stands: str) -> None:
    """A limited number of reminders; it did nothing, whatever an earlier turn ended in."""
    fake.scenes = [say(sync(1), status(0, stands), message(1), full_state(stands))]
    end, _ = await turn(runtime)
    assert end.failure is not None
    assert (end.status, end.failure.code) == ("error", "not_started")
    assert fake.requests.count("POST /run") == 6


async def test_a_full_server_is_waited_for(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """No free run slot is no reminder that failed."""
    fake.answers["POST /run"] = in_turn(*[(429, {})] * 9, (200, {}))
    fake.scenes = [live()]
    await turn(runtime)
    assert fake.requests.count("POST /run") == 15


@pytest.mark.parametrize("cut_short", ["paused", "error"])
async def test_an_agent_that_a_restart_cut_short_goes_on(
    fake: FakeServer, runtime: OpenHandsRuntime, cut_short: str
) -> None:
    """A server that ended or died leaves `paused`, or `error` without a cause: it is told to go on, once."""
    before = [message(0), status(1, "running")]
    fake.scenes = [
        _then_boot(fake, say(sync(1), *before, full_state("running"), code=1012)),
        _on_run(
            fake,
            [sync(2), status(2, cut_short), full_state(cut_short)],
            [status(3, "running"), status(4, "finished"), full_state("finished")],
        ),
    ]
    end, _ = await turn(runtime)
    assert (end.status, fake.requests.count("POST /run")) == ("finished", 1)


async def test_a_message_found_after_a_crash_goes_on_after_the_restart(
    fake: FakeServer, runtime: OpenHandsRuntime
) -> None:
    """Killed between the server's answer and our journal: the turn is a new one to us, and its agent was still cut short."""
    events = [json.loads(one)["event"] for one in (message(0), status(1, "running"))]
    fake.answers["GET /events/search"] = always({"items": events})
    await runtime.send(ID, KEY, "Do it.")
    fake.scenes = [
        _on_run(
            fake,
            [sync(2), message(0), status(1, "running"), status(2, "paused"), full_state("paused")],
            [status(3, "running"), status(4, "finished"), full_state("finished")],
        )
    ]
    assert (await turn(runtime, resume=False))[0].status == "finished"
    assert fake.requests.count("POST /run") == 1


def _then_boot(fake: FakeServer, scene: Scene) -> Scene:
    async def play(connection: Any) -> None:
        fake.boot = 2
        await scene(connection)

    return play


def _on_run(fake: FakeServer, first: list[str], then: list[str]) -> Scene:
    """Sends `then` when the agent is told to run."""
    asked = anyio.Event()
    answer = fake.answers["POST /run"]

    async def run(request: Any) -> Any:
        asked.set()
        return await answer(request)

    fake.answers["POST /run"] = run

    async def play(connection: Any) -> None:
        for frame in first:
            await connection.send(frame)
        await asked.wait()
        for frame in then:
            await connection.send(frame)
        await connection.wait_closed()

    return play


async def test_a_pause_by_somebody_else_is_left_alone(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Without a restart in between it is a person's will."""
    fake.scenes = [live(status(1, "running"), status(2, "paused"), full_state("paused"))]
    assert (await turn(runtime))[0].status == "paused"
    assert "POST /run" not in fake.requests


async def test_an_error_with_a_cause_is_not_repeated(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Also after a crash of ours: the model's failure is the turn's end."""
    fake.scenes = [say(sync(3), message(0), status(1, "running"), status(2, "error"), error(3), full_state("error"))]
    assert (await turn(runtime, resume=True))[0].status == "error"
    assert "POST /run" not in fake.requests


async def test_a_stopped_turn_is_not_told_to_go_on(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Stop wins over resume."""
    fake.scenes = [say(sync(None), full_state("paused"))]
    await runtime.stop(ID)
    fake.scenes = [say(sync(1), message(0), status(1, "paused"), full_state("paused"))]
    assert (await turn(runtime, resume=True))[0].status == "paused"
    assert "POST /run" not in fake.requests


async def test_a_snapshot_older_than_the_log_is_not_believed(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """The log says running, the first snapshot an earlier error: the next attach tells the truth."""
    frames = [status(0, "error"), message(1), status(2, "running")]
    fake.scenes = [
        say(sync(2), *frames, full_state("error")),
        say(sync(2), full_state("running"), status(3, "finished"), full_state("finished")),
    ]
    end, _ = await turn(runtime)
    assert (end.status, end.last_seq) == ("finished", 3)


async def test_a_snapshot_that_stays_is_believed(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """A log without the last status: what two snapshots say is so."""
    fake.scenes = [
        say(sync(1), message(0), status(1, "running"), full_state("stuck")),
        say(sync(1), full_state("stuck")),
    ]
    assert (await turn(runtime))[0].status == "stuck"


async def test_missing_tools_end_the_turn(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """An agent without the tools it was given is interrupted, and the message names them."""
    system = durable(0, kind="SystemPromptEvent", tools=[{"kind": "FinishTool"}, {"kind": "TerminalTool"}])
    fake.scenes = [say(sync(1), system, message(1), full_state("running"))]
    await _open(fake, runtime, ["terminal", "file_editor", "task_tracker"])
    end, _ = await turn(runtime)
    assert end.failure is not None
    assert (end.failure.code, end.failure.retryable) == ("tools_missing", False)
    assert "file_editor, task_tracker" in end.failure.detail
    assert "POST /interrupt" in fake.requests


async def _open(fake: FakeServer, runtime: OpenHandsRuntime, tools: list[str]) -> None:
    """A conversation with a history is there, and has these tools."""
    fake.answers |= {"GET /events/search": always({"items": []}), "POST /switch_llm": always({}), "PATCH ": always({})}
    fake.answers["GET /server_info"] = always({"version": "1.58.0"})
    fake.answers["POST "] = always(
        {
            "id": "c1",
            "execution_status": "idle",
            "agent": {"tools": [{"name": name} for name in tools]},
            "workspace": {"working_dir": "/w"},
            "last_user_message_id": "m",
        }
    )
    await runtime.open(ConversationRequest(conversation_id=ID, working_dir="/w", title="T"))


def summarised(seq: int) -> str:
    return durable(seq, kind="Condensation", summary="so far")


async def test_a_history_that_stays_too_long_ends_the_turn(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Summarised three times without a step between: the server would go on until `max_iterations` (trap of §4)."""
    fake.scenes = [live(status(1, "running"), *(summarised(seq) for seq in (2, 3, 4)))]
    end, _ = await turn(runtime)
    assert end.failure is not None
    assert (end.status, end.failure.action, end.failure.rule) == ("error", "rehydrate", "overflow")
    assert fake.requests.count("POST /interrupt") == 1


async def test_summaries_between_steps_are_ordinary(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """A long ticket is summarised again and again; as long as the agent works on, that is how it should be."""
    step = [durable(seq, kind="ActionEvent", tool_name="terminal", tool_call_id=f"c{seq}") for seq in (4, 7)]
    frames = [summarised(2), summarised(3), step[0], summarised(5), summarised(6), step[1]]
    fake.scenes = [live(status(1, "running"), *frames, status(8, "finished"), full_state("finished"))]
    assert (await turn(runtime))[0].status == "finished"
    assert "POST /interrupt" not in fake.requests


async def test_a_conversation_deleted_during_a_turn_is_noticed(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """The socket of a deleted conversation stays open and silent for ever (trap 11)."""
    fake.answers["GET "] = in_turn((200, {"id": "c1", "execution_status": "running"}), (404, {}))
    fake.scenes = [live(status(1, "running"))]
    with pytest.raises(ConversationGone):
        await turn(runtime)


async def test_a_log_made_anew_is_noticed(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Somebody deleted and made the conversation again: our turn is gone with it."""
    fake.scenes = [say(sync(1), message(0), status(1, "running"), cut=True), say(sync(0))]
    with pytest.raises(AgentServerError, match="anew"):
        await turn(runtime)


async def test_a_turn_beside_a_frame_too_large_ends(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Every socket fails, the log is read by REST, and the end is found there (trap 12)."""
    fake.scenes = [say(sync(2), message(0), code=1013, reason="frame_too_large")]
    events = [json.loads(one)["event"] for one in (message(0), status(1, "running"), status(2, "finished"))]
    pages: list[str | None] = []

    async def search(request: Any) -> Any:
        from starlette.responses import JSONResponse

        page_id = request.query_params.get("page_id")
        pages.append(page_id)
        return JSONResponse({"items": [one for one in events if one["id"] >= (page_id or "")]})

    fake.answers["GET /events/search"] = search
    end, _ = await turn(runtime)
    assert (end.status, end.last_seq) == ("finished", 2)
    assert set(pages) <= {"e0", "e2"}


async def test_activity_is_told_seldom_and_figures_at_once(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Within ten seconds: status changes, model calls, the first open tool, and every tenth of the many steps between."""
    steps = [durable(n, kind="ActionEvent", tool_call_id=f"t{n}", tool_name="terminal") for n in range(2, 40)]
    usage = {"usage_to_metrics": {"agent": {"accumulated_token_usage": {"prompt_tokens": 5}}}}
    figures = durable(40, kind="ConversationStateUpdateEvent", key="stats", value=usage)
    fake.scenes = [
        live(status(1, "running"), *steps, figures, status(41, "finished"), full_state("finished")),
    ]
    end, told = await turn(runtime)
    assert [(one.last_seq, one.status, one.tool_open) for one in told] == [
        (1, "running", False),
        (2, "running", True),
        (12, "running", True),
        (22, "running", True),
        (32, "running", True),
        (40, "running", True),
        (41, "finished", False),
    ]
    assert [one.actions for one in told] == [0, 1, 11, 21, 31, 38, 38]
    assert told[5].usage is not None
    assert (told[5].usage.prompt_tokens, end.usage.model_calls) == (5, 1)


async def test_repetitions_are_told_at_once(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """An agent in a loop is known as such with each further step, from the fourth on even while another call is open."""
    frames = [status(1, "running"), durable(2, kind="ActionEvent", tool_call_id="open", tool_name="browser")]
    for n in range(6):
        call = {"tool_call_id": f"t{n}", "tool_name": "terminal"}
        action = {"kind": "TerminalAction", "command": "ls"}
        frames.append(durable(3 + 2 * n, kind="ActionEvent", action=action, **call))
        frames.append(durable(4 + 2 * n, kind="ObservationEvent", observation={"exit_code": 0}, **call))
    fake.scenes = [live(*frames, status(15, "finished"), full_state("finished"))]
    _, told = await turn(runtime)
    assert [(one.last_seq, one.repeats) for one in told] == [(1, 0), (2, 0), (10, 4), (12, 5), (14, 6), (15, 6)]


async def test_a_tool_that_opens_or_closes_is_told_at_once(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """Right behind another report, too: a build may be silent for longer than a stall, and is none."""
    call = {"tool_call_id": "t1", "tool_name": "terminal"}
    fake.scenes = [
        live(
            status(1, "running"),
            durable(2, kind="ActionEvent", **call),
            durable(3, kind="ObservationEvent", **call),
            status(4, "finished"),
            full_state("finished"),
        )
    ]
    _, told = await turn(runtime)
    assert [(one.last_seq, one.tool_open) for one in told] == [(1, False), (2, True), (3, False), (4, False)]


def action(seq: int, command: str = "rm -r build") -> str:
    return durable(
        seq,
        kind="ActionEvent",
        tool_name="terminal",
        tool_call_id=f"t{seq}",
        action={"command": command},
        source="agent",
    )


async def granted_turn(runtime: OpenHandsRuntime, *digests: str) -> TurnEnd:
    async def report(progress: TurnProgress) -> None:
        pass

    with anyio.fail_after(20):
        return await runtime.await_turn(ID, KEY, report, resume=False, granted=digests)


async def test_what_waits_for_an_approval_is_told_exactly(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """The action with its arguments, whose digest no other has; nothing is carried out, and nobody is told to go on."""
    asked: list[Any] = []
    for command in ("rm -r build", "rm -r /"):
        fake.scenes = [
            live(
                status(1, "running"),
                action(2, command),
                status(3, "waiting_for_confirmation"),
                full_state("waiting_for_confirmation"),
            )
        ]
        fake.cursors.clear()
        end, _ = await turn(runtime)
        assert (end.status, end.failure) == ("waiting_for_confirmation", None)
        asked.append(end.asked)
        runtime._conversations.forget(ID)
    assert [one.text for one in asked] == ['terminal {"command":"rm -r build"}', 'terminal {"command":"rm -r /"}']
    assert asked[0].digest != asked[1].digest
    assert not [one for one in fake.requests if one.startswith("POST")]


async def test_what_was_approved_is_let_through_once(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """While we look on, the same action is carried out; wanted a second time it is asked about anew."""
    waits = [
        status(1, "running"),
        action(2),
        status(3, "waiting_for_confirmation"),
        full_state("waiting_for_confirmation"),
    ]
    fake.scenes = [live(*waits)]
    first, _ = await turn(runtime)
    assert first.asked is not None
    runtime._conversations.forget(ID)
    bodies: list[Any] = []
    accepted = anyio.Event()

    async def respond(request: Request) -> Response:
        bodies.append(await request.json())
        accepted.set()
        return JSONResponse({})

    async def scene(connection: ServerConnection) -> None:
        for frame in (sync(0), message(0), full_state("idle"), *waits):
            await connection.send(frame)
        await accepted.wait()
        result = durable(5, kind="ObservationEvent", tool_call_id="t2", source="environment")
        again = [action(6), status(7, "waiting_for_confirmation"), full_state("waiting_for_confirmation")]
        for frame in (status(4, "running"), result, *again):
            await connection.send(frame)
        await connection.wait_closed()

    fake.answers["POST /events/respond_to_confirmation"] = respond
    fake.scenes = [scene]
    fake.cursors.clear()
    end = await granted_turn(runtime, first.asked.digest)
    assert [body["accept"] for body in bodies] == [True]
    assert end.asked == first.asked


async def test_what_was_approved_is_wanted_anew_after_a_restart(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """A server that has loaded the conversation since then cannot carry it out: rejected, navigated, and run."""
    waits = (status(1, "running"), action(2), status(3, "waiting_for_confirmation"))
    fake.scenes = [say(sync(3), message(0), *waits, full_state("waiting_for_confirmation"))]
    first, _ = await turn(runtime)
    assert first.asked is not None
    runtime._conversations.forget(ID)
    bodies: list[Any] = []
    done = anyio.Event()

    async def respond(request: Request) -> Response:
        bodies.append(await request.json())
        return JSONResponse({})

    async def run(request: Request) -> Response:
        done.set()
        return JSONResponse({})

    async def scene(connection: ServerConnection) -> None:
        for frame in (sync(3), message(0), *waits, full_state("waiting_for_confirmation")):
            await connection.send(frame)
        await done.wait()
        for frame in (status(4, "running"), status(5, "finished"), full_state("finished")):
            await connection.send(frame)
        await connection.wait_closed()

    fake.answers |= {
        "GET ": always({"id": "c1", "execution_status": "idle", "leaf_event_id": "e3"}),
        "POST /events/respond_to_confirmation": respond,
        "POST /navigate": always({}),
        "POST /run": run,
    }
    fake.scenes = [scene]
    fake.cursors.clear()
    end = await granted_turn(runtime, first.asked.digest)
    assert end.status == "finished"
    assert [body["accept"] for body in bodies] == [False]
    said = [one for one in fake.requests if one.startswith("POST")]
    assert said == ["POST /events/respond_to_confirmation", "POST /navigate", "POST /run"]


async def test_a_question_ends_the_turn(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """The server would let the agent go on without an answer: it is interrupted."""
    call = durable(2, kind="ActionEvent", tool_name="ask_person", tool_call_id="t", action={"question": "Which?"})
    fake.scenes = [live(status(1, "running"), call)]
    stopped = say(sync(2), full_state("paused"))
    fake.scenes.append(stopped)
    end, _ = await turn(runtime)
    assert end.asked is not None
    assert (end.status, end.asked.kind, end.asked.text) == ("paused", "question", "Which?")
    assert "POST /interrupt" in fake.requests


async def test_what_is_known_of_the_log_is_not_read_again(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """After a restart of ours the log is asked for from the end of the turn before, and calls are counted on from there."""
    known = LogPosition(seq=40, event_id="e40", usage=Usage(prompt_tokens=900, model_calls=5))
    content = [{"type": "text", "text": f"Do it.\n\n{marker(KEY)}"}]
    sent = durable(41, kind="MessageEvent", source="user", llm_message={"content": content})
    agent = {"accumulated_token_usage": {"prompt_tokens": 1_000}}
    stats = durable(43, kind="ConversationStateUpdateEvent", key="stats", value={"usage_to_metrics": {"agent": agent}})
    frames = (sent, status(42, "running"), stats, status(44, "finished"), full_state("finished"))
    fake.scenes = [say(sync(44), durable(40), *frames)]
    fake.answers["GET /events/e40"] = always({"id": "e40"})

    async def report(progress: TurnProgress) -> None:
        told.append(progress)

    told: list[TurnProgress] = []
    with anyio.fail_after(20):
        end = await runtime.await_turn(ID, KEY, report, resume=False, after=known)
    assert fake.cursors[0] in ("39", "40")
    assert (end.status, end.last_seq, end.last_event_id) == ("finished", 44, "e44")
    assert (end.usage.prompt_tokens, end.usage.model_calls) == (1_000, 6)
