"""Files and directories of the daemon's own, readable by its user alone, and replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


def make_private_directory(path: Path) -> None:
    """Make it and what is missing above it, each 0700; what is there already stays as it is."""
    missing = [path, *path.parents]
    for directory in reversed([place for place in missing if not place.exists()]):
        directory.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Replace the file (0600), durably; a reader never sees half of it, and a link in the way is not followed."""
    write_private_parts(path, [content])


def write_private_parts(path: Path, parts: Iterable[bytes]) -> None:
    """The same from many parts, which are never in memory together. What was there stays when one cannot be had."""
    new = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _keep_name(path.parent)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _keep_name(directory: Path) -> None:
    """A new name in a directory outlives a power cut only once the directory is on disk; not every file system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
