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

    def __init__(
        self,
        loop: Loop,
        server: Callable[[], ServerState],
        refresh: Callable[[], str | None],
        *,
        next_poll_ms: Callable[[], int | None] = lambda: None,
        policy_error_since_ms: Callable[[], int | None] = lambda: None,
    ) -> None:
        """The last two are what the shell knows and the journal does not."""
        self._next_poll_ms = next_poll_ms
        self._policy_error_since_ms = policy_error_since_ms
        self._loop = loop
        self._server = server
        self._refresh = refresh
        self.status: Status = "starting"
        self._cached: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """As of the last durable record."""
        server = self._server()
        status: Status = "draining" if self.status == "running" and self._loop.state.draining else self.status
        cached = self._cached
        if (
            cached is None
            or cached.sequence != self._loop.sequence
            or cached.server != server
            or cached.status != status
        ):
            cached = snapshot(
                self._loop.state,
                sequence=self._loop.sequence,
                at_ms=self._loop.clock.now_ms(),
                server=server,
                status=status,
            )
        beside = (self._next_poll_ms(), self._policy_error_since_ms() if cached.policy_error else None)
        if beside != (cached.next_poll_ms, cached.policy_error_since_ms):
            cached = structs.replace(cached, next_poll_ms=beside[0], policy_error_since_ms=beside[1])
        self._cached = cached
        return cached

    def refresh(self) -> str | None:
        return self._refresh()

    async def changed(self) -> None:
        """Return at the next change."""
        await self._loop.changed()
