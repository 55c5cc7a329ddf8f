"""An agent's repository, read without git."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.workspace import inspection
from opensymphony.workspace.inspection import read_repository, shadow
from tests.workspace.conftest import commit, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "repository"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    commit(path, "a", "1")
    return path


def test_references_are_read_as_git_reads_them(repository: Path) -> None:
    """Loose over packed, symbolic ones resolved, broken, endless and locked ones left out."""
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "-a", "-m", "t", "v1")
    git(repository, "pack-refs", "--all")
    second = commit(repository, "b", "1")
    git(repository, "update-ref", "refs/remotes/origin/main", first)
    git(repository, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    heads = repository / ".git" / "refs" / "heads"
    (heads / "broken").write_text("nonsense")
    (heads / "one").write_text("ref: refs/heads/two")
    (heads / "two").write_text("ref: refs/heads/one")
    (heads / "main.lock").write_text("")
    read = read_repository(str(repository))
    assert read.references == {
        "refs/heads/main": second,
        "refs/tags/v1": git(repository, "rev-parse", "v1"),
        "refs/remotes/origin/main": first,
        "refs/remotes/origin/HEAD": first,
    }
    assert (read.head, read.heads) == (second, (second,))
    assert read.published() == (first,)
    assert set(read.unpublished()) == {second, git(repository, "rev-parse", "v1")}


def test_an_unborn_branch_has_no_head(tmp_path: Path) -> None:
    """A repository without a commit is a repository."""
    git(tmp_path, "init", "-q")
    read = read_repository(str(tmp_path))
    assert (read.head, read.heads, read.references) == (None, (), {})


def test_numbers_are_limited(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """References without end, or one of a gigabyte, are refused and not read into memory."""
    (repository / ".git" / "refs" / "heads" / "big").write_text("x" * 5_000)
    with pytest.raises(WorkspaceError, match="big: is larger than 4096 bytes"):
        read_repository(str(repository))
    (repository / ".git" / "refs" / "heads" / "big").unlink()
    for name in "bcd":
        git(repository, "branch", name)
    monkeypatch.setattr(inspection, "REFERENCES_MAX", 3)
    with pytest.raises(WorkspaceError, match="refs: holds more than 3 references"):
        read_repository(str(repository))
    git(repository, "pack-refs", "--all")
    with pytest.raises(WorkspaceError, match="packed-refs: holds more than 3 references"):
        read_repository(str(repository))


def test_a_linked_reference_is_not_followed(repository: Path, tmp_path: Path) -> None:
    """A link to any file of the daemon's could show its content in an error."""
    (tmp_path / "secret").write_text("canary")
    (repository / ".git" / "refs" / "heads" / "x").symlink_to(tmp_path / "secret")
    with pytest.raises(WorkspaceError, match="has to be a plain directory") as caught:
        read_repository(str(repository))
    assert "canary" not in str(caught.value)


def test_a_shadow_has_the_objects_and_nothing_else(repository: Path, tmp_path: Path) -> None:
    """Our configuration, one branch, and gone afterwards."""
    git(repository, "config", "x.y", "z")
    read = read_repository(str(repository))
    with shadow(str(tmp_path), read, work=read.head) as path:
        assert git(path, "log", "--format=%s", "work") == "change a"
        assert git(path, "config", "x.y", check=False) == ""
    assert not os.path.exists(path)
