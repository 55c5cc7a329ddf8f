"""Serve an ASGI app inside the caller's task group: a bound port goes out; signals stay the daemon's own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator, Mapping
from typing import Any

import anyio
import h11
import uvicorn
from anyio.abc import TaskStatus
from uvicorn.protocols.http.h11_impl import H11Protocol

_SHUTDOWN_S = 2
"""For requests in flight when we end; streams that never end by themselves are cut after it."""
_STARTUP_POLL_S = 0.01
_REQUEST_S = 10
"""In which the head of a request has to come, from the start of the connection or the answer before."""
_UNREAD_S = 30
"""After so long without taking anything of its answer, a client is gone."""
_CONNECTIONS_MAX = 512
"""Half of the files that a process may have open by default; the readers of events are among them."""

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
        log_level="error",  # what is no HTTP would be a line each: whoever reaches the port could fill the log
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
    """Nobody holds a connection without asking or reading; what uvicorn lets wait for ever has an end here.

    An ordinary close is one of these things: it waits until everything is sent.
    """

    _deadline: asyncio.TimerHandle | None = None
    """While no request is being answered."""
    _unread: asyncio.TimerHandle | None = None
    """While the other side does not read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self.app_state = {**self.app_state, _ABORT: transport.abort}
        if len(self.connections) > _CONNECTIONS_MAX:
            transport.abort()
        else:
            self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._deadline, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete and self._deadline is not None:
            self._deadline.cancel()

    def on_response_complete(self) -> None:
        self._expect_request()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Only where none is being answered: there is no room for two answers."""
        if self.conn.our_state is h11.IDLE:
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_unread(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def _expect_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(_REQUEST_S, self.transport.abort)

    def _watch_unread(self, left: int) -> None:
        def look() -> None:
            now_left = self.transport.get_write_buffer_size()
            if now_left >= left:
                self.transport.abort()
            else:
                self._watch_unread(now_left)

        self._unread = self.loop.call_later(_UNREAD_S, look)


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
