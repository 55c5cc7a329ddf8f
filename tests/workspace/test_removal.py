"""Directories out of the way, whatever is in them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.workspace.removal import TRASH, remove, set_aside, sweep


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    """What a link points to is somebody else's."""
    away = tmp_path / "away"
    away.mkdir()
    (away / "precious").write_text("kept")
    workspace = tmp_path / "root" / "ABC-1"
    (workspace / "sub").mkdir(parents=True)
    (workspace / "sub" / "directory").symlink_to(away)
    (workspace / "file").symlink_to(away / "precious")
    os.mkfifo(workspace / "pipe")
    assert remove(str(tmp_path / "root"), "ABC-1") == ""
    assert os.listdir(tmp_path / "root") == [TRASH]
    assert os.listdir(tmp_path / "root" / TRASH) == []
    assert (away / "precious").read_text() == "kept"


def test_directories_that_forbid_it_are_removed(tmp_path: Path) -> None:
    """A Go module cache, for one, is read-only; a directory without any permission goes too."""
    inner = tmp_path / "ABC-1" / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").write_text("")
    (inner / "file").chmod(0o400)
    inner.chmod(0o500)
    (tmp_path / "ABC-1" / "a").chmod(0)
    assert remove(str(tmp_path), "ABC-1") == ""
    assert os.listdir(tmp_path / TRASH) == []


def test_depth_is_no_limit(tmp_path: Path) -> None:
    """Deeper than any path may be long, and than Python may recurse."""
    workspace = tmp_path / "ABC-1"
    workspace.mkdir()
    descriptor = os.open(workspace, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("deep", dir_fd=descriptor)
        below = os.open("deep", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    assert remove(str(tmp_path), "ABC-1") == ""
    assert os.listdir(tmp_path / TRASH) == []


def test_a_missing_directory_is_removed_already(tmp_path: Path) -> None:
    """Doing it again is no failure."""
    assert remove(str(tmp_path), "ABC-1") == ""


def test_setting_aside_keeps_everything(tmp_path: Path) -> None:
    """Twice the same name: both are kept."""
    kept: list[str] = []
    for content in ("first", "second"):
        (tmp_path / "ABC-1").mkdir()
        (tmp_path / "ABC-1" / "file").write_text(content)
        kept.append(set_aside(str(tmp_path), "ABC-1"))
    assert [Path(place, "file").read_text() for place in kept] == ["first", "second"]


def test_a_planted_trash_is_refused(tmp_path: Path) -> None:
    """A link in the place of the trash is not followed, and the directory stays."""
    away = tmp_path / "away"
    away.mkdir()
    root = tmp_path / "root"
    (root / "ABC-1").mkdir(parents=True)
    (root / TRASH).symlink_to(away)
    with pytest.raises(WorkspaceError, match="is not a directory: remove it"):
        remove(str(root), "ABC-1")
    sweep(str(root))
    assert (root / "ABC-1").is_dir()
    assert os.listdir(away) == []


def test_an_interrupted_removal_is_finished(tmp_path: Path) -> None:
    """What was left in the trash goes with the next start."""
    (tmp_path / TRASH / "ABC-1-x" / "sub").mkdir(parents=True)
    sweep(str(tmp_path))
    assert os.listdir(tmp_path / TRASH) == []
    shutil.rmtree(tmp_path / TRASH)
    sweep(str(tmp_path))
    assert os.listdir(tmp_path) == []
