"""Files that only their owner reads."""

import os
import stat
from pathlib import Path

import pytest

from opensymphony.private_files import make_private_directory, write_private, write_private_parts


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_directory_that_is_made_is_private(tmp_path: Path) -> None:
    """Also those above the one asked for; what was there keeps its mode."""
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    make_private_directory(there / "a" / "b")
    assert [mode(there), mode(there / "a"), mode(there / "a" / "b")] == [0o755, 0o700, 0o700]
    make_private_directory(there / "a" / "b")


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    """Whatever the umask and the old file's mode were, and over the leftover of a crash."""
    place = tmp_path / "token"
    place.write_text("old")
    place.chmod(0o644)
    (tmp_path / "token.new").write_text("half")
    before = os.umask(0)
    try:
        write_private(place, b"new")
    finally:
        os.umask(before)
    assert (place.read_bytes(), mode(place)) == (b"new", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    """What it points to stays as it is."""
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "token.new").symlink_to(other)
    write_private(tmp_path / "token", b"new")
    assert other.read_text() == "mine"


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """The caller says what to do about it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        make_private_directory(tmp_path / "file" / "below")


def test_a_file_of_many_parts_is_whole_or_as_it_was(tmp_path: Path) -> None:
    """A part that cannot be had leaves the old file, and nothing beside it."""
    place = tmp_path / "export"
    write_private_parts(place, (b"%d\n" % number for number in range(3)))
    assert (place.read_bytes(), mode(place)) == (b"0\n1\n2\n", 0o600)
    with pytest.raises(ZeroDivisionError):
        write_private_parts(place, (b"%d" % (1 // number) for number in (1, 0)))
    assert place.read_bytes() == b"0\n1\n2\n"
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_what_is_written_outlives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is on disk before it has its name, and the name before the call ends."""
    synced: list[tuple[str, bool]] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append((kind, (tmp_path / "token").exists()))
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_private(tmp_path / "token", b"new")
    assert synced == [("file", False), ("directory", True)]
