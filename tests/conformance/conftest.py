"""Daemons that several rows look at, each with tickets of its own, and a world for a test that wants one to itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conformance.world import World, world

MakeWorld = Callable[..., World]
HOOKS = ("after_create", "before_run", "after_run", "before_remove")


@pytest.fixture(scope="session")
def make_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeWorld]:
    """Worlds that end with the session."""
    with ExitStack() as stack:

        def make(*, repository: bool = False) -> World:
            root = tmp_path_factory.mktemp("world").resolve()
            return stack.enter_context(world(root, repository=repository))

        yield make


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    """A world of the test's own."""
    with world(tmp_path.resolve()) as made:
        yield made


@pytest.fixture(scope="session")
def patient(make_world: MakeWorld) -> World:
    """A daemon with room for all, that waits long after a failure and never thinks that an agent stalls."""
    made = make_world()
    made.configure(agent={"max_concurrent_agents": 50, "stall_timeout_ms": 0}, hooks=hooks_of(made))
    return made.start()


@pytest.fixture(scope="session")
def hasty(make_world: MakeWorld) -> World:
    """A daemon that tries again at once, three times in all, and gives hooks little time."""
    made = make_world()
    agent = {"retry_backoff_ms": 10, "max_failures": 3, "stall_timeout_ms": 0}
    made.configure(agent={"max_concurrent_agents": 50, **agent}, hooks={**hooks_of(made), "timeout_ms": 2_500})
    return made.start()


@pytest.fixture(scope="session")
def strict(make_world: MakeWorld) -> World:
    """A daemon that takes a second and a half of silence for a stall, and then waits long."""
    made = make_world()
    made.configure(agent={"max_concurrent_agents": 50, "stall_timeout_ms": 1_500}, hooks=hooks_of(made))
    return made.start()


def hooks_of(made: World) -> dict[str, str]:
    """Each hook writes down for whom and where it ran, then does what a file of the ticket's says: see `World.hook`."""
    place = made.root / "hooks"
    place.mkdir(exist_ok=True)
    return {
        name: f'echo "$OPENSYMPHONY_IDENTIFIER $(pwd -P)" >> {place}/{name}\n'
        f"script={place}/{name}.$OPENSYMPHONY_IDENTIFIER\n"
        'if [ -e "$script" ]; then . "$script"; fi\n'
        for name in HOOKS
    }
