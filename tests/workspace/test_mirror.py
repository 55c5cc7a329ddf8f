"""The daemon's copy of the repository."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.workspace.git import Git
from opensymphony.workspace.mirror import Mirror
from tests.workspace.conftest import commit, git


@pytest.fixture
async def mirror(nonce: str, state: Path, upstream: Path) -> Mirror:
    return Mirror(Git(nonce), str(state), str(upstream))


async def test_refresh_follows_the_remote_and_keeps_ours(mirror: Mirror, upstream: Path) -> None:
    """New, rewritten and deleted branches and tags; what agents did is not the remote's to delete."""
    await mirror.refresh()
    first = await mirror.base_commit("main")
    git(mirror.path, "update-ref", "refs/opensymphony/ABC-1", first)
    git(upstream, "branch", "gone", "main")
    git(upstream, "tag", "v1", "main")
    await mirror.refresh()
    assert await mirror.commit("refs/heads/gone") == first
    assert await mirror.commit("refs/tags/v1") == first
    git(upstream, "branch", "-D", "gone")
    git(upstream, "branch", "gone/deeper", "main")
    rewritten = git(upstream, "commit-tree", "-m", "other", "main^{tree}")
    git(upstream, "update-ref", "refs/heads/main", rewritten)
    await mirror.refresh()
    assert await mirror.commit("refs/heads/gone") is None
    assert await mirror.commit("refs/heads/gone/deeper") == first
    assert await mirror.base_commit("main") == rewritten
    assert await mirror.commit("refs/opensymphony/ABC-1") == first


async def test_two_refreshes_at_once_do_not_collide(mirror: Mirror) -> None:
    """The first use makes the mirror once, the others wait."""
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(mirror.refresh)
    assert await mirror.base_commit("main")
    assert [path.name for path in Path(mirror.path).parent.iterdir()] == [f"{mirror.key}.git"]


async def test_a_killed_git_leaves_no_lock_that_counts(mirror: Mirror, nonce: str, state: Path, upstream: Path) -> None:
    """A new daemon removes the locks of an old one's git before its first own."""
    await mirror.refresh()
    git(upstream, "branch", "new", "main")
    for name in ("packed-refs.lock", "refs/heads/new.lock", "HEAD.lock", "config.lock"):
        (Path(mirror.path) / name).touch()
    again = Mirror(Git(nonce), str(state), str(upstream))
    await again.refresh()
    assert await again.commit("refs/heads/new")


async def test_objects_of_the_remote_are_checked(mirror: Mirror, upstream: Path, tmp_path: Path) -> None:
    """A remote that serves a tree with `.git` in it is refused; the old sins of honest histories are not."""
    old = tmp_path / "old"
    old.write_text(
        f"tree {git(upstream, 'rev-parse', 'main^{tree}')}\n"
        "author A <a@x>1 +0000\ncommitter A <a@x> 1 +051800\n\nan old importer's commit\n"
    )
    sinful = git(upstream, "hash-object", "-t", "commit", "-w", "--literally", str(old))
    git(upstream, "update-ref", "refs/heads/old", sinful)
    await mirror.refresh()
    assert await mirror.commit("refs/heads/old") == sinful
    evil_tree = tmp_path / "tree"
    evil_tree.write_bytes(b"40000 .git\0" + bytes.fromhex(git(upstream, "rev-parse", "main^{tree}")))
    tree = git(upstream, "hash-object", "-t", "tree", "-w", "--literally", str(evil_tree))
    git(upstream, "update-ref", "refs/heads/evil", git(upstream, "commit-tree", "-m", "evil", tree))
    with pytest.raises(WorkspaceError, match=r"git fetch of .* failed: .*hasDotgit"):
        await mirror.refresh()
    assert await mirror.commit("refs/heads/evil") is None


async def test_a_mirror_that_cannot_be_made_is_told(nonce: str, tmp_path: Path, upstream: Path) -> None:
    """A state directory that is a file: one line, nothing half-made."""
    (tmp_path / "file").write_text("")
    mirror = Mirror(Git(nonce), str(tmp_path / "file"), str(upstream))
    with pytest.raises(WorkspaceError, match="cannot be made") as caught:
        await mirror.refresh()
    assert caught.value.error_class == "person"
    assert (tmp_path / "file").read_text() == ""


async def test_tidying_up_keeps_everything(mirror: Mirror, upstream: Path, tmp_path: Path) -> None:
    """Packing what has piled up loses no reference of ours."""
    await mirror.refresh()
    work = tmp_path / "work"
    git(tmp_path, "clone", "-q", str(upstream), str(work))
    done = commit(work, "a", "1")
    git(work, "branch", "work")
    await mirror.adopt(str(work), "ABC-1")
    await mirror.tidy()
    assert await mirror.commit("refs/opensymphony/ABC-1") == done
