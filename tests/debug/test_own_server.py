"""A server for one look: what keeps it from starting. That it works is shown in tests/live/test_debug.py."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from opensymphony.debug.own_server import own_server
from opensymphony.errors import InstallationError, InstanceError
from opensymphony.store.lock import LOCK_FILE, InstanceLock
from tests.daemon.world import World
from tests.debug.conftest import ID


def test_none_beside_a_daemon_and_none_that_is_not_installed(tmp_path: Path) -> None:
    """The locks are the daemon's own, and are given back."""
    world = World(tmp_path / "world")
    settings = msgspec.structs.replace(world.settings(), tool_dir=str(tmp_path / "none"), llm_model="openai/x")
    lock = Path(settings.store_dir) / LOCK_FILE
    with (
        InstanceLock(lock, "the store"),
        pytest.raises(InstanceError, match="already uses"),
        own_server(settings, world.policy(), ID),
    ):
        pass
    with pytest.raises(InstallationError, match="opensymphony install"), own_server(settings, world.policy(), ID):
        pass
    with InstanceLock(lock, "the store"):
        pass
