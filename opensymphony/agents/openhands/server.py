"""What the parts of the runtime ask of the agent-server behind them; a supervised one is such, and so is one of others."""

from __future__ import annotations

from typing import Protocol

from opensymphony.agents.openhands.client import Endpoint
from opensymphony.model import ServerState


class Server(Protocol):
    """The agent-server that a runtime works on; the supervisor of a managed one is such."""

    async def wait_ready(self) -> Endpoint:
        """The address once the server answers; raises `AgentServerError` when nobody starts it any more."""
        ...

    async def wait_cleared(self) -> None:
        """Return when no server of an earlier daemon, and nothing it started, is left."""
        ...

    @property
    def tls(self) -> bool:
        """Whether it is spoken to over TLS."""
        ...

    async def renew_key(self, refused: str) -> bool:
        """Read the session key again after `refused` was not taken; whether it is another one now."""
        ...

    def endpoint(self) -> Endpoint:
        """The newest address, whether or not somebody listens; raises `AgentServerError` before the first start."""
        ...

    def state(self) -> ServerState:
        """How it is, without asking it."""
        ...
