"""What the daemon offers to its doors: read the picture, ask for a look, ask it to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import structs

from opensymphony.daemon.loop import Loop
from opensymphony.model import ServerState
from opensymphony.scheduler.view import snapshot
from opensymphony.views import Snapshot

Status = Literal["starting", "running", "draining", "stopped"]


class DaemonControl:
    """Implements `api.routes.Control` over the loop's state; reads never wait and never change anything."""

    def __init__(self, loop: Loop, server: Callable[[], ServerState], refresh: Callable[[], None]) -> None:
        self._loop = loop
        self._server = server
        self._refresh = refresh
        self.status: Status = "starting"
        self._cached: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """As of the last durable record; while the journal cannot be written, with what waits to be."""
        server, storage_error = self._server(), self._loop.storage_error or self._loop.state.storage_error
        status: Status = "draining" if self.status == "running" and self._loop.state.draining else self.status
        cached = self._cached
        if (
            cached is None
            or cached.sequence != self._loop.sequence
            or cached.server != server
            or cached.status != status
            or cached.storage_error != storage_error
        ):
            cached = snapshot(
                self._loop.state,
                sequence=self._loop.sequence,
                at_ms=self._loop.clock.now_ms(),
                server=server,
                status=status,
            )
            self._cached = cached = structs.replace(cached, storage_error=storage_error)
        return cached

    def refresh(self) -> None:
        self._refresh()

    async def changed(self) -> None:
        """Return at the next change."""
        await self._loop.changed()
