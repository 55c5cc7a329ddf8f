"""Whether there is nothing left to do: what `run --once` and the demo wait for."""

from __future__ import annotations

import anyio

from opensymphony.daemon.loop import Loop
from opensymphony.daemon.poller import Poller
from opensymphony.errors import AgentServerError
from opensymphony.scheduler.dispatch import nothing_starts
from opensymphony.scheduler.state import State

_LOOK_S = 0.5
"""A look that changes nothing wakes nobody."""


def at_rest(state: State) -> bool:
    """Nothing runs, nothing is wanted, nothing is due and nothing could start."""
    if state.running or state.pending:
        return False
    # What is ready has been started as far as it may be; what waits for a pause, a budget or a disk keeps nobody.
    return nothing_starts(state) is not None or not any(entry.phase == "retrying" for entry in state.entries.values())


async def wait_for_rest(loop: Loop, poller: Poller) -> None:
    """Return once the state is at rest and a further look at the tracker changes nothing about that.

    Raises the `ServiceError` that keeps us from looking, or `AgentServerError` when the agent-server was given up: a
    board that nobody can read, or work on, is not one without work.
    """
    while True:
        while not (poller.polls and at_rest(loop.state)):
            with anyio.move_on_after(_LOOK_S):
                await loop.changed()
        before = loop.sequence
        await poller.poll()
        await loop.settled()
        if loop.sequence == before and at_rest(loop.state):
            if poller.trouble is not None:
                raise poller.trouble
            if loop.state.server_error is not None:
                raise AgentServerError(loop.state.server_error)
            return
