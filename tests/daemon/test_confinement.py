"""Which isolation is in force."""

from __future__ import annotations

import msgspec
import pytest

from opensymphony.daemon.confinement import chosen_isolation
from opensymphony.errors import ConfigurationError
from opensymphony.isolation import best, hindrance
from opensymphony.settings import IsolationSettings
from tests.daemon.world import World


def test_the_policy_chooses_and_the_host_adds(world: World) -> None:
    """The level is the policy's, the further places are those of this machine; home, store and workspaces stay hidden."""
    settings = msgspec.structs.replace(
        world.settings(), isolation=IsolationSettings(readable=("/r",), writable=("/w",))
    )
    found = chosen_isolation(world.policy(isolation="none"), settings)
    assert (found.level, found.readable, found.writable) == ("none", ("/r",), ("/w",))
    assert {settings.store_dir, world.policy().workspace.root} <= set(found.hidden)
    assert chosen_isolation(world.policy(), settings).level == best()


def test_a_level_that_cannot_be_had_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file and the key."""
    monkeypatch.setattr("opensymphony.isolation.hindrance", lambda level: "it is missing")
    with pytest.raises(ConfigurationError) as refused:
        chosen_isolation(world.policy(isolation="sandbox"), world.settings())
    (problem,) = refused.value.problems
    assert (problem.key, problem.message) == ("isolation", "sandbox does not work here: it is missing")
    assert hindrance("none") == ""
