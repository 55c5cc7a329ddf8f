"""A WORKFLOW.md that people edit while the daemon runs."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from opensymphony.clock import Clock
from opensymphony.daemon.reload import Reload
from opensymphony.errors import Problem
from opensymphony.scheduler import events as e
from opensymphony.workflow import load
from opensymphony.workflow.policy import Policy

TEXT = """---
tracker:
  kind: files
  provider: {path: board}
polling: {interval_ms: 1000}
---
Do it.
"""


class Followed:
    """A file, and what following it has led to."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "WORKFLOW.md"
        self.path.write_text(TEXT)
        policy, _ = self.read()
        assert policy is not None
        self.events: list[e.Event] = []
        self.applied: list[Policy] = []
        self.reload = Reload(self.path, self.read, policy, self.applied.append, self.post, Clock())

    def read(self) -> tuple[Policy | None, Sequence[Problem]]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None, (Problem(file="WORKFLOW.md", message="there is no such file"),)
        loaded = load(content, "WORKFLOW.md", {}, "/somewhere", str(self.path.parent))
        return loaded.policy, loaded.problems

    async def post(self, event: e.Event) -> None:
        self.events.append(event)

    async def saved(self, text: str) -> list[str]:
        """Save as editors do, look, and return the kinds of the new events."""
        before = len(self.events)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(self.path)
        await self.reload.look()
        return [type(event).__name__ for event in self.events[before:]]


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path)


async def test_a_good_edit_is_in_force_at_the_next_look(followed: Followed) -> None:
    """The scheduler and the adapters get the same policy."""
    assert await followed.saved(TEXT.replace("1000", "2000")) == ["PolicyLoaded"]
    assert followed.applied[0].polling.interval_ms == 2000
    assert isinstance(followed.events[0], e.PolicyLoaded)
    assert followed.events[0].policy == followed.applied[0]


async def test_the_same_content_is_no_edit(followed: Followed) -> None:
    """Touching or saving again reads nothing and says nothing."""
    assert await followed.saved(TEXT) == []


async def test_a_bad_edit_is_told_once_and_mended_by_the_next(followed: Followed) -> None:
    """The last good policy stays; every edit is told once."""
    assert await followed.saved(TEXT.replace("1000", "soon")) == ["PolicyRejected"]
    await followed.reload.look()
    assert len(followed.events) == 1
    assert isinstance(followed.events[0], e.PolicyRejected)
    assert "polling.interval_ms" in followed.events[0].error
    assert followed.applied == []
    assert await followed.saved(TEXT) == ["PolicyLoaded"]


async def test_a_file_that_is_away_for_a_moment_is_a_save(followed: Followed) -> None:
    """Some editors move the file away first; only one that stays away is told."""
    followed.path.unlink()
    await followed.reload.look()
    assert followed.events == []
    await followed.reload.look()
    assert [type(event).__name__ for event in followed.events] == ["PolicyRejected"]
    assert await followed.saved(TEXT) == ["PolicyLoaded"]


async def test_what_is_already_open_needs_a_restart(followed: Followed) -> None:
    """Another board, repository or root is refused by name, not half applied."""
    assert await followed.saved(TEXT.replace("board", "elsewhere")) == ["PolicyRejected"]
    assert isinstance(followed.events[0], e.PolicyRejected)
    assert "tracker.provider" in followed.events[0].error
    assert followed.applied == []


async def test_a_link_that_is_exchanged_is_seen(followed: Followed, tmp_path: Path) -> None:
    """As mounted configuration does it: the name stays, what it points to changes."""
    other = tmp_path / "other.md"
    other.write_text(TEXT.replace("Do it.", "Do it well."))
    followed.path.unlink()
    followed.path.symlink_to(other)
    await followed.reload.look()
    assert msgspec.structs.asdict(followed.applied[0])["prompt"].strip() == "Do it well."


async def test_a_hundred_saves_end_with_the_last(followed: Followed) -> None:
    """Whatever was seen in between, the newest content is in force."""
    for number in range(1, 101):
        await followed.saved(TEXT.replace("1000", str(1000 + number)))
    assert followed.applied[-1].polling.interval_ms == 1100
