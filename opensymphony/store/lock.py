"""One daemon at a time on a store or a workspace root."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from types import TracebackType

from opensymphony.errors import InstanceError
from opensymphony.private_files import make_private_directory


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
            owner = os.read(descriptor, 200).decode(errors="replace").strip() or "unknown"
            raise InstanceError(
                f"another daemon ({owner}) already uses {self._what}: stop it first, or choose another"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> InstanceLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
