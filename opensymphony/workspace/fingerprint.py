"""What the agent's files look like, in one value: another one means that something changed.

In: a workspace's path. Out: a digest of the heads of its repository and of what is not committed (paths, kinds, sizes, times),
as git tells it in a repository of ours (inspection.py), so that what git ignores does not count; without a repository, of
every file. It is bounded in entries and time, and empty when it cannot be told within them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from opensymphony.errors import WorkspaceError
from opensymphony.workspace.git import OUTPUT_BYTES_MAX, Git
from opensymphony.workspace.inspection import read_repository, shadow
from opensymphony.workspace.manifest import DIRECTORY
from opensymphony.workspace.work import differences

ENTRIES_MAX = 50_000
_TIME_MAX_S = 60.0
_LISTING_BYTES_MAX = OUTPUT_BYTES_MAX // 2
"""Half of what git's answer may have: a longer one may have been cut, and what is missing could have changed."""

T = TypeVar("T")


class _TooMuch(Exception):
    """Raised when the files are more than we look at."""


async def fingerprint(git: Git, state_dir: str, path: str) -> str:
    """Empty when it cannot be told in bounds, or the repository is in no form that we read."""
    with anyio.move_on_after(_TIME_MAX_S):
        try:
            if await anyio.to_thread.run_sync(os.path.lexists, os.path.join(path, ".git")):
                return await _of_repository(git, state_dir, path)
            return await _in_thread(partial(_of_files, path))
        except (WorkspaceError, _TooMuch, OSError):
            return ""
    return ""


async def _of_repository(git: Git, state_dir: str, path: str) -> str:
    repository = await _in_thread(partial(read_repository, path))
    with shadow(state_dir, repository) as copy:
        names = await differences(git, copy, path, repository.head, os.path.join(copy, "index"))
    if sum(len(os.fsencode(name)) + 1 for name in names) > _LISTING_BYTES_MAX:
        return ""
    own = sorted(item for item in repository.references.items() if not item[0].startswith("refs/remotes/"))
    return await _in_thread(partial(_of_paths, path, names, repr((own, repository.heads))))


async def _in_thread(call: Callable[[], T]) -> T:
    """A cancelled look is left to end by itself: it is bounded."""
    return await anyio.to_thread.run_sync(call, abandon_on_cancel=True)


def _of_paths(root: str, names: Sequence[str], heads: str) -> str:
    digest = _Digest(root, heads)
    for name in names:
        digest.add(name)
        if name.endswith("/"):
            digest.add_below(name.rstrip("/"))  # a repository in the repository: git names it and does not look inside
    return digest.value()


def _of_files(root: str) -> str:
    digest = _Digest(root)
    digest.add_below("")
    return digest.value()


class _Digest:
    """Takes in paths, as many as we look at."""

    def __init__(self, root: str, heads: str = "") -> None:
        self._root = root
        self._made = hashlib.sha256(heads.encode())
        self._left = ENTRIES_MAX

    def value(self) -> str:
        return self._made.hexdigest()

    def add(self, name: str) -> None:
        self._count()
        try:
            found = os.lstat(os.path.join(self._root, name))
            line = f"{name}\0{found.st_mode:o} {found.st_size} {found.st_mtime_ns}\0"
        except (FileNotFoundError, NotADirectoryError):
            line = f"{name}\0gone\0"
        self._made.update(os.fsencode(line))

    def add_below(self, top: str) -> None:
        """Every file in a directory, at any depth; links are files and not followed."""
        waiting = [top]
        while waiting:
            directory = waiting.pop()
            for entry in self._entries(directory):
                name = os.path.join(directory, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                else:
                    self.add(name)

    def _entries(self, directory: str) -> list[os.DirEntry[str]]:
        found: list[os.DirEntry[str]] = []
        with os.scandir(os.path.join(self._root, directory)) as entries:
            for entry in entries:
                self._count()
                if directory or entry.name != DIRECTORY:
                    found.append(entry)
        return sorted(found, key=lambda entry: entry.name)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _TooMuch
