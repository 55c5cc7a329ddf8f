"""Workspaces in which an agent changes something, or nothing that counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opensymphony.workspace import fingerprint as fingerprint_module
from opensymphony.workspace.manager import WorkspaceManager
from tests.workspace.conftest import commit, git, prepare


def edit_same_size(path: Path) -> None:
    (path / "README").write_text("hallo\n")


def add(path: Path) -> None:
    (path / "deep" / "down").mkdir(parents=True)
    (path / "deep" / "down" / "new").touch()


def edit_uncommitted(path: Path) -> None:
    (path / "notes").write_text("more than before\n")


def delete(path: Path) -> None:
    (path / "README").unlink()


def delete_uncommitted(path: Path) -> None:
    (path / "notes").unlink()


def commit_it(path: Path) -> None:
    (path / "notes").write_text("n\n")
    git(path, "add", "notes")
    git(path, "commit", "-q", "-m", "notes")


def reset(path: Path) -> None:
    git(path, "reset", "-q", "--hard", "HEAD~")


def branch(path: Path) -> None:
    git(path, "branch", "other")


def nested(path: Path) -> None:
    (path / "inner" / "file").write_text("changed and longer")


CHANGES = [edit_same_size, add, edit_uncommitted, delete, delete_uncommitted, commit_it, reset, branch, nested]


async def test_every_change_makes_it_another_one(manager: WorkspaceManager) -> None:
    """Edits, new and deleted files, commits, branches, also in a repository inside the repository; and none of them twice."""
    workspace = await prepare(manager)
    path = Path(workspace.path)
    commit(path, "second", "2\n")
    (path / "notes").write_text("n\n")
    (path / "inner").mkdir()
    git(path / "inner", "init", "-q")
    (path / "inner" / "file").write_text("x")
    seen = [await manager.fingerprint(workspace)]
    for change in CHANGES:
        change(path)
        seen.append(await manager.fingerprint(workspace))
        assert seen[-1] not in seen[:-1], change.__name__
    assert "" not in seen


def touch_cache(path: Path) -> None:
    (path / "build.log").write_text("ignored by git")


def touch_tracked(path: Path) -> None:
    os.utime(path / "README", (1, 1))


def write_our_copies(path: Path) -> None:
    (path / ".opensymphony").mkdir(exist_ok=True)
    (path / ".opensymphony" / "run.json").write_text("{}")


def fetch(path: Path) -> None:
    git(path, "update-ref", "refs/remotes/origin/other", "HEAD")


def configure(path: Path) -> None:
    git(path, "config", "core.fsmonitor", "touch fsmonitor-ran")
    git(path, "config", "filter.odd.clean", "touch filter-ran; cat")
    hook = path / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch hook-ran\n")
    hook.chmod(0o755)


async def test_what_is_no_work_does_not_count(manager: WorkspaceManager) -> None:
    """Ignored caches, times of committed files, our own copies, what came from the remote, and configuration, none of which
    is obeyed."""
    workspace = await prepare(manager)
    path = Path(workspace.path)
    commit(path, ".gitattributes", "* filter=odd\n")
    (path / "notes").write_text("n\n")
    before = await manager.fingerprint(workspace)
    assert before == await manager.fingerprint(workspace) != ""
    for change in (touch_cache, touch_tracked, write_our_copies, fetch, configure):
        change(path)
        assert await manager.fingerprint(workspace) == before, change.__name__
    assert not [name for name in os.listdir(path) if name.endswith("-ran")]


async def test_without_a_repository_every_file_counts(plain_manager: WorkspaceManager) -> None:
    """Whatever is below the directory, except our own copies; links are looked at and not followed."""
    workspace = await prepare(plain_manager)
    path = Path(workspace.path)
    write_our_copies(path)
    outside = path.parent / "outside"
    outside.mkdir()
    seen = [await plain_manager.fingerprint(workspace)]

    def change(name: str, text: str) -> None:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)

    for make in (
        lambda: change("a", "1"),
        lambda: change("a", "22"),
        lambda: change("b/c/d", "1"),
        lambda: (path / "link").symlink_to(outside),
        lambda: (path / "a").unlink(),
    ):
        make()
        seen.append(await plain_manager.fingerprint(workspace))
    assert len(set(seen)) == 6
    assert "" not in seen
    (outside / "file").write_text("x")
    (path / ".opensymphony" / "run.json").write_text("{} ")
    assert await plain_manager.fingerprint(workspace) == seen[-1]


async def test_a_new_repository_without_a_commit_is_told(plain_manager: WorkspaceManager) -> None:
    """The agent-server makes one in an empty directory."""
    workspace = await prepare(plain_manager)
    git(workspace.path, "init", "-q")
    before = await plain_manager.fingerprint(workspace)
    (Path(workspace.path) / "a").touch()
    assert "" != before != await plain_manager.fingerprint(workspace) != ""


async def test_what_cannot_be_told_is_empty(
    manager: WorkspaceManager, plain_manager: WorkspaceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many files, too little time, a repository that is none, or no workspace any more: no error, and no wrong answer."""
    workspace = await prepare(manager)
    path = Path(workspace.path)
    for name in "abc":
        (path / name).touch()
    assert await manager.fingerprint(workspace)
    monkeypatch.setattr(fingerprint_module, "ENTRIES_MAX", 2)
    assert await manager.fingerprint(workspace) == ""
    monkeypatch.setattr(fingerprint_module, "ENTRIES_MAX", 100)
    monkeypatch.setattr(fingerprint_module, "_TIME_MAX_S", 0)
    assert await manager.fingerprint(workspace) == ""
    monkeypatch.setattr(fingerprint_module, "_TIME_MAX_S", 60)
    monkeypatch.setattr(fingerprint_module, "_LISTING_BYTES_MAX", 3)
    assert await manager.fingerprint(workspace) == ""
    monkeypatch.setattr(fingerprint_module, "_LISTING_BYTES_MAX", 100)
    (path / ".git" / "reftable").mkdir()
    assert await manager.fingerprint(workspace) == ""
    os.rename(path / ".git", path / "was-git")
    (path / ".git").write_text("gitdir: /nowhere\n")
    assert await manager.fingerprint(workspace) == ""
    os.rename(path, path.with_name("away"))
    assert await manager.fingerprint(workspace) == ""
