"""A repository on Bitbucket for a test, and a code host on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opensymphony.services.bitbucket.code_host import BitbucketCodeHost
from tests.fakes.bitbucket import FakeBitbucket
from tests.services.bitbucket.world import BitbucketWorld


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[BitbucketWorld]:
    made = BitbucketWorld(tmp_path)
    async with made.there():
        yield made


@pytest.fixture
def bitbucket(world: BitbucketWorld) -> FakeBitbucket:
    return world.bitbucket


@pytest.fixture
async def host(world: BitbucketWorld) -> AsyncIterator[BitbucketCodeHost]:
    async with world.open() as made:
        yield made
