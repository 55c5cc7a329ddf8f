"""One browser for the tests of this folder that a worker runs, a profile of its own for each test, and a daemon to look at."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from playwright.async_api import Browser, Page

from tests.api.desk import TOKEN
from tests.web.browser import MISSING, Complaints, context_of, enter, launched
from tests.web.stand_in import StandIn, serving

Open = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    """Where CI is set it has to be there: a check that did not run is none."""
    if MISSING:
        assert not os.environ.get("CI"), MISSING
        pytest.skip(MISSING)
    async with launched() as found:
        yield found


@pytest.fixture
def desk() -> StandIn:
    return StandIn()


@pytest.fixture
async def address(desk: StandIn) -> AsyncIterator[str]:
    async with serving(desk) as found:
        yield found


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
async def open_tab(browser: Browser, address: str, complaints: Complaints) -> AsyncIterator[Open]:
    """Opens a view in a browser profile of its own. A complaint of a page that the test did not expect fails it."""
    contexts = []

    async def opened(hash: str = "#/board", **options: object) -> Page:
        context = await context_of(browser, complaints, **options)
        contexts.append(context)
        return await enter(context, address, TOKEN, hash)

    yield opened
    for context in contexts:
        await context.close()
    assert complaints.left() == []
