"""Clears up behind a `doctor` that was killed: a process of its own that waits for the other one to be gone.

In: a directory, the number of an open descriptor of it, the nonce of what is started for it, and on standard input a pipe
that the doctor holds open. Out: a dot on standard output as soon as it waits. When the pipe ends, whatever is still there is
ended and removed; after a doctor that has cleared up itself that is nothing. What has come into the place of the directory
meanwhile is somebody else's.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from opensymphony.agents import end_left_running
from opensymphony.errors import OpenSymphonyError
from opensymphony.processes import end_all

STATE = "state"
"""Below the directory: what belongs to the agent-server."""


def is_held(directory: Path, held: int) -> bool:
    """Whether it is our own, and still the one that was opened: as long as that is open, no other one gets its number."""
    try:
        opened, found = os.fstat(held), os.lstat(directory)
    except OSError:
        return False
    return os.path.samestat(opened, found) and found.st_uid == os.geteuid()


async def clear(directory: Path, held: int, nonce: str) -> None:
    """End everything, then remove the directory."""
    await end_all(nonce)
    if not is_held(directory, held):
        return
    try:
        await end_left_running(directory / STATE)
    except OpenSymphonyError:  # its doctor lives after all, and clears up itself
        return
    await anyio.to_thread.run_sync(partial(shutil.rmtree, directory, ignore_errors=True))


def main() -> None:
    """Wait for the end of standard input."""
    directory, held, nonce = sys.argv[1:]
    os.write(sys.stdout.fileno(), b".")
    sys.stdin.buffer.read()
    anyio.run(clear, Path(directory), int(held), nonce)


if __name__ == "__main__":
    main()
