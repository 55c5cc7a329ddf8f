"""How a boot of the daemon ends, and what the next one does about one that did not end well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio

from opensymphony import processes
from opensymphony.daemon.loop import Loop
from opensymphony.logs import get_logger
from opensymphony.private_files import write_private
from opensymphony.scheduler import events as e

_DRAIN_MS = 60_000
"""For interrupting agents and their last stages; a second signal ends the wait."""

_DRAIN_UNWRITABLE_MS = 10_000
"""The same while the journal cannot be written: no stop can be decided before there is room."""

_END_CHILDREN_S = 30

log = get_logger(__name__)


async def drain(loop: Loop) -> None:
    """Stop what runs and see its last stages through, within a limit."""
    limit_ms = _DRAIN_MS if loop.storage_error is None else _DRAIN_UNWRITABLE_MS
    with anyio.move_on_after(limit_ms / 1000):
        await loop.post(e.ShutdownRequested(at_ms=loop.clock.now_ms()))
        await loop.settled()
        while loop.state.running or loop.state.pending:
            await loop.changed()
    if loop.state.running:
        log.warning("not every run could be stopped in time", runs=len(loop.state.running))


async def leave(loop: Loop, detach: Callable[[], None]) -> None:
    """What has come back is made durable, and the agent-server is left as it is; whatever is in flight is taken up again."""
    detach()
    with anyio.move_on_after(_DRAIN_UNWRITABLE_MS / 1000):
        await loop.settled()
    log.info("leaving the agents at work", runs=len(loop.state.running))


async def end_children(nonce: str) -> None:
    """End everything that bears the mark of this boot."""
    with anyio.move_on_after(_END_CHILDREN_S, shield=True):
        await processes.end_all(nonce)


async def end_last_boot(store: Path, nonce: str) -> None:
    """End the hooks, checks and git that a boot before us left running; leave our own nonce for the boot after us."""
    record = store / "boot"
    last = record.read_text().strip() if record.exists() else ""
    ended = await processes.end_all(last) if last else 0
    if ended:
        log.warning("ended processes that the last boot left behind", processes=ended)
    write_private(record, nonce.encode())
