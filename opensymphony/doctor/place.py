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
from opensymphony.doctor.guard import STATE, is_held

PREFIX = "os-doctor-"
_BASE_MAX = 18
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
        self.held = -1
        """An open descriptor of the directory, by which it is known again."""

    def make(self) -> None:
        """Below the directory, which is there. Raises `OSError`. Blocking."""
        self.held = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        for directory in (self.state, self.conversations, self.workspaces, self.home):
            directory.mkdir(mode=0o700)

    async def remove(self) -> None:
        """End what is left, and take the directory away, if it is still ours. Raises `OSError` and `OpenSymphonyError`."""
        await processes.end_all(self.nonce)
        if is_held(self.directory, self.held):
            await end_left_running(self.state)
            await anyio.to_thread.run_sync(shutil.rmtree, self.directory)

    def close(self) -> None:
        """From now on nothing there is ours."""
        if self.held >= 0:
            os.close(self.held)
            self.held = -1


@asynccontextmanager
async def open_place() -> AsyncGenerator[Place]:
    """Gone at the end, however that comes. Raises `OSError`."""
    # Made under a name that nobody has, before anybody can learn it from a command line: what is cleared up is ours.
    place = Place(Path(tempfile.mkdtemp(prefix=PREFIX, dir=_base())), new_id())
    guard: Process | None = None
    ours = -1
    try:
        place.make()
        guard, ours = await _start_guard(place)  # before anything is started
        yield place
    finally:
        with anyio.CancelScope(shield=True):
            with suppress(Exception):  # the guard does it once more
                await place.remove()
            place.close()
            if guard is not None:
                os.close(ours)
                with anyio.move_on_after(_GUARD_S):
                    await guard.wait()


def _base() -> Path:
    base = tempfile.gettempdir()
    if len(base) > _BASE_MAX and os.access("/tmp", os.W_OK | os.X_OK):
        base = "/tmp"
    return Path(os.path.realpath(base))


async def _start_guard(place: Place) -> tuple[Process, int]:
    """With the end of its pipe that is ours."""
    stdin, ours = os.pipe()
    output = os.open(os.devnull, os.O_WRONLY)
    try:
        guard = await processes.start(
            [sys.executable, "-m", "opensymphony.doctor.guard", str(place.directory), str(place.held), place.nonce],
            cwd="/",
            env=processes.scrubbed_environment(new_id()),
            stdin=stdin,
            output=output,
            pass_fds=(place.held,),
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(output)
        os.close(stdin)
    return guard, ours
