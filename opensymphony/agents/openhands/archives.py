"""Puts conversations of closed tickets away, and takes those of re-opened tickets out again.

In: the server's directory of conversations, the archive beside it, and which belong where. Out: each a directory in
its place. Only to be called while no server runs: it keeps its catalogue in memory, and a directory that comes or goes
under it is an error to it. A ticket that is re-opened while the server runs begins a new conversation under the same
id; the older one then stays archived.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from opensymphony.logs import get_logger
from opensymphony.private_files import make_private_directory

_NAME = re.compile(r"[0-9a-f]{32}")
_OLDER_MAX = 9_999

log = get_logger(__name__)


def put_in_order(
    conversations: Path, archived: Path, *, closed: Collection[str], wanted: Collection[str]
) -> tuple[int, int]:
    """Move what is in the wrong place; how many were put away and how many were taken out. Blocking; never raises.

    `closed` and `wanted` are ids; what is in neither stays where it is.
    """
    away, out = _names(closed), _names(wanted)
    put, taken = 0, 0
    try:
        put = sum(_put_away(conversations, archived, name) for name in _directories(conversations) if name in away)
        taken = sum(_take_out(conversations, archived, name) for name in _directories(archived) if name in out)
    except OSError as error:
        log.warning("conversations could not be archived", directory=error.filename, error=error.strerror)
    if put or taken:
        log.info("conversations archived", archived=put, taken_out=taken)
    return put, taken


def _names(ids: Collection[str]) -> frozenset[str]:
    """Directories are named by the id without its dashes."""
    return frozenset(one.replace("-", "") for one in ids)


def _directories(parent: Path) -> list[str]:
    """Names of the directories in it that a conversation may have; no links."""
    try:
        with os.scandir(parent) as found:
            return sorted(entry.name for entry in found if _is_conversation(entry))
    except FileNotFoundError:
        return []


def _is_conversation(entry: os.DirEntry[str]) -> bool:
    return _NAME.fullmatch(entry.name) is not None and entry.is_dir(follow_symlinks=False)


def _put_away(conversations: Path, archived: Path, name: str) -> bool:
    make_private_directory(archived)
    if archived.is_symlink():
        return False
    target = archived / name
    if os.path.lexists(target):  # of an earlier life of the ticket
        older = next((n for n in range(1, _OLDER_MAX + 1) if not os.path.lexists(f"{target}.{n}")), None)
        if older is None:
            return False
        target.rename(f"{target}.{older}")
    (conversations / name).rename(target)
    with suppress(OSError):
        os.utime(target, follow_symlinks=False)  # how long it has been archived is how old its directory is
    return True


def _take_out(conversations: Path, archived: Path, name: str) -> bool:
    if os.path.lexists(conversations / name):
        return False
    (archived / name).rename(conversations / name)
    return True
