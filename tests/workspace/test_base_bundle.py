"""What the base got since a workspace was made reaches the agent without a network."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.workflow.policy import CodeHostPolicy, ReviewPolicy
from opensymphony.workspace.manager import WorkspaceManager
from tests.workspace.conftest import clone_and_push, commit, git, prepare

BUNDLE = ".opensymphony/base.bundle"


def reviewing(manager: WorkspaceManager) -> WorkspaceManager:
    manager.use(msgspec.structs.replace(manager.policy, code_host=CodeHostPolicy(kind="bitbucket")))
    return manager


async def test_the_agent_merges_a_base_that_moved(manager: WorkspaceManager, upstream: Path) -> None:
    """From a bundle, as the message to it says; the work is then what the branch adds to the newest base."""
    workspace = await prepare(reviewing(manager))
    here = Path(workspace.path)
    assert not (here / BUNDLE).exists(), "nothing has moved"
    commit(here, "mine", "1", person=False)
    await manager.collect(workspace)
    theirs = clone_and_push(upstream, "theirs", "main")
    again = await prepare(manager)
    assert (again.path, again.created) == (workspace.path, False)
    git(here, "fetch", "-q", BUNDLE, "main")
    assert git(here, "rev-parse", "FETCH_HEAD") == theirs
    git(here, "merge", "-q", "-m", "merge main", "FETCH_HEAD")
    work = await manager.collect(workspace)
    assert work.files_changed == ("mine",) and work.commits_ahead == 2
    assert work.uncommitted == ()
    await prepare(manager)
    assert not (here / BUNDLE).exists(), "it is merged"


async def test_without_a_code_host_no_bundle_is_made(manager: WorkspaceManager, upstream: Path) -> None:
    """And no request to the remote for it."""
    workspace = await prepare(manager)
    commit(workspace.path, "mine", "1", person=False)
    await manager.collect(workspace)
    clone_and_push(upstream, "theirs", "main")
    shutil.move(upstream, upstream.with_suffix(".away"))
    await prepare(manager)
    assert not (Path(workspace.path) / BUNDLE).exists()


async def test_a_link_in_its_place_is_not_followed(manager: WorkspaceManager, upstream: Path, tmp_path: Path) -> None:
    """The file is replaced, and what it led to is as it was."""
    workspace = await prepare(reviewing(manager))
    here = Path(workspace.path)
    commit(here, "mine", "1", person=False)
    await manager.collect(workspace)
    clone_and_push(upstream, "theirs", "main")
    target = tmp_path / "target"
    target.write_text("as it was")
    (here / ".opensymphony").mkdir(exist_ok=True)
    (here / BUNDLE).symlink_to(target)
    await prepare(manager)
    assert target.read_text() == "as it was" and not (here / BUNDLE).is_symlink()


async def test_lines_are_quoted_from_what_was_pushed(manager: WorkspaceManager) -> None:
    """With their numbers, by an abbreviated commit, too; what is not there is quoted as nothing."""
    workspace = await prepare(manager)
    last = commit(workspace.path, "a.py", "".join(f"line {number}\n" for number in range(1, 21)), person=False)
    await manager.collect(workspace)
    quoted = await manager.quote(workspace, last[:12], "a.py", 3)
    assert quoted.splitlines()[0] == "    1  line 1" and quoted.splitlines()[2] == "    3> line 3"
    for commit_name, path, line in (
        (last, "gone.py", 3),
        (last, "a.py", 500),
        (last, "a.py", 0),
        ("--help", "a.py", 3),
        ("f" * 12, "a.py", 3),
        (last, "../../etc/passwd", 1),
    ):
        assert await manager.quote(workspace, commit_name, path, line) == ""


async def test_a_rebased_branch_replaces_what_we_pushed_and_nothing_else(
    manager: WorkspaceManager, upstream: Path
) -> None:
    """Where the policy says so; a commit that somebody else has put there meanwhile is never lost."""
    policy = reviewing(manager).policy
    workspace = await prepare(manager)
    here, branch = Path(workspace.path), workspace.branch or ""
    first = commit(here, "mine", "1", person=False)
    await manager.collect(workspace)
    await manager.push(workspace, first)
    theirs = clone_and_push(upstream, "theirs", "main")
    await prepare(manager)
    git(here, "fetch", "-q", BUNDLE, "main")
    git(here, "rebase", "-q", "FETCH_HEAD")
    rebased = (await manager.collect(workspace)).commit
    assert rebased is not None and git(here, "rev-parse", "HEAD~1") == theirs
    with pytest.raises(WorkspaceError, match="does not contain"):
        await manager.push(workspace, rebased)
    assert git(upstream, "rev-parse", branch) == first
    manager.use(msgspec.structs.replace(policy, review=ReviewPolicy(update_by="rebase")))
    await manager.push(workspace, rebased)
    await manager.push(workspace, rebased)
    assert git(upstream, "rev-parse", branch) == rebased
    foreign = clone_and_push(upstream, "by-hand", branch, start=branch)
    git(here, "commit", "-q", "--amend", "-m", "again")
    amended = (await manager.collect(workspace)).commit
    assert amended is not None
    with pytest.raises(WorkspaceError, match="does not contain"):
        await manager.push(workspace, amended)
    assert git(upstream, "rev-parse", branch) == foreign


async def test_lines_are_counted_as_git_counts_them(manager: WorkspaceManager) -> None:
    """A form feed ends none; of a file that is too large to be read whole nothing is quoted."""
    workspace = await prepare(manager)
    commit(workspace.path, "a.c", "one\x0c\ntwo\u2028\nthree\n", person=False)
    last = commit(workspace.path, "large", "first\n" + "line\n" * 900_000 + "last\n", person=False)
    await manager.collect(workspace)
    quoted = await manager.quote(workspace, last, "a.c", 3)
    assert quoted.split("\n")[-1] == "    3> three"
    assert await manager.quote(workspace, last, "large", 1) == ""
