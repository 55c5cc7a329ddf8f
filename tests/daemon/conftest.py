"""A world for one daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One agent that knows how to do the ticket A-1."""
    return World(tmp_path / "world")
