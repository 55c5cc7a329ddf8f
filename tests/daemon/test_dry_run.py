"""What a start would do, without doing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony.daemon.dry_run import dry_run
from opensymphony.errors import ServiceError
from opensymphony.workflow.policy import AgentPolicy
from tests.daemon.world import World


def files(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


async def test_it_says_what_would_start_and_why_not(world: World) -> None:
    """Most urgent first, as far as there are places; the others with their reason; nothing is written anywhere."""
    world.ticket("A-1", priority="2")
    world.ticket("A-2", priority="1")
    world.ticket("A-3", priority="3")
    world.ticket("A-4", priority="1", blocked_by="A-1")
    (world.board / "bad.md").write_text("---\ntitle: [\n---\n")
    before = files(world.directory)
    found = await dry_run(world.policy(agent=AgentPolicy(max_concurrent_agents=2)), world.settings())
    phases = {view.identifier: (view.phase, view.reason) for view in found.tickets}
    assert [phases[name][0] for name in ("A-1", "A-2")] == ["running", "running"]
    assert phases["A-3"] == ("waiting_to_start", "it waits for a place: 2 of 2 agents are at work")
    assert phases["A-4"] == ("waiting_to_start", "it is blocked by A-1 (Todo)")
    assert len(found.problems) == 1
    assert files(world.directory) == before
    assert not world.store.exists()
    assert not world.root.exists()


async def test_an_empty_board_starts_nothing(world: World) -> None:
    """No ticket, no problem."""
    found = await dry_run(world.policy(), world.settings())
    assert (found.tickets, found.problems, found.status) == ((), (), "stopped")


async def test_an_unreadable_board_is_an_error(world: World) -> None:
    """Not an empty answer."""
    world.board.rmdir()
    with pytest.raises(ServiceError, match=str(world.board)):
        await dry_run(world.policy(), world.settings())
