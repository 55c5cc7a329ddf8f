"""Which conversation is meant, without a daemon."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from opensymphony.daemon.archiving import archives_dir, conversations_dir
from opensymphony.debug.finding import find
from opensymphony.errors import InstanceError
from tests.daemon.world import World
from tests.debug.conftest import EVENTS, ID, write

HEX = ID.replace("-", "")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_by_the_beginning_of_its_id(world: World) -> None:
    """In use, archived, or in the flat store of earlier releases."""
    settings, policy = world.settings(), world.policy()
    for store, archived in ((conversations_dir(settings, policy), False), (archives_dir(settings, policy), True)):
        place = store / HEX
        write(place, EVENTS)
        found = find(settings, policy, "96BE7799-5")
        assert (found.conversation_id, found.directory, found.archived) == (HEX, place, archived)
        shutil.rmtree(place)


def test_by_the_manifest_in_the_workspace(world: World) -> None:
    """Only the form of an id is believed."""
    settings, policy = world.settings(), world.policy()
    write(conversations_dir(settings, policy) / HEX, EVENTS)
    manifest = Path(policy.workspace.root) / "OLD-1" / ".opensymphony" / "conversation.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(f'{{"conversation_id": "{ID}"}}')
    assert find(settings, policy, "OLD-1").directory == conversations_dir(settings, policy) / HEX
    manifest.write_text('{"conversation_id": "../../etc"}')
    with pytest.raises(InstanceError, match="no conversation of 'OLD-1' is known"):
        find(settings, policy, "OLD-1")


def test_two_that_begin_alike_are_told(world: World) -> None:
    """Nobody guesses which is meant."""
    settings, policy = world.settings(), world.policy()
    for name in (HEX, HEX[:-1] + "2"):
        write(conversations_dir(settings, policy) / name, EVENTS)
    with pytest.raises(InstanceError, match="2 conversations begin with 96be"):
        find(settings, policy, "96be")
