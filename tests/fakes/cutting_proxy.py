"""A TCP proxy in front of an agent-server that cuts connections, or loses an answer, on request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import msgspec
from anyio.abc import SocketStream

from opensymphony.agents.openhands.client import Endpoint
from opensymphony.agents.openhands.server import Server
from opensymphony.model import ServerState


class CuttingProxy:
    """Satisfies `server.Server`."""

    def __init__(self, behind: Server) -> None:
        self._behind = behind
        self._open: set[SocketStream] = set()
        self.port = 0
        self.cuts = 0
        self.key: str | None = None
        """Told to who asks for the endpoint, in place of the server's."""
        self.lose_answer_to = b""
        """The next request whose head has this is heard by the server, and its answer is lost."""

    def endpoint(self) -> Endpoint:
        found = msgspec.structs.replace(self._behind.endpoint(), base_url=f"http://127.0.0.1:{self.port}")
        return found if self.key is None else msgspec.structs.replace(found, session_key=self.key)

    tls = False

    async def renew_key(self, refused: str) -> bool:
        return False

    async def wait_cleared(self) -> None:
        await self._behind.wait_cleared()

    async def wait_ready(self) -> Endpoint:
        await self._behind.wait_ready()
        return self.endpoint()

    def state(self) -> ServerState:
        return self._behind.state()

    async def cut(self) -> None:
        for stream in list(self._open):
            self.cuts += 1
            await stream.aclose()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        self.port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._handle)
            yield
            tasks.cancel_scope.cancel()

    async def _handle(self, client: SocketStream) -> None:
        port = int(self._behind.endpoint().base_url.rpartition(":")[2])
        try:
            server = await anyio.connect_tcp("127.0.0.1", port)
        except OSError:
            await client.aclose()
            return
        async with client, server, anyio.create_task_group() as tasks:
            self._open |= {client}
            line = _Line()
            tasks.start_soon(self._ask, line, client, server, tasks.cancel_scope)
            tasks.start_soon(self._answer, line, server, client, tasks.cancel_scope)
        self._open -= {client}

    async def _ask(self, line: _Line, client: SocketStream, server: SocketStream, scope: anyio.CancelScope) -> None:
        try:
            async for chunk in client:
                if self.lose_answer_to and self.lose_answer_to in chunk:
                    self.lose_answer_to, line.loses = b"", True
                await server.send(chunk)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        scope.cancel()

    async def _answer(self, line: _Line, server: SocketStream, client: SocketStream, scope: anyio.CancelScope) -> None:
        try:
            async for chunk in server:
                if line.loses:
                    break
                await client.send(chunk)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        scope.cancel()


class _Line:
    """One connection through the proxy."""

    loses = False
