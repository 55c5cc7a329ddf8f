"""Two daemons with stores, roots and agents of their own on one board."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from opensymphony.daemon.app import Daemon
from opensymphony.scheduler import claims, stages
from tests.daemon.world import GOOD, HOLDS, World, until, view

TICKETS = [f"A-{number}" for number in range(1, 5)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket that is held elsewhere is tried again in a moment, and not in a minute."""
    monkeypatch.setattr(stages, "_HELD_ELSEWHERE_MS", 100)


def beside(world: World, name: str) -> World:
    """Another machine: everything of its own but the board and the repository."""
    other = World(world.directory.parent / name, world.agents.scripts)
    other.board, other.upstream = world.board, world.upstream
    return other


def conversations(world: World) -> list[str]:
    """Tickets that the agents of a machine were given."""
    return sorted(talk.ticket for talk in world.agents.talks.values())


async def test_every_ticket_is_worked_on_once(tmp_path: Path) -> None:
    """Whichever of the two gets it: one conversation, one commit, and no claim is left."""
    here = World(tmp_path / "here", {name: [GOOD] for name in TICKETS})
    there = beside(here, "there")
    texts = [here.ticket(name) for name in TICKETS]

    def over() -> bool:
        return all("state: In Review" in path.read_text() and "claim:" not in path.read_text() for path in texts)

    async with here.running() as one, there.running():
        await until(one, over, 50)
    assert sorted(conversations(here) + conversations(there)) == TICKETS
    assert all(here.commits(name) == ["Answer well"] for name in TICKETS)
    board = await here.tickets()
    assert {ticket.claim for ticket in board.values()} == {None}
    assert {ticket.state for ticket in board.values()} == {"In Review"}


async def test_a_ticket_of_the_other_is_explained(tmp_path: Path) -> None:
    """Whose it is stands in the reason; when it comes free, it is worked on here."""
    here = World(tmp_path / "here", {"A-1": [HOLDS, GOOD]})
    there = beside(here, "there")
    here.ticket("A-1")
    async with here.running() as one:
        await until(one, lambda: here.agents.talks)
        assert one.control is not None
        async with there.running() as two:
            owner = f"instance {one.control.snapshot().instance} works on it"
            await until(two, lambda: owner in reason(two, "A-1"))
            assert conversations(there) == []


async def test_a_killed_daemons_ticket_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its claim has stood still long enough; and when the dead one comes back, it leaves the ticket alone."""
    for name, limit_ms in (("HEARTBEAT_MS", 1_000), ("LET_GO_MS", 2_000), ("STALE_AFTER_MS", 3_000)):
        monkeypatch.setattr(claims, name, limit_ms)
    here = World(tmp_path / "here", {"A-1": [HOLDS]})
    there = beside(here, "there")
    there.agents.scripts = {"A-1": [HOLDS]}
    here.ticket("A-1")
    async with anyio.create_task_group() as tasks:
        killed: Daemon = here.make()
        await tasks.start(killed.run)
        await until(killed, lambda: here.agents.talks)
        tasks.cancel_scope.cancel()
    async with there.running() as two:
        await until(two, lambda: conversations(there) == ["A-1"])
        assert two.control is not None
        mine = two.control.snapshot().instance
        async with here.running() as back:
            await until(back, lambda: f"{mine} " in reason(back, "A-1"))
            await until(back, lambda: not here.agents.talk("A-1").running)
            board = await here.tickets()
            assert board["A-1"].claim.instance == mine
            found = view(two, "A-1")
            assert found is not None
            assert found.phase == "running"


async def test_a_daemon_that_was_overtaken_stops_its_run(tmp_path: Path) -> None:
    """It was asleep, its claim was taken over: the agent is interrupted, and the other's claim stays."""
    here = World(tmp_path / "here", {"A-1": [HOLDS]})
    path = here.ticket("A-1")
    async with here.running() as one:
        await until(one, lambda: here.agents.talks)
        text = path.read_text()
        claim = next(line for line in text.splitlines() if line.startswith("claim:"))
        other = "claim: {instance: other, generation: 1, heartbeat_ms: 1}"
        fresh = tmp_path / "fresh"
        fresh.write_text(text.replace(claim, other))
        fresh.replace(path)
        await until(one, lambda: here.agents.stops)
        await until(one, lambda: "other" in reason(one, "A-1"))
        assert other in path.read_text()


def reason(daemon: Daemon, name: str) -> str:
    found = view(daemon, name)
    return found.reason if found is not None else ""
