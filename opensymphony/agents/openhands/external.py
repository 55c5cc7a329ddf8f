"""An agent-server that is somebody else's: it is looked at and used, never started and never ended.

In: its address and where its session key is. Out: the endpoint, and how the server is right now. Its version is checked once
it answers; the key is read again when it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import anyio
import msgspec
from anyio.abc import TaskStatus

from opensymphony.agents.openhands.client import Client, Endpoint, KeyRefused
from opensymphony.agents.openhands.supervisor import ServerFailed
from opensymphony.errors import AgentServerError, OpenSymphonyError
from opensymphony.http import Token
from opensymphony.logs import get_logger
from opensymphony.model import ServerState

OLDEST_VERSION = (1, 44)
"""The first release with the numbered session socket."""
_LOOK_S = 5.0
_LOOK_AGAIN_S = 1.0

ReadKey = Callable[[], Awaitable[str]]

log = get_logger(__name__)


class ExternalServer:
    """Satisfies `server.Server`; `run` looks after it."""

    def __init__(self, base_url: str, read_key: ReadKey | None) -> None:
        """`read_key` reads the session key now; None for a server without one."""
        self._base_url = base_url.strip().rstrip("/")
        self._key = Token(read_key) if read_key is not None else None
        self._state = ServerState(status="starting", base_url=self._base_url)
        self._changed = anyio.Event()
        self._client = Client(self.endpoint, renew=self.renew_key, tls=self.tls)

    @property
    def tls(self) -> bool:
        return self._base_url.startswith("https:")

    def state(self) -> ServerState:
        """The server as last seen, without asking it."""
        return self._state

    def endpoint(self) -> Endpoint:
        """Its address with our key; always boot 1, since nobody tells us of its restarts."""
        return Endpoint(base_url=self._base_url, session_key=self._key.known if self._key else "", boot=1)

    async def wait_ready(self) -> Endpoint:
        """The address while the server answers; raises `ServerFailed` when it cannot be used at all, or we end."""
        while True:
            if self._state.status == "external" and not self._state.detail:
                return self.endpoint()
            if self._state.status in ("failed", "stopped"):
                raise ServerFailed(f"agent-server: {self._state.detail or 'it is not used any more'}")
            await self._changed.wait()

    async def wait_cleared(self) -> None:
        """Nothing of ours was left there: an earlier daemon's agents are known by their conversations."""

    def detach(self) -> None:
        """It goes on anyway."""

    async def renew_key(self, refused: str) -> bool:
        """Read the key again unless another request that was refused has done so; whether it is another one now."""
        return self._key is not None and await self._key.renewed(refused)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look at it until cancelled. Raises `ServerFailed` when it refuses our key or is too old.

        `ConfigurationError` when the key cannot be read.
        """
        try:
            if self._key is not None:
                await self._key.get()
            while True:
                await self._look(task_status)
                await anyio.sleep(_LOOK_S if not self._state.detail else _LOOK_AGAIN_S)
        except OpenSymphonyError as error:
            self._set("failed", str(error))
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await self._client.close()
            if self._state.status != "failed":
                self._set("stopped", "")

    async def _look(self, task_status: TaskStatus[None]) -> None:
        first = self._state.status == "starting"
        try:
            if await self._client.ready():
                if first:
                    version = _checked((await self._client.server_info()).version, self._base_url)
                    self._state = msgspec.structs.replace(self._state, version=version)
                    task_status.started()
                self._set("external", "")
                return
        except KeyRefused as error:
            remedy = "see openhands.transport.session_api_key_env"
            raise ServerFailed(f"agent-server: {self._base_url} does not take our session key: {remedy}") from error
        except ServerFailed:
            raise
        except AgentServerError as error:
            log.debug("the agent-server was not understood", error=str(error))
        self._set("starting" if first else "external", f"{self._base_url} does not answer")

    def _set(self, status: str, detail: str) -> None:
        if (self._state.status, self._state.detail) != (status, detail):
            self._state = msgspec.structs.replace(self._state, status=status, detail=detail)
            log.info("agent-server", status=status, detail=detail, base_url=self._base_url)
        self._changed.set()
        self._changed = anyio.Event()


def _checked(version: str, base_url: str) -> str:
    """A version we can work with. Raises `ServerFailed` for an older one."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise ServerFailed(
            f"agent-server: {base_url} is {version or 'of no version'}, and we need {oldest} or newer: update it"
        )
    return version
