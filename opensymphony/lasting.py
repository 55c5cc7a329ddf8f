"""Processes that go on when the daemon ends: they are started so that they can, watched, and found again by the next life.

In: a command line, or the pid and start time of a process that an earlier life has started. Out: something to watch and to end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess  # noqa: TID251
import sys
from collections.abc import Mapping, Sequence

import anyio

from opensymphony.processes import is_alive, list_processes, process_start_time

_PR_SET_DUMPABLE = 4
_LOOK_S = 0.2


class LastingProcess:
    """A process that goes on when we end: our own child, or one that an earlier life of ours began.

    asyncio ends its children with itself, so this is none of its.
    """

    def __init__(self, pid: int, start_time: int | None, *, child: bool) -> None:
        self.pid = pid
        self._start_time = start_time
        self._child = child
        self._alive = True
        self._exit_code: int | None = None

    @property
    def alive(self) -> bool:
        """Whether it still runs; a child that has ended is reaped by asking."""
        if self._alive and self._child:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self._alive, self._exit_code = False, os.waitstatus_to_exitcode(status)
        elif self._alive:
            self._alive = is_alive(self.pid, self._start_time)
        return self._alive

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and for one that is no child of ours."""
        return None if self.alive else self._exit_code

    async def wait(self) -> None:
        """Return when it has ended."""
        try:
            handle = os.pidfd_open(self.pid)
        except (OSError, AttributeError):
            while self.alive:  # noqa: ASYNC110
                await anyio.sleep(_LOOK_S)
            return
        try:
            while self.alive:
                await anyio.wait_readable(handle)
        finally:
            os.close(handle)

    def terminate(self) -> None:
        """Ask it to end, if it is still this very process."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGTERM)


def start_lasting(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdin: int, output: int) -> LastingProcess:
    """Start a child in a session of its own that goes on when we end. Blocking.

    Raises `OSError` when there is no such program.
    """
    process = subprocess.Popen(
        list(argv), cwd=cwd, env=dict(env), stdin=stdin, stdout=output, stderr=output, start_new_session=True
    )
    made = LastingProcess(process.pid, process_start_time(process.pid), child=True)
    process.returncode = 0  # the end is waited for by us: Popen shall neither wait nor warn
    return made


def terminate_innermost(process: LastingProcess, nonce: str) -> None:
    """Ask the program in a namespace of its own to end: who started it there, and the init there, pass no signal on. Blocking.

    A program that runs directly is asked itself.
    """
    found = list_processes(nonce)
    inits = {one.pid for one in found if one.parent == process.pid and _is_init(one.pid)}
    inside = [one for one in found if one.parent in inits]
    if not inside:
        process.terminate()
        return
    first = min(inside, key=lambda one: one.start_time)
    LastingProcess(first.pid, first.start_time, child=False).terminate()


def _is_init(pid: int) -> bool:
    """Whether the process is number 1 in a namespace of its own."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            numbers = next(line.split()[1:] for line in file if line.startswith(b"NSpid:"))
    except (OSError, StopIteration):
        return False
    return len(numbers) > 1 and numbers[-1] == b"1"


def forbid_dumps() -> None:
    """Keep other programs of this user from reading our memory and environment, and the system from writing them to a file.

    Linux only; children are not affected.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
