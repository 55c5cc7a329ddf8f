"""What stops an agent that goes wrong, with the real agent-server: no progress, repetition, a silent call, a budget."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

from opensymphony.demo.model import Message, Reply, ToolCall, text_of
from opensymphony.views import Snapshot
from tests.live.conftest import Stage
from tests.live.daemon_under_test import DaemonUnderTest, commit, finish, has, scripted, shell, view

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

LIMITS = "max_actions_without_progress: 8, max_repeated_actions: 5, tool_timeout_ms: 6000, max_failures: 1"
LLM = "agent: {llm: {max_input_tokens: 60000, max_output_tokens: 2000}}"
MODEL = f"openhands: {{conversation: {{stuck_detection: false, {LLM}}}}}\n"


def call(command: str, seconds: int) -> ToolCall:
    """A command that may be silent for so long: without that the tool itself asks the agent after half a minute."""
    return ToolCall(name="terminal", arguments={"command": command, "timeout": seconds})


def steps_of(messages: list[Message]) -> int:
    return sum(message.get("role") == "tool" for message in messages)


def plays(stage: Stage) -> None:
    """READS-1 looks at one thing after the other; the others follow their scripts, the last step again and again."""
    others = scripted(
        {
            "SAME-2": [shell("git status --short")],
            "DEAD-3": [call("sleep 911", 900)],
            "SLOW-4": [call("timeout 10 sh -c 'while :; do :; done'", 900), commit("SLOW-4"), finish()],
            "SPEND-5": [shell(f"seq {number}") for number in range(7)] + [commit("SPEND-5"), finish()],
        }
    )

    def play(messages: list[Message]) -> Reply:
        first = next(text_of(message) for message in messages if message.get("role") == "user")
        return shell(f"ls; seq {steps_of(messages)}") if "READS-1" in first else others(messages)

    stage.play = play


async def test_agents_that_go_wrong_are_stopped(daemon: DaemonUnderTest, stage: Stage) -> None:
    """Looking around without end, the same step again and again, and a call behind which nothing works: each is stopped, its
    ticket says why, and nothing of it goes on; a call that is silent and works is left alone. At a budget's limit the ticket
    waits for a person, with no more spent than the limit and one call, and a higher limit lets it go on."""
    plays(stage)
    await daemon.lay_out(MODEL, agent=LIMITS)
    for name in ("READS-1", "SAME-2", "DEAD-3", "SLOW-4"):
        daemon.ticket(name)
    await daemon.start("run")
    seen = await daemon.until("all have ended", ended("READS-1", "SAME-2", "DEAD-3", "SLOW-4"))
    said = {name: daemon.comments(name) for name in ("READS-1", "SAME-2", "DEAD-3")}
    assert re.search(r"\d+ actions and [\d,]+ tokens without a change of a file, the plan", said["READS-1"]), said
    assert "the agent did the same thing 5 times in a row, with the same answer" in said["SAME-2"], said
    assert "while a tool call was open, and nothing works behind it: nothing in " in said["DEAD-3"], said
    assert {view(seen, name).phase for name in said} == {"needs_person"}  # type: ignore[union-attr]
    assert view(seen, "SLOW-4").phase == "in_review", daemon.comments("SLOW-4")  # type: ignore[union-attr]
    assert not daemon.processes("sleep 911")

    await spend(daemon)
    await daemon.signal(signal.SIGTERM)
    assert await daemon.ended() == 0
    assert daemon.processes() == {}


async def spend(daemon: DaemonUnderTest) -> None:
    """The limit is set while the daemon runs, reached in the middle of a turn, and raised."""
    limit, most = 70_000, 62_000
    agent = LIMITS.replace("progress: 8", "progress: 40")  # not reached before the budget
    daemon.configure(f"{MODEL}budget: {{run: {{tokens: {limit}}}}}\n", agent=agent)
    daemon.ticket("SPEND-5")
    seen = await daemon.until("the budget is used up", has("SPEND-5", phase="needs_person"))
    spent = view(seen, "SPEND-5")
    assert spent is not None
    assert limit <= spent.usage.total_tokens <= limit + most
    assert "the run's budget is used up" in daemon.comments("SPEND-5")
    assert "(budget.run)" in daemon.comments("SPEND-5")
    daemon.configure(f"{MODEL}budget: {{run: {{tokens: 3000000}}}}\n", agent=agent)
    await daemon.until("it goes on to its end", has("SPEND-5", phase="in_review"))
    assert await daemon.commits("opensymphony/SPEND-5") == ["SPEND-5 1"]


def ended(*names: str) -> Callable[[Snapshot], bool]:
    def condition(snapshot: Snapshot) -> bool:
        views = [view(snapshot, name) for name in names]
        return all(one is not None and one.phase in ("needs_person", "in_review") for one in views)

    return condition
