"""The directory in which everything is tried; with it goes a guard, so that a kill leaves nothing either."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import Process

from opensymphony import processes
from opensymphony.agents import end_left_running
from opensymphony.clock import new_id
from opensymphony.doctor.guard import STATE

PREFIX = "os-doctor-"
_BASE_MAX = 20
"""Characters of the directory for temporary files: below a longer one the sockets of tmux have no room for their paths."""
_GUARD_S = 10.0


class Place:
    """Where things are; `nonce` marks what is started besides the agent-server."""

    def __init__(self, directory: Path, nonce: str) -> None:
        self.directory = directory
        self.nonce = nonce
        self.state = directory / STATE
        self.conversations = directory / "conversations"
        self.workspaces = directory / "workspaces"
        self.home = directory / "home"

    def make(self) -> None:
        """Raises `OSError`. Blocking."""
        for directory in (self.directory, self.state, self.conversations, self.workspaces, self.home):
            directory.mkdir(mode=0o700)

    async def remove(self) -> None:
        """End what is left, and take the directory away. Raises `OSError` and `OpenSymphonyError`."""
        await processes.end_all(self.nonce)
        if self.directory.exists():
            await end_left_running(self.state)
            await anyio.to_thread.run_sync(shutil.rmtree, self.directory)


@asynccontextmanager
async def open_place() -> AsyncGenerator[Place]:
    """Gone at the end, however that comes. Raises `OSError`."""
    place = Place(_base() / f"{PREFIX}{new_id()[-6:]}", new_id())
    guards, ours = os.pipe()
    try:
        guard = await _start_guard(place, guards)  # before there is anything to clear up
        try:
            place.make()
            yield place
        finally:
            with anyio.CancelScope(shield=True):
                with suppress(Exception):  # the guard does it once more
                    await place.remove()
                os.close(ours)
                ours = -1
                with anyio.move_on_after(_GUARD_S):
                    await guard.wait()
    finally:
        if ours >= 0:
            os.close(ours)


def _base() -> Path:
    base = tempfile.gettempdir()
    if len(base) > _BASE_MAX and os.access("/tmp", os.W_OK | os.X_OK):
        base = "/tmp"
    return Path(os.path.realpath(base))


async def _start_guard(place: Place, stdin: int) -> Process:
    output = os.open(os.devnull, os.O_WRONLY)
    try:
        return await processes.start(
            [sys.executable, "-m", "opensymphony.doctor.guard", str(place.directory), place.nonce],
            cwd="/",
            env=processes.scrubbed_environment(new_id()),
            stdin=stdin,
            output=output,
        )
    finally:
        os.close(output)
        os.close(stdin)
