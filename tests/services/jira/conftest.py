"""A Jira site for a test, and a tracker on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opensymphony.interfaces import Tracker
from tests.fakes.jira import FakeJira
from tests.services.jira.world import JiraWorld


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[JiraWorld]:
    made = JiraWorld(tmp_path)
    async with made.there():
        yield made


@pytest.fixture
def jira(world: JiraWorld) -> FakeJira:
    return world.jira


@pytest.fixture
async def tracker(world: JiraWorld) -> AsyncIterator[Tracker]:
    async with world.open() as made:
        yield made
