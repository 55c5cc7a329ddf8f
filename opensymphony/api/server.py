"""Serve an ASGI app inside the caller's task group: a bound port goes out; signals stay the daemon's own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator, Mapping
from typing import Any

import anyio
import uvicorn
from anyio.abc import TaskStatus
from uvicorn.protocols.http.h11_impl import H11Protocol

_SHUTDOWN_S = 2
"""For requests in flight when we end; streams that never end by themselves are cut after it."""
_STARTUP_POLL_S = 0.01


_ABORT = "opensymphony.abort"


def abort_of(scope: Mapping[str, Any]) -> Callable[[], None] | None:
    """Cuts the connection of a request off at once, with what was not sent yet; None under another server."""
    return scope.get("state", {}).get(_ABORT)


async def serve_app(
    app: Any,
    host: str,
    port: int,
    *,
    closing: Callable[[], None] = lambda: None,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
    backlog: int = 128,
) -> None:
    """Serve until cancelled; `await task_group.start(serve_app, ...)` returns the bound port (`port` 0: any free one).

    Cancelling lets requests in flight end for two seconds; `closing` is called before, so that streams end. Raises `OSError`
    when the port is taken.
    """
    listener = _listen(host, port, backlog)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    server = _Server(config)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_serve, server, listener, tasks.cancel_scope)
            try:
                while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                    await anyio.sleep(_STARTUP_POLL_S)
                task_status.started(listener.getsockname()[1])
                await anyio.sleep_forever()
            finally:
                closing()
                server.should_exit = True
    finally:
        listener.close()


class _Protocol(H11Protocol):
    """An ordinary close waits until everything is sent: for ever, when the other side does not read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self.app_state = {**self.app_state, _ABORT: transport.abort}


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _serve(server: uvicorn.Server, listener: socket.socket, scope: anyio.CancelScope) -> None:
    # Shielded: uvicorn closes its connections only when it ends by itself, which `should_exit` makes it do.
    with anyio.CancelScope(shield=True):
        await server.serve(sockets=[listener])
    scope.cancel()


def _listen(host: str, port: int, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's delay off only for sockets that name TCP: 40 ms an answer otherwise.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
