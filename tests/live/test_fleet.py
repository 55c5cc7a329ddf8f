"""Two real servers share the tickets of one daemon, and outlive it both."""

from __future__ import annotations

import os
import signal

import pytest

from opensymphony.agents.openhands.fleet import server_of
from tests.live.conftest import Stage
from tests.live.daemon_under_test import DaemonUnderTest, commit, finish, has, scripted, shell

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


def names_of_two_each(daemon: DaemonUnderTest) -> list[str]:
    """Tickets whose workspaces put two of them on each server; their numbers have two digits."""
    names = [f"SHARED-{number}" for number in range(10, 100)]
    sides = [[name for name in names if server_of(str(daemon.workspaces / name), 2) == side] for side in (0, 1)]
    return [*sides[0][:2], *sides[1][:2]]


async def test_two_servers_share_the_tickets(daemon: DaemonUnderTest, stage: Stage) -> None:
    """The daemon is killed while all agents work, one server with it: the other's agents are not even interrupted. Each ticket
    is done once, on the server that it began on; at the end nothing of either is left."""
    names = names_of_two_each(daemon)
    work = {name: [shell(f"sleep 12.{name[-2:]}; echo slept >> slept.txt"), commit(name), finish()] for name in names}
    stage.play = scripted(work)
    await daemon.lay_out("openhands: {local_server: {count: 2}}\n")
    for name in names:
        daemon.ticket(name)
    await daemon.start("run")
    for name in names:
        await daemon.wait_for(f"{name} is at work", lambda name=name: daemon.processes(f"sleep 12.{name[-2:]}"))
    seen = await daemon.until("both are ready", lambda picture: picture.server.status == "ready")
    first, second = seen.server.servers
    stores = {place.name: place.parent.name for place in daemon.stored_conversations()}
    assert sorted(stores.values()) == ["active", "active", "active-2", "active-2"]

    await daemon.signal(signal.SIGKILL)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    await daemon.ended()
    await daemon.start("run")
    seen = await daemon.until("both are ready again", lambda picture: picture.server.status == "ready")
    assert seen.server.servers[1].pid == second.pid
    assert seen.server.servers[0].pid != first.pid
    for name in names:
        await daemon.until(f"{name} is done", has(name, phase="in_review"))
        assert await daemon.commits(f"opensymphony/{name}") == [f"{name} 1"]
        assert sum(f"ticket {name}." in message for message in daemon.user_messages()) == 1
    assert {place.name: place.parent.name for place in daemon.stored_conversations()} == stores
    code, said, _ = await daemon.command("status")
    assert (code, f"server 2: ready at {second.base_url}" in said) == (0, True), said
    assert (await daemon.command("shutdown"))[0] == 0
    assert await daemon.ended() == 0
    assert daemon.processes() == {}

    name = next(name for name in names if stores_of(daemon, name) == "active-2")
    code, said, _ = await daemon.command("debug", name)
    assert (code, "ticket " + name in said) == (0, True), said


def stores_of(daemon: DaemonUnderTest, name: str) -> str:
    """Which store has the conversation about a ticket."""
    for place in daemon.stored_conversations():
        if f"/{name}" in (place / "base_state.json").read_text():
            return place.parent.name
    raise AssertionError(f"no conversation about {name}")
