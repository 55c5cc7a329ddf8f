"""Take directories out of the workspace root: for good, or out of the way.

In: a directory below the root. Out: nothing where it was. Both begin with a rename, so that a half-removed directory is never
mistaken for a workspace; no link is followed, and neither depth nor directories that forbid writing stop us.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from opensymphony.clock import new_id
from opensymphony.errors import WorkspaceError

TRASH = ".trash"
SET_ASIDE = ".set-aside"


def remove(root: str, key: str) -> str:
    """Remove `<root>/<key>`; what could not be deleted stays in the trash and is named in the answer."""
    if not os.path.lexists(os.path.join(root, key)):
        return ""
    trash = _move(root, key, TRASH)
    return "" if _delete(trash) else f"some of it could not be deleted and is left in {trash}"


def set_aside(root: str, key: str) -> str:
    """Move `<root>/<key>` to a new name below `.set-aside`, where nothing of ours looks, and return that name."""
    return _move(root, key, SET_ASIDE)


def sweep(root: str) -> None:
    """Delete what an interrupted removal left in the trash."""
    trash = os.path.join(root, TRASH)
    if os.path.isdir(trash) and not os.path.islink(trash):
        with suppress(OSError):
            for name in os.listdir(trash):
                _delete(os.path.join(trash, name))


def _move(root: str, key: str, place: str) -> str:
    parent = os.path.join(root, place)
    target = os.path.join(parent, f"{key}-{new_id()[:8]}")
    try:
        with suppress(FileExistsError):
            os.mkdir(parent, 0o700)
        if not stat.S_ISDIR(os.lstat(parent).st_mode):
            raise WorkspaceError(f"{parent} is not a directory: remove it", error_class="person")
        os.rename(os.path.join(root, key), target)
    except OSError as error:
        message = f"{os.path.join(root, key)} could not be moved to {parent}: {error.strerror}; move it away by hand"
        raise WorkspaceError(message, error_class="person") from error
    return target


def _delete(top: str) -> bool:
    """Delete a tree by moving every directory found in it up to the top first: no recursion, no path that gets too long."""
    whole = True
    pending = [top]
    emptied: list[str] = []
    while pending:
        directory = pending.pop()
        if directory != top:
            emptied.append(directory)
        whole &= _empty(directory, top, pending)
    for directory in [*emptied, top]:
        try:
            os.rmdir(directory)
        except OSError:
            whole = False
    return whole


def _empty(directory: str, top: str, pending: list[str]) -> bool:
    """Unlink the files of one directory and move its directories to `top`, adding them to `pending`."""
    whole = True
    try:
        os.chmod(directory, 0o700)
        with os.scandir(directory) as found:
            entries = list(found)
    except OSError:
        return False
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, 0o700)
                target = os.path.join(top, f".{len(pending)}-{new_id()}")
                os.rename(entry.path, target)
                pending.append(target)
            else:
                os.unlink(entry.path)
        except OSError:
            whole = False
    return whole
