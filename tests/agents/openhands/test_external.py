"""An agent-server that is somebody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from opensymphony.agents.openhands import external as external_module
from opensymphony.agents.openhands.client import Client
from opensymphony.agents.openhands.external import ExternalServer
from opensymphony.agents.openhands.supervisor import ServerFailed
from tests.agents.openhands.fakes import FakeServer, always


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    monkeypatch.setattr(external_module, "_LOOK_S", 0.02)
    monkeypatch.setattr(external_module, "_LOOK_AGAIN_S", 0.02)
    async with FakeServer().serving() as server:
        yield server


def keyed(wanted: list[str]) -> object:
    async def answer(request: Request) -> Response:
        taken = request.headers.get("X-Session-API-Key") == wanted[0]
        return JSONResponse(1, 200) if taken else JSONResponse({"detail": "Unauthorized"}, 401)

    return answer


def answers(fake: FakeServer, prefix: str, wanted: list[str], version: str = "1.58.0") -> None:
    fake.answers |= {
        f"GET {prefix}/ready": always({"status": "ready"}),
        f"GET {prefix}/server_info": always({"version": version}),
        f"GET {prefix}{'/api/conversations' if prefix else ''}/count": keyed(wanted),  # type: ignore[dict-item]
    }


class Keys:
    """Where the key is; it may be renewed."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.reads = 0

    async def __call__(self) -> str:
        self.reads += 1
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]


def made(fake: FakeServer, keys: Keys | None, prefix: str = "/a/b") -> ExternalServer:
    return ExternalServer(f"{fake.endpoint().base_url}{prefix}/", keys)


@pytest.mark.parity("stopping_external_never_kills")
@pytest.mark.parity("external_path_prefix")
@pytest.mark.parity("path_prefixed_base_urls_preserve_auth")
async def test_it_is_used_below_its_path_and_never_ended(fake: FakeServer) -> None:
    """Every request keeps the path that a proxy adds; at the end of ours nothing is asked of it."""
    answers(fake, "/a/b", ["k"])
    server = made(fake, Keys("k"))
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(20):
            await tasks.start(server.run)
            endpoint = await server.wait_ready()
        state = server.state()
        assert (state.status, state.version, state.pid, state.detail) == ("external", "1.58.0", None, "")
        assert (endpoint.base_url, endpoint.session_key) == (f"{fake.endpoint().base_url}/a/b", "k")
        tasks.cancel_scope.cancel()
    assert {request.split()[0] for request in fake.requests} == {"GET"}
    with pytest.raises(ServerFailed):
        await server.wait_ready()


async def test_one_that_does_not_answer_is_waited_for_and_told(fake: FakeServer) -> None:
    """Work waits; who looks sees since when it is away; when it comes back work goes on."""
    answers(fake, "", ["k"])
    server = made(fake, Keys("k"), prefix="")
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(20):
            await tasks.start(server.run)
            ready = fake.answers.pop("GET /ready")
            while not server.state().detail:
                await anyio.sleep(0.01)
            assert "does not answer" in server.state().detail
            fake.answers["GET /ready"] = ready
            await server.wait_ready()
            assert server.state().detail == ""
        tasks.cancel_scope.cancel()


async def ready(client: Client) -> None:
    assert await client.ready()


async def test_a_key_that_was_renewed_is_read_again(fake: FakeServer) -> None:
    """However many requests are refused, we look once where the key is, and make each again with the new one."""
    wanted = ["old"]
    answers(fake, "", wanted)
    keys = Keys("old", "new")
    server = made(fake, keys, prefix="")
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(20):
            await tasks.start(server.run)
            wanted[0] = "new"
            client = Client(server.endpoint, renew=server.renew_key)
            async with anyio.create_task_group() as requests:
                for _ in range(8):
                    requests.start_soon(ready, client)
            await client.close()
        tasks.cancel_scope.cancel()
    assert keys.reads == 2


async def test_a_key_that_stays_refused_ends_it(fake: FakeServer) -> None:
    """It says where the key is named; asking again would not help."""
    answers(fake, "", ["other"])
    server = made(fake, Keys("k"), prefix="")
    with anyio.fail_after(20), pytest.raises(ServerFailed, match="session_api_key_env"):
        await server.run()
    assert server.state().status == "failed"


async def test_one_that_is_too_old_is_refused(fake: FakeServer) -> None:
    """Both versions are named."""
    answers(fake, "", ["k"], version="1.43.1")
    with anyio.fail_after(20), pytest.raises(ServerFailed, match=r"is 1\.43\.1, and we need 1\.44 or newer"):
        await made(fake, Keys("k"), prefix="").run()
