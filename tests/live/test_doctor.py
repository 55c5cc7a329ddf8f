"""`opensymphony doctor --live` and `--model` on the real agent-server and its own client of models."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opensymphony.demo.model import Failure, Message, Reply, ToolCall, text_of
from opensymphony.doctor.place import PREFIX
from opensymphony.doctor.trial import LINE, TRACE
from tests.live.conftest import Stage
from tests.live.daemon_under_test import DaemonUnderTest

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

STEPS = [
    "live-server",
    "live-conversation",
    "live-stream",
    "live-message",
    "live-reattach",
    "live-model",
    "live-cleanup",
]


def obliging(messages: list[Message]) -> Reply:
    """The real model, as far as anybody can tell."""
    asked = text_of(next(message for message in reversed(messages) if message["role"] == "user"))
    if messages[-1]["role"] == "tool" or "connection" in asked:
        return ToolCall(name="finish", arguments={"message": "ok"})
    return ToolCall(name="terminal", arguments={"command": f"echo {LINE} >> {TRACE}"})


def checks(doctor: DaemonUnderTest) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(doctor.said("out").read_text())["checks"]}


def left(doctor: DaemonUnderTest) -> list[Path]:
    return list(doctor.temporary.glob(f"{PREFIX}*"))


async def test_everything_works_and_nothing_is_left(daemon: DaemonUnderTest, stage: Stage) -> None:
    """Beside a daemon of the same project, which does not notice; with figures for programs, and without the key."""
    stage.play = obliging
    await daemon.lay_out()
    running = await daemon.start("run")
    await daemon.until("it runs", lambda snapshot: snapshot.server.status == "ready")
    before = await daemon.snapshot()
    try:
        await daemon.start("doctor", "--live", "--model", "--json")
        code = await daemon.ended()
        said = daemon.said("out").read_text()
        assert code == 0, (said, daemon.told())
        found = checks(daemon)
        assert [found[name]["status"] for name in ["model-call", *STEPS]] == ["pass"] * 8
        assert found["model-call"]["figures"]["prompt_tokens"] > 0
        assert 0 < found["model-call"]["figures"]["completion_tokens"] <= 2_048
        assert found["live-message"]["figures"]["model_calls"] == 2
        assert found["live-model"]["figures"]["tokens"] > 0
        assert "terminal" in found["live-message"]["detail"]
        assert "canary" not in said + daemon.told()
        assert left(daemon) == []
        assert daemon.stored_conversations() == []
        after = await daemon.snapshot()
        assert before is not None and after is not None
        assert (after.server.pid, after.server.restarts, after.tickets) == (before.server.pid, 0, ())
    finally:
        running.send_signal(signal.SIGTERM)
        await running.wait()
    assert daemon.processes() == {}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        pytest.param(
            Failure(status=401, body='{"error": {"message": "Incorrect API key provided: canary-key"}}'),
            "refuses the key",
            id="key",
        ),
        pytest.param(
            Failure(status=404, body='{"error": {"message": "The model `x` does not exist"}}'),
            "does not know the model",
            id="model",
            marks=pytest.mark.faults,
        ),
        pytest.param(
            Failure(status=429, body='{"error": {"message": "You exceeded your current quota"}}'),
            "nothing left",
            id="quota",
            marks=pytest.mark.faults,
        ),
    ],
)
async def test_a_failing_model_is_told_with_its_remedy(
    daemon: DaemonUnderTest, stage: Stage, reply: Reply, words: str
) -> None:
    """Exit code 1, at the first try, by the words of agents' failures; the key is shown nowhere."""
    stage.script(reply)
    await daemon.lay_out()
    await daemon.start("doctor", "--model", "--json")
    assert await daemon.ended() == 1, daemon.told()
    check = checks(daemon)["model-call"]
    assert check["status"] == "fail"
    assert words in check["fix"]
    assert "canary" not in daemon.said("out").read_text() + daemon.told()
    assert left(daemon) == [] and daemon.processes() == {}


def starting(doctor: DaemonUnderTest) -> bool:
    return bool(doctor.processes("openhands.agent_server"))


def attaching_again(doctor: DaemonUnderTest) -> bool:
    return "live-message" in doctor.said("out").read_text()


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        pytest.param(attaching_again, signal.SIGINT, id="interrupted"),
        pytest.param(attaching_again, signal.SIGKILL, id="killed"),
        pytest.param(starting, signal.SIGKILL, id="killed at its start", marks=pytest.mark.faults),
    ],
)
async def test_an_end_leaves_nothing(
    daemon: DaemonUnderTest, moment: Callable[[DaemonUnderTest], bool], number: signal.Signals
) -> None:
    """Ctrl-C is answered with 130 in one line; after a kill the guard clears up. Other moments: tests/doctor/test_live.py."""
    await daemon.lay_out()
    await daemon.start("doctor", "--live")
    await daemon.wait_for(moment.__name__, lambda: moment(daemon))
    assert left(daemon), "its place is not where this test looks for it"
    await daemon.signal(number)
    code = await daemon.ended()
    if number == signal.SIGINT:
        assert code == 130
        assert daemon.told().splitlines()[-1] == "doctor: interrupted; nothing was left running"
    await daemon.wait_for("nothing is left", lambda: not left(daemon) and not daemon.processes())
