"""Puts conversations of closed tickets away, and takes those of re-opened tickets out again.

In: the servers' directories of conversations, the archive beside them, and which belong where. Out: each a directory in
its place. First a plan is made by looking alone, then it is carried out; a crash in between leaves each conversation whole in
one place at least, and the next plan ends what was begun. Only to be called while no server of these stores runs: it keeps
its catalogue in memory, and a directory that comes or goes under it is an error to it. A ticket that is re-opened while the
server runs begins a new conversation under the same id; of two, the one with more events is taken out again later.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from opensymphony.logs import get_logger
from opensymphony.private_files import make_private_directory

COPYING = ".copying-"
"""Before the name of a copy that is not whole; only we make such names."""
REMOVING = ".removing-"
"""Before the name of a directory whose copy is in its place."""
_NAME = re.compile(r"[0-9a-f]{32}")
_OLDER_MAX = 9_999

log = get_logger(__name__)


class Move(Struct, frozen=True, kw_only=True):
    """One directory from one place to another."""

    source: Path
    target: Path
    aside: Path | None = None
    """Where what is at the target goes first."""
    is_copy: bool = False
    """The target is the same conversation already: an earlier move across file systems was cut off before its end."""

    def __str__(self) -> str:
        if self.is_copy:
            return f"remove {self.source}: {self.target} is its copy"
        first = f"{self.target} to {self.aside}, then " if self.aside else ""
        return f"move {first}{self.source} to {self.target}"


class Disk:
    """What is done to directories, each method one step; a test puts crashes in between."""

    def rename(self, source: Path, target: Path) -> None:
        """Rename what is not overwritten: `rename` would replace an empty directory."""
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        source.rename(target)
        for parent in {source.parent, target.parent}:
            _sync(parent)

    def copy(self, source: Path, target: Path) -> None:
        """Copy it whole and onto the disk; links stay links."""
        shutil.copytree(source, target, symlinks=True)
        for directory, _, files in os.walk(target):
            for name in files:
                place = Path(directory) / name
                if not place.is_symlink():
                    _sync(place)
            _sync(Path(directory))

    def remove(self, path: Path) -> None:
        shutil.rmtree(path)

    def touch(self, path: Path) -> None:
        """How long it has been archived is how old its directory is."""
        with suppress(OSError):
            os.utime(path, follow_symlinks=False)


def plan(
    actives: Sequence[Path],
    archived: Path,
    *,
    closed: Collection[str],
    wanted: Collection[str],
    leaving: Sequence[Path] = (),
    in_use: Sequence[Path] = (),
) -> tuple[Move, ...]:
    """What is in the wrong place. `closed` and `wanted` are ids; what is in neither stays where it is.

    The first of `actives` takes what comes out of the archive, and what is wanted of the stores that nobody uses any more,
    `leaving`. What is in a store `in_use` by another server stays there, and nothing of the same id is put beside it.
    """
    away, out = _names(closed), _names(wanted)
    moves: list[Move] = []
    at_home = {name: store / name for store in in_use for name in _directories(store)}
    occupied = set(_entries(archived))
    put_away = {name: archived / name for name in _directories(archived)}
    for store in (*actives, *leaving):
        for name in _directories(store):
            source = store / name
            if name in away or (name in out and name in at_home):
                kept = at_home.get(name) if name not in away else put_away.get(name)
                move = _away(source, archived, kept, occupied)
                if move is not None:
                    moves.append(move)
                    if name in away:
                        put_away[name] = source if move.target.name == name else archived / name
            elif name in out and store in leaving and actives:
                moves.append(Move(source=source, target=actives[0] / name))
                at_home[name] = source
            else:
                at_home[name] = source
    if actives:
        for name in _directories(archived):
            here = at_home.get(name)
            if name not in out:
                continue
            if here is None:
                moves.append(Move(source=archived / name, target=actives[0] / name))
            elif _is_copy(archived / name, here):
                moves.append(Move(source=archived / name, target=here, is_copy=True))
    return tuple(moves)


def put_in_order(
    actives: Sequence[Path],
    archived: Path,
    *,
    closed: Collection[str],
    wanted: Collection[str],
    leaving: Sequence[Path] = (),
    in_use: Sequence[Path] = (),
    disk: Disk | None = None,
) -> tuple[int, int]:
    """Carry out the plan; how many were put away and how many were taken out. Blocking; never raises."""
    disk = disk or Disk()
    put, taken = 0, 0
    try:
        if archived.is_symlink():
            return 0, 0
        _clean((*actives, archived, *leaving), disk)
        for move in plan(actives, archived, closed=closed, wanted=wanted, leaving=leaving, in_use=in_use):
            make_private_directory(move.target.parent)
            carry_out(move, disk)
            put += move.target.parent == archived
            taken += move.target.parent != archived
    except OSError as error:
        log.warning("conversations could not be archived", directory=error.filename, error=error.strerror)
    if put or taken:
        log.info("conversations archived", archived=put, taken_out=taken)
    return put, taken


def carry_out(move: Move, disk: Disk) -> None:
    """Across file systems: a copy under a name of its own, which becomes the target in one step; then the source goes."""
    if move.aside is not None:
        disk.rename(move.target, move.aside)
    if not move.is_copy:
        try:
            disk.rename(move.source, move.target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copying = move.target.with_name(f"{COPYING}{move.target.name}")
            disk.copy(move.source, copying)
            disk.rename(copying, move.target)
        else:
            disk.touch(move.target)
            return
    removing = move.source.with_name(f"{REMOVING}{move.source.name}")
    disk.rename(move.source, removing)
    disk.remove(removing)
    disk.touch(move.target)


def count_events(conversation: Path) -> int:
    """How many events its log has on disk."""
    return len(_events(conversation))


def _away(source: Path, archived: Path, kept: Path | None, occupied: set[str]) -> Move | None:
    """Into the archive, under its own name when nothing with more events has that; None when no name is left."""
    name = source.name
    if kept is None and name not in occupied:
        occupied.add(name)
        return Move(source=source, target=archived / name)
    if kept is not None and _is_copy(source, kept):
        return Move(source=source, target=kept, is_copy=True)
    other = next((f"{name}.{n}" for n in range(1, _OLDER_MAX + 1) if f"{name}.{n}" not in occupied), None)
    if other is None:
        return None
    occupied.add(other)
    in_archive = kept is not None and kept == archived / name
    if in_archive and kept is not None and count_events(source) >= count_events(kept):
        return Move(source=source, target=kept, aside=archived / other)
    return Move(source=source, target=archived / other)


def _is_copy(one: Path, other: Path) -> bool:
    """Whether they are one conversation: the names of events hold ids, and no two logs share them all."""
    events = _events(one)
    return bool(events) and events == _events(other)


def _events(conversation: Path) -> frozenset[str]:
    try:
        return frozenset(name for name in os.listdir(conversation / "events") if name.endswith(".json"))
    except OSError:
        return frozenset()


def _clean(stores: Sequence[Path], disk: Disk) -> None:
    """Remove what a crash left of a move: a copy that is not whole, and a source whose copy is in its place."""
    for store in stores:
        for name in _entries(store):
            if name.startswith((COPYING, REMOVING)) and not (store / name).is_symlink():
                disk.remove(store / name)


def _names(ids: Collection[str]) -> frozenset[str]:
    """Directories are named by the id without its dashes."""
    return frozenset(one.replace("-", "") for one in ids)


def _entries(parent: Path) -> list[str]:
    try:
        return sorted(os.listdir(parent))
    except FileNotFoundError:
        return []


def _directories(parent: Path) -> list[str]:
    """Names of the directories in it that a conversation may have; no links."""
    try:
        with os.scandir(parent) as found:
            return sorted(entry.name for entry in found if _is_conversation(entry))
    except FileNotFoundError:
        return []


def _is_conversation(entry: os.DirEntry[str]) -> bool:
    return _NAME.fullmatch(entry.name) is not None and entry.is_dir(follow_symlinks=False)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
