"""Agents go on when their daemon ends: killed, or told to leave them; and are ended by who is told to end them."""

from __future__ import annotations

import os
import signal

import pytest

from tests.live.conftest import Stage
from tests.live.daemon_under_test import DaemonUnderTest, commit, finish, has, scripted, shell

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


def at_work(name: str, seconds: int) -> list[object]:
    """A long command that nothing but its own end lets go on, one commit, the end."""
    return [shell(f"sleep {seconds}.{name[-1]}; echo slept >> slept.txt"), commit(name), finish()]


def sleeper(daemon: DaemonUnderTest, name: str, seconds: int) -> list[int]:
    return list(daemon.processes(f"sleep {seconds}.{name[-1]}"))


async def server_pid(daemon: DaemonUnderTest) -> int:
    seen = await daemon.until("the server is up", lambda snapshot: snapshot.server.status == "ready")
    assert seen.server.pid is not None
    return seen.server.pid


async def done_once(daemon: DaemonUnderTest, name: str) -> None:
    """One commit, one message, and the command ran once and to its end."""
    await daemon.until(f"{name} is done", has(name, phase="in_review"))
    assert await daemon.commits(f"opensymphony/{name}") == [f"{name} 1"]
    assert (daemon.workspaces / name / "slept.txt").read_text() == "slept\n"
    assert sum(f"ticket {name}." in message for message in daemon.user_messages()) == 1


async def test_agents_outlive_their_daemon(daemon: DaemonUnderTest, stage: Stage) -> None:
    """Killed in the middle of a tool call, and told to leave: the next daemon finds the same server, the call has gone on, and
    the ticket is done once. Told to end, without a daemon, what was left is ended."""
    stage.play = scripted(
        {"KILLED-1": at_work("KILLED-1", 20), "LEFT-2": at_work("LEFT-2", 20), "LEFT-3": at_work("LEFT-3", 600)}
    )
    await daemon.lay_out()
    daemon.ticket("KILLED-1")
    await daemon.start("run")
    first = await server_pid(daemon)
    await daemon.wait_for("its agent is at work", lambda: sleeper(daemon, "KILLED-1", 20))
    sleeping = sleeper(daemon, "KILLED-1", 20)
    await daemon.signal(signal.SIGKILL)
    await daemon.ended()
    assert sleeper(daemon, "KILLED-1", 20) == sleeping
    await daemon.start("run")
    assert await server_pid(daemon) == first
    assert sleeper(daemon, "KILLED-1", 20) == sleeping
    await done_once(daemon, "KILLED-1")

    daemon.ticket("LEFT-2")
    await daemon.wait_for("its agent is at work", lambda: sleeper(daemon, "LEFT-2", 20))
    sleeping = sleeper(daemon, "LEFT-2", 20)
    code, said, _ = await daemon.command("shutdown", "--detach")
    assert (code, "left at work" in said) == (0, True)
    assert await daemon.ended() == 0
    assert sleeper(daemon, "LEFT-2", 20) == sleeping
    code, _, told = await daemon.command("status")
    assert (code, f"left running, pid {first}" in told) == (1, True), told
    await daemon.start("run")
    assert await server_pid(daemon) == first
    await done_once(daemon, "LEFT-2")

    daemon.ticket("LEFT-3")
    await daemon.wait_for("its agent is at work", lambda: sleeper(daemon, "LEFT-3", 600))
    assert (await daemon.command("shutdown", "--detach"))[0] == 0
    assert await daemon.ended() == 0
    code, said, _ = await daemon.command("shutdown")
    assert (code, said) == (0, f"the agent-server that was left (pid {first}) has ended\n")
    assert daemon.processes() == {}
    assert (await daemon.command("shutdown"))[0] == 1


@pytest.mark.faults
async def test_a_fresh_server_and_a_daemon_and_server_that_both_died(daemon: DaemonUnderTest, stage: Stage) -> None:
    """Asked for a fresh server, the old one is ended first; where both were killed nothing of either is left, and the work is
    done once all the same."""
    stage.play = scripted({"FRESH-1": at_work("FRESH-1", 5), "BOTH-2": at_work("BOTH-2", 5)})
    await daemon.lay_out()
    daemon.ticket("FRESH-1")
    await daemon.start("run")
    first = await server_pid(daemon)
    await daemon.wait_for("its agent is at work", lambda: sleeper(daemon, "FRESH-1", 5))
    await daemon.signal(signal.SIGKILL)
    await daemon.ended()
    await daemon.start("run", "--fresh-server")
    second = await server_pid(daemon)
    assert second != first
    assert first not in daemon.processes()
    await daemon.until("it is done", has("FRESH-1", phase="in_review"))
    assert await daemon.commits("opensymphony/FRESH-1") == ["FRESH-1 1"]

    daemon.ticket("BOTH-2")
    await daemon.wait_for("its agent is at work", lambda: sleeper(daemon, "BOTH-2", 5))
    await daemon.signal(signal.SIGKILL)
    os.kill(second, signal.SIGKILL)
    await daemon.ended()
    await daemon.start("run")
    assert await server_pid(daemon) not in (first, second)
    await daemon.until("it is done", has("BOTH-2", phase="in_review"))
    assert await daemon.commits("opensymphony/BOTH-2") == ["BOTH-2 1"]
    assert sum("ticket BOTH-2." in message for message in daemon.user_messages()) == 1
    await daemon.signal(signal.SIGTERM)
    assert await daemon.ended() == 0
    assert daemon.processes() == {}
