"""A desk, and a client at its interface."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from opensymphony.api.routes import build_app
from tests.api.desk import TOKEN, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build_app(desk, TOKEN), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:2468") as made:
        yield made
