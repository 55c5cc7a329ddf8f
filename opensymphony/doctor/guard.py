"""Clears up behind a `doctor` that was killed: a process of its own that waits for the other one to be gone.

In: a directory, the nonce of what is started for it, and on standard input a pipe that the doctor holds open. When the pipe
ends, whatever is still there is ended and removed; after a doctor that has cleared up itself that is nothing.
"""

from __future__ import annotations

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


async def clear(directory: Path, nonce: str) -> None:
    """End everything, then remove the directory."""
    await end_all(nonce)
    try:
        await end_left_running(directory / STATE)
    except OpenSymphonyError:  # its doctor lives after all, and clears up itself
        return
    await anyio.to_thread.run_sync(partial(shutil.rmtree, directory, ignore_errors=True))


def main() -> None:
    """Wait for the end of standard input."""
    directory, nonce = sys.argv[1:]
    sys.stdin.buffer.read()
    anyio.run(clear, Path(directory), nonce)


if __name__ == "__main__":
    main()
