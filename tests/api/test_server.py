"""Serving inside a task group."""

from __future__ import annotations

import signal
from functools import partial

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from opensymphony.api.server import abort_of, serve_app


async def test_the_bound_port_is_told_and_given_back() -> None:
    """`start` returns the port of a listener that answers; after cancelling, the port is free again."""
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])
    for _ in range(2):
        async with anyio.create_task_group() as tasks:
            port: int = await tasks.start(partial(serve_app, app, "127.0.0.1", 0))
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"http://127.0.0.1:{port}/")).text == "here"
            tasks.cancel_scope.cancel()
        with pytest.raises(OSError):
            await anyio.connect_tcp("127.0.0.1", port)


async def test_a_port_in_use_is_an_error() -> None:
    """A taken port raises at once and names no traceback of the server's."""
    app = Starlette()
    async with anyio.create_task_group() as tasks:
        port: int = await tasks.start(partial(serve_app, app, "127.0.0.1", 0))
        with pytest.raises(OSError):
            await serve_app(app, "127.0.0.1", port)
        tasks.cancel_scope.cancel()


async def test_signals_stay_ours() -> None:
    """Serving installs no signal handler."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with anyio.create_task_group() as tasks:
        await tasks.start(partial(serve_app, Starlette(), "127.0.0.1", 0))
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
        tasks.cancel_scope.cancel()


async def test_a_request_in_flight_ends_before_we_do() -> None:
    """Cancelling waits for a request that is being answered."""
    asked = anyio.Event()

    async def slow(request: Request) -> Response:
        asked.set()
        await anyio.sleep(0.3)
        return PlainTextResponse("late")

    app = Starlette(routes=[Route("/", slow)])
    answers: list[str] = []

    async def ask(port: int) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            answers.append((await client.get(f"http://127.0.0.1:{port}/")).text)

    async with anyio.create_task_group() as clients, anyio.create_task_group() as tasks:
        port: int = await tasks.start(partial(serve_app, app, "127.0.0.1", 0))
        clients.start_soon(ask, port)
        await asked.wait()
        tasks.cancel_scope.cancel()
    assert answers == ["late"]


async def test_a_connection_can_be_cut_off() -> None:
    """Not only ended in good order, which waits for whoever does not read; under another server there is no way."""
    assert abort_of({"type": "http"}) is None

    async def cut(request: Request) -> Response:
        abort = abort_of(request.scope)
        assert abort is not None
        abort()
        return PlainTextResponse("never seen")

    async with anyio.create_task_group() as tasks:
        port: int = await tasks.start(partial(serve_app, Starlette(routes=[Route("/", cut)]), "127.0.0.1", 0))
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"http://127.0.0.1:{port}/")
        tasks.cancel_scope.cancel()


async def test_streams_are_told_before_the_end() -> None:
    """So that they end by themselves instead of being cut."""
    told: list[str] = []
    async with anyio.create_task_group() as tasks:
        await tasks.start(partial(serve_app, Starlette(), "127.0.0.1", 0, closing=lambda: told.append("closing")))
        assert told == []
        tasks.cancel_scope.cancel()
    assert told == ["closing"]
