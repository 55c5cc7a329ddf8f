"""A new workspace's repository: what is in it, and where it starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.interfaces import WorkspaceRequest
from opensymphony.workspace.manager import WorkspaceManager
from tests.workspace.conftest import clone_and_push, commit, git, prepare, ticket


async def test_prepare_clones_the_base_on_the_tickets_branch(manager: WorkspaceManager, upstream: Path) -> None:
    """A repository of its own: branch, identity and `origin/*`, but no remote, alternates, hard links or credentials."""
    workspace = await prepare(manager)
    base = git(upstream, "rev-parse", "main")
    assert workspace.branch == "opensymphony/ABC-1"
    assert workspace.base_commit == base
    assert git(workspace.path, "branch", "--show-current") == "opensymphony/ABC-1"
    assert git(workspace.path, "rev-parse", "HEAD", "origin/main").split() == [base, base]
    assert git(workspace.path, "status", "--porcelain") == ""
    assert git(workspace.path, "remote") == ""
    assert git(workspace.path, "config", "user.name") == "OpenSymphony agent"
    assert git(workspace.path, "config", "user.email") == "agent@opensymphony.invalid"
    assert not Path(workspace.path, ".git/objects/info/alternates").exists()
    assert not Path(workspace.path, ".git/hooks").exists()
    assert all(path.stat().st_nlink == 1 for path in Path(workspace.path, ".git").rglob("*") if path.is_file())
    commit(workspace.path, "a", "1", person=False)


async def test_the_workspace_outlives_the_mirror(manager: WorkspaceManager, state: Path) -> None:
    """Nothing in a clone points into the daemon's mirror."""
    workspace = await prepare(manager)
    shutil.rmtree(state)
    assert "README" in git(workspace.path, "show", "--stat", "HEAD")
    git(workspace.path, "fsck", "--strict")


async def test_a_new_clone_starts_from_the_remote_branch(manager: WorkspaceManager, upstream: Path) -> None:
    """A ticket whose workspace was removed goes on from its branch; the base is still the base."""
    theirs = clone_and_push(upstream, "b", "opensymphony/ABC-1")
    workspace = await prepare(manager)
    assert git(workspace.path, "rev-parse", "HEAD") == theirs
    assert workspace.base_commit == git(upstream, "rev-parse", "main")
    assert (await manager.collect(workspace)).commits_ahead == 1


async def test_a_new_clone_starts_from_what_was_collected(manager: WorkspaceManager) -> None:
    """Work that was collected and never pushed is not lost with the directory."""
    first = await prepare(manager)
    done = commit(first.path, "a", "1", person=False)
    await manager.collect(first)
    shutil.rmtree(first.path)
    second = await prepare(manager, generation=2)
    assert second.created
    assert git(second.path, "rev-parse", "HEAD") == done


async def test_when_ways_have_parted_the_remote_counts(manager: WorkspaceManager, upstream: Path) -> None:
    """A start that could never be pushed is no start."""
    first = await prepare(manager)
    commit(first.path, "a", "1", person=False)
    await manager.collect(first)
    shutil.rmtree(first.path)
    theirs = clone_and_push(upstream, "b", "opensymphony/ABC-1")
    assert git((await prepare(manager)).path, "rev-parse", "HEAD") == theirs


async def test_one_tickets_objects_do_not_reach_another(manager: WorkspaceManager) -> None:
    """A clone holds what the remote's branches hold, not what other agents did."""
    first = await prepare(manager)
    secret = commit(first.path, "a", "1", person=False)
    await manager.collect(first)
    second = await prepare(manager, ticket("ABC-2"))
    assert git(second.path, "cat-file", "-t", secret, check=False) == ""


@pytest.mark.parametrize("branch", ["main", "a..b", "-x", "a b", "x.lock", "a\nb"])
async def test_a_bad_branch_is_refused(manager: WorkspaceManager, upstream: Path, branch: str) -> None:
    """A template that renders to the base, or to no branch name, is a person's to mend."""
    request = WorkspaceRequest(ticket=ticket(), generation=1, repository_url=str(upstream), base="main", branch=branch)
    with pytest.raises(WorkspaceError, match=r"repository.branch renders to") as caught:
        await manager.prepare(request)
    assert caught.value.error_class == "person"
    assert "\n" not in str(caught.value)
