"""One daemon at a time on a store or a workspace root."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import time
from pathlib import Path
from types import TracebackType

from opensymphony.errors import InstanceError
from opensymphony.private_files import make_private_directory

LOCK_FILE = ".opensymphony.lock"

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
_OWNER_TRIES = 20
_OWNER_PAUSE_S = 0.01
"""Between taking the lock and writing who took it."""


class InstanceLock:
    """Held from `acquire` until `release` or the death of the process; the file says who holds it."""

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises `InstanceError` naming the owner's pid and host when another process holds it, or why it cannot be held."""
        descriptor = None
        try:
            make_private_directory(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._hold(descriptor)
        except BaseException as error:
            if descriptor is not None:
                os.close(descriptor)
            if isinstance(error, OSError):
                raise InstanceError(
                    f"{self._what} cannot be used ({error.filename or self._path}: {error.strerror}): "
                    "make it a directory that this user can write, or name another"
                ) from error
            raise
        self._descriptor = descriptor

    def _hold(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InstanceError(
                f"another daemon ({_owner(descriptor)}) already uses {self._what}: stop it first, or choose another"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise InstanceError(
                f"{self._what} cannot be used: its file system has no locks ({error.strerror}), "
                "so two daemons could use it at once: choose a directory on a local disk"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> InstanceLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def refuse_nested(root: Path) -> None:
    """Raises `InstanceError` when a daemon works in a directory above `root`: it could remove ours as one of its workspaces."""
    for above in root.resolve().parents:
        try:
            descriptor = os.open(above / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InstanceError(
                f"the workspace root {root} lies inside {above}, which another daemon ({_owner(descriptor)}) uses: "
                "choose a directory beside it"
            ) from error
        except OSError:
            continue
        finally:
            os.close(descriptor)


def _owner(descriptor: int) -> str:
    """Who holds the lock. Right after it was taken, the file still says who held it before, or nothing."""
    said = ""
    for _ in range(_OWNER_TRIES):
        said = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        if said and not _is_over(said):
            return said if said.isprintable() else ascii(said)
        time.sleep(_OWNER_PAUSE_S)
    return f"unknown; the last one was {ascii(said)[1:-1]}" if said else "unknown"


def _is_over(owner: str) -> bool:
    """Whether this names a process of this machine that has ended."""
    found = re.fullmatch(r"pid ([0-9]{1,10}) on (.*)", owner)
    if found is None or found[2] != socket.gethostname():
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
