"""Copies for people in each workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from opensymphony.daemon.manifests import Manifests
from opensymphony.errors import WorkspaceError
from opensymphony.interfaces import Workspaces
from opensymphony.model import Workspace
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from tests.daemon.world import World
from tests.scheduler.playbook import Playbook


class Shelf:
    """Takes what is written, as the workspaces would, and may be in trouble."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str]] = []
        self.trouble: list[Exception] = []

    async def write_manifest(self, workspace: Workspace, name: str, content: Mapping[str, object]) -> None:
        if self.trouble:
            raise self.trouble.pop()
        json.dumps(content)
        self.written.append((workspace.key, name))


def working(*names: str) -> Playbook:
    """Tickets whose agents are at work."""
    book = Playbook()
    for name in names:
        book.ticket(name)
        book.until(c.AwaitTurn, name)
    return book


def told(name: str) -> d.Decision:
    return d.TurnBegun(at_ms=1, ticket_id=cast(Any, name), message_key=cast(Any, "k"))


async def write(manifests: Manifests) -> None:
    """Let it write what it was told of."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(manifests.run)
        with anyio.fail_after(10):
            await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    manifests.close()


async def test_a_workspace_says_whose_it_is(world: World) -> None:
    """After a run: ticket, conversation and run, readable by their owner alone and invisible to git."""
    world.ticket("A-1")
    [ticket] = (await world.once()).tickets
    assert ticket.workspace is not None
    folder = Path(ticket.workspace) / ".opensymphony"
    documents = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert set(documents) >= {"issue", "conversation", "run"}
    assert documents["issue"]["issue"]["identifier"] == "A-1"
    conversation = documents["conversation"]
    assert conversation["conversation_id"] == ticket.conversation_id
    assert (conversation["format"], conversation["prompted"], conversation["last_prompt"]) == (1, True, "full")
    assert (conversation["reuse_policy"], conversation["reset_reason"]) == ("per_issue", None)
    assert conversation["created_at"] is not None
    assert (documents["run"]["generation"], documents["run"]["verified"]) == (1, True)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.glob("*.json"))


async def test_only_what_tells_something_is_written() -> None:
    """A heartbeat or a comment writes nothing; a ticket without a workspace has no place for it."""
    book, shelf = working("A-1"), Shelf()
    manifests = Manifests(book.state, cast(Workspaces, shelf))
    book.ticket("A-2")
    manifests((d.ContinuationCounted(ticket_id=cast(Any, "A-1")), told("A-2"), told("gone")), 1)
    manifests((told("A-1"),), 1)
    await write(manifests)
    assert shelf.written == [("A-1", "issue"), ("A-1", "run"), ("A-1", "conversation")]


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), WorkspaceError("a symbolic link")])
async def test_trouble_with_one_copy_leaves_the_others(trouble: Exception) -> None:
    """They are for people only: a full disk or an agent's link in the way stops no work."""
    book, shelf = working("A-1", "B-1"), Shelf()
    manifests = Manifests(book.state, cast(Workspaces, shelf))
    shelf.trouble.append(trouble)
    manifests((told("A-1"), told("B-1")), 1)
    await write(manifests)
    assert shelf.written == [
        ("A-1", "run"),
        ("A-1", "conversation"),
        ("B-1", "issue"),
        ("B-1", "run"),
        ("B-1", "conversation"),
    ]


async def test_a_flood_is_cut_off_not_waited_for() -> None:
    """The loop never waits for copies; the queue has a limit."""
    book, shelf = working("A-1"), Shelf()
    manifests = Manifests(book.state, cast(Workspaces, shelf))
    for _ in range(1_100):
        manifests((told("A-1"),), 1)
    await write(manifests)
    assert len(shelf.written) == 3_000


async def test_decisions_after_the_end_write_nothing() -> None:
    """In an end at once the writer is gone before the last decisions are: they are taken in silence."""
    book, shelf = working("A-1"), Shelf()
    manifests = Manifests(book.state, cast(Workspaces, shelf))
    await write(manifests)
    manifests((told("A-1"),), 1)
    left = Manifests(book.state, cast(Workspaces, shelf))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(left.run)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    left((told("A-1"),), 1)
    left.close()
    assert shelf.written == []
