"""Questions and approvals on the real agent-server."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.clock import Clock
from opensymphony.demo.model import ModelEndpoint, ToolCall
from opensymphony.model import CommandKey
from opensymphony.workflow.policy import ConfirmationPolicy, ConversationPolicy
from tests.live.conftest import Live, Stage, model_environment
from tests.live.daemon_under_test import DaemonUnderTest, commit, finish, has, scripted, view

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


def terminal(command: str) -> ToolCall:
    return ToolCall(name="terminal", arguments={"command": command})


def careful() -> ConversationPolicy:
    return ConversationPolicy(confirmation_policy=ConfirmationPolicy(kind="AlwaysConfirm"))


async def test_a_question_is_answered_after_the_server_and_the_daemon_were_killed(
    daemon: DaemonUnderTest, stage: Stage
) -> None:
    """It stands on the ticket, nobody works meanwhile, the answer is the next message, and the work is done once."""
    question = ToolCall(name="ask_person", arguments={"question": "Which colour?", "options": ["red", "blue"]})
    stage.play = scripted({"ASKS-1": [question, commit("ASKS-1"), finish()]})
    await daemon.lay_out()
    daemon.ticket("ASKS-1")
    await daemon.start("run")
    seen = await daemon.until("it asks", has("ASKS-1", phase="needs_person"))
    found = view(seen, "ASKS-1")
    assert found is not None
    assert found.asked is not None
    assert (found.outcome, found.asked.kind, found.asked.text) == (
        "needs_input",
        "question",
        "Which colour?\n\n- red\n- blue",
    )
    assert "> Which colour?" in daemon.comments("ASKS-1")
    assert await daemon.commits("opensymphony/ASKS-1") == [] if await _has_branch(daemon) else True
    assert seen.server.pid is not None
    await daemon.signal(signal.SIGKILL)
    os.kill(seen.server.pid, signal.SIGKILL)
    await daemon.ended()
    await daemon.start("run")
    await daemon.until("the question is still there", lambda now: (one := view(now, "ASKS-1")) and one.asked)
    code, _, told = await daemon.command("message", "ASKS-1", "Blue.")
    assert code == 0, told
    await daemon.until("it is done", has("ASKS-1", phase="in_review"))
    assert await daemon.commits("opensymphony/ASKS-1") == ["ASKS-1 1"]
    said = daemon.user_messages()
    assert sum("The answer to your question:\n\nBlue." in message for message in said) == 1
    assert len(said) == 2
    assert len(daemon.stored_conversations()) == 1


async def _has_branch(daemon: DaemonUnderTest) -> bool:
    return "opensymphony/ASKS-1" in await daemon.git("branch", "--list", "opensymphony/*")


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_approved_action_is_carried_out_once(
    live: Live, stage: Stage, endpoint: ModelEndpoint, restarted: bool
) -> None:
    """Nothing runs before; the same action, wanted again, runs without asking; another one asks anew, and so does the same one
    a second time. A restart of the server in between changes nothing."""
    runtime = OpenHandsRuntime(live.supervisor, policy=careful, environment=model_environment(endpoint), clock=Clock())
    careful_live = Live(runtime, live.supervisor, live.directory)
    stage.script(terminal("echo once >> made.txt"))
    conversation_id = await careful_live.open()
    made = live.directory / conversation_id / "made.txt"
    first = await careful_live.turn(conversation_id, "k/1")
    assert first.status == "waiting_for_confirmation"
    assert first.asked is not None
    assert '"command":"echo once >> made.txt"' in first.asked.text
    assert not made.exists()
    if restarted:
        pid = live.supervisor.state().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await live.until(lambda: live.supervisor.state().restarts == 1 and live.supervisor.state().status == "ready")
    stage.script(terminal("echo once >> made.txt"), terminal("echo other >> made.txt"))
    await runtime.send(conversation_id, CommandKey("k/2"), "Approved. Do it again.")
    granted = (first.asked.digest,)
    second = await runtime.await_turn(conversation_id, CommandKey("k/2"), live.report, resume=False, granted=granted)
    assert second.asked is not None
    assert second.asked.digest != first.asked.digest
    assert made.read_text() == "once\n"
    again = await runtime.await_turn(conversation_id, CommandKey("k/2"), live.report, resume=True, granted=granted)
    assert again.asked == second.asked, "who looks again later sees the same"
    assert made.read_text() == "once\n"
    stage.script(terminal("echo once >> made.txt"))
    third = await careful_live.turn(conversation_id, "k/3", "Never mind: do the first once more.")
    assert third.asked is not None
    assert third.asked.digest == first.asked.digest
    assert Path(made).read_text() == "once\n", "a message has carried out nothing"
    await runtime.close()
