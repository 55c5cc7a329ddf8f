"""A WORKFLOW.md that people edit while the daemon runs."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import msgspec
import pytest

from opensymphony.cli.loading import read_workflow
from opensymphony.clock import Clock
from opensymphony.daemon.reload import Reload
from opensymphony.errors import ConfigurationError, Problem
from opensymphony.scheduler import events as e
from opensymphony.workflow.parse import FILE_BYTES_MAX
from opensymphony.workflow.policy import Policy, VerifyPolicy
from tests.daemon.world import BAD as BADLY
from tests.daemon.world import GOOD as WELL
from tests.daemon.world import World, until, until_phase

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
        self.events: list[e.Event] = []
        self.applied: list[Policy] = []
        self.reading: Callable[[], None] = lambda: None
        """Happens while the file is read."""
        self.posted = anyio.Event()
        policy, _ = self.read()
        assert policy is not None
        self.reload = Reload(self.path, self.read, policy, self.applied.append, self.post, Clock())

    def read(self) -> tuple[Policy | None, Sequence[Problem]]:
        self.reading()
        loaded = read_workflow(str(self.path))
        return loaded.policy, loaded.problems

    async def post(self, event: e.Event) -> None:
        self.events.append(event)
        self.posted.set()

    async def looks(self, count: int = 2) -> list[str]:
        """Look as often; the kinds of the new events."""
        before = len(self.events)
        for _ in range(count):
            await self.reload.look()
        return [type(event).__name__ for event in self.events[before:]]

    def save(self, text: str) -> None:
        """As editors do: all of the text under another name, then that name exchanged."""
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(self.path)

    async def saved(self, text: str) -> list[str]:
        """Save, look until it is at rest, and return the kinds of the new events."""
        self.save(text)
        return await self.looks()

    @property
    def error(self) -> str:
        """Of the newest event, which has to be a refusal."""
        event = self.events[-1]
        assert isinstance(event, e.PolicyRejected)
        return event.error


GOOD = TEXT.replace("1000", "2000")
BAD = TEXT.replace("1000", "soon")


@pytest.fixture
async def followed(tmp_path: Path) -> Followed:
    made = Followed(tmp_path)
    assert await made.looks() == []
    return made


async def test_a_good_edit_is_in_force_once_it_is_at_rest(followed: Followed) -> None:
    """The scheduler and the adapters get the same policy."""
    followed.save(GOOD)
    assert await followed.looks(1) == []
    assert await followed.looks(1) == ["PolicyLoaded"]
    assert followed.applied[0].polling.interval_ms == 2000
    assert isinstance(followed.events[0], e.PolicyLoaded)
    assert followed.events[0].policy == followed.applied[0]
    assert await followed.looks(3) == []


async def test_the_same_policy_is_no_edit(followed: Followed) -> None:
    """Touching, saving again, and another comment say nothing."""
    assert await followed.saved(TEXT) == []
    assert await followed.saved(TEXT.replace("polling", "# how often\npolling")) == []


async def test_an_edit_between_start_and_first_look_is_not_missed(tmp_path: Path) -> None:
    """What the daemon was started with counts, not what the file holds when it is first followed."""
    made = Followed(tmp_path)
    assert await made.saved(GOOD) == ["PolicyLoaded"]


async def test_a_bad_edit_is_told_once_and_mended_by_the_next(followed: Followed) -> None:
    """The last good policy stays; every edit is told once, and it is known since when."""
    assert await followed.saved(BAD) == ["PolicyRejected"]
    assert "polling.interval_ms" in followed.error
    since_ms = followed.reload.error_since_ms
    assert since_ms is not None
    assert await followed.looks(5) == []
    assert await followed.saved(BAD.replace("soon", "later")) == ["PolicyRejected"]
    assert followed.reload.error_since_ms == since_ms
    assert followed.applied == []
    assert await followed.saved(TEXT) == ["PolicyLoaded"]
    assert followed.reload.error_since_ms is None


@pytest.mark.parametrize("cut", [0, 3, 20, 60, len(GOOD) - 4])
async def test_a_file_that_is_being_written_is_neither_bad_nor_in_force(followed: Followed, cut: int) -> None:
    """Half of it may be an error, or a good policy that nobody meant; the whole counts."""
    followed.path.write_text(GOOD[:cut])
    assert await followed.looks(1) == []
    followed.path.write_text(GOOD)
    assert await followed.looks(2) == ["PolicyLoaded"]
    assert followed.applied[-1].prompt.strip() == "Do it."


async def test_a_change_while_it_is_read_is_read_again(followed: Followed) -> None:
    """What was read is dropped when the file is another one by then."""
    followed.reading = lambda: followed.save(GOOD)
    assert await followed.saved(BAD) == []
    followed.reading = lambda: None
    assert await followed.looks(2) == ["PolicyLoaded"]


async def test_a_file_that_is_away_for_a_moment_is_a_save(followed: Followed) -> None:
    """Some editors move the file away first; only one that stays away is told."""
    followed.path.unlink()
    assert await followed.looks(1) == []
    assert await followed.looks(1) == ["PolicyRejected"]
    assert await followed.saved(TEXT) == ["PolicyLoaded"]


@pytest.mark.parametrize("what", ["directory", "pipe", "unreadable", "too big", "not text", "loop", "empty"])
async def test_what_is_no_workflow_keeps_the_last_good_one(followed: Followed, what: str) -> None:
    """Told once, in one line, without waiting for anything; and over with the next good save."""
    path = followed.path
    path.unlink()
    match what:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "unreadable":
            path.write_text(GOOD)
            path.chmod(0)
            if os.access(path, os.R_OK):
                path.unlink()  # root reads everything
        case "too big":
            path.write_bytes(GOOD.encode() + b"x" * (FILE_BYTES_MAX + 1))
        case "not text":
            path.write_bytes(GOOD.encode() + b"\xff\xfe")
        case "loop":
            path.symlink_to(path)
        case _:
            path.touch()
    with anyio.fail_after(10):
        assert await followed.looks(4) == ["PolicyRejected"]
    assert "\n" not in followed.error
    assert followed.applied == []
    path.rmdir() if what == "directory" else path.unlink(missing_ok=True)
    assert await followed.saved(GOOD) == ["PolicyLoaded"]


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("board", "elsewhere", "tracker.provider"),
        ("polling", "server: {port: 0}\npolling", "server"),
        ("polling", "openhands: {local_server: {max_restarts: 1}}\npolling", "openhands.local_server"),
        (
            "polling",
            "repository: {url: 'https://bitbucket.org/a/b'}\ncode_host: {kind: bitbucket}\npolling",
            "repository, code_host",
        ),
        ("polling", "repository: {url: /elsewhere}\npolling", "repository"),
        ("polling", "workspace: {root: /elsewhere}\npolling", "workspace.root"),
    ],
)
async def test_what_is_already_open_needs_a_restart(followed: Followed, before: str, after: str, key: str) -> None:
    """Another board, listener, repository, root or name of a key is refused by name, not half applied."""
    assert await followed.saved(TEXT.replace(before, after)) == ["PolicyRejected"]
    assert followed.error == f"{key} changed: restart the daemon for that"
    assert followed.applied == []


async def test_links_that_are_exchanged_are_seen(followed: Followed, tmp_path: Path) -> None:
    """As mounted configuration does it: the name and its link stay, the directory behind it is another one."""
    for name, text in (("..one", TEXT), ("..two", GOOD)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "WORKFLOW.md").write_text(text)
    (tmp_path / "..data").symlink_to("..one")
    followed.path.unlink()
    followed.path.symlink_to("..data/WORKFLOW.md")
    assert await followed.looks() == []
    (tmp_path / "..fresh").symlink_to("..two")
    (tmp_path / "..fresh").replace(tmp_path / "..data")
    assert await followed.looks() == ["PolicyLoaded"]
    assert followed.applied[-1].polling.interval_ms == 2000


async def test_a_hundred_saves_end_with_the_last(followed: Followed) -> None:
    """In whatever way they are saved and wherever the looks fall, the newest content is in force, once."""
    for number in range(1, 101):
        text = TEXT.replace("1000", str(1000 + number))
        if number % 2:
            followed.save(text)
        else:
            followed.path.write_text(text)
        if number % 7 == 0:
            await followed.looks(1)
    await followed.looks(2)
    assert [policy.polling.interval_ms for policy in followed.applied] == [1100]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConfigurationError([Problem(file="WORKFLOW.md", message="no model is named")]), "no model is named"),
        (ZeroDivisionError("a defect\nof ours"), "a defect of ours (a defect)"),
    ],
)
async def test_an_edit_takes_nothing_down(followed: Followed, error: Exception, said: str) -> None:
    """Whatever goes wrong with reading it: the daemon goes on with the last good policy."""

    def fails() -> None:
        raise error

    followed.reading = fails
    assert await followed.saved(GOOD) == ["PolicyRejected"]
    assert said in followed.error


async def test_it_looks_by_itself(tmp_path: Path) -> None:
    """Twice a second."""
    made = Followed(tmp_path)
    made.save(GOOD)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.reload.run)
        with anyio.fail_after(20):
            await made.posted.wait()
        tasks.cancel_scope.cancel()
    assert [type(event).__name__ for event in made.events] == ["PolicyLoaded"]


async def test_a_run_goes_on_and_what_it_begins_next_follows_the_edit(world: World) -> None:
    """A check that is under way ends as it was begun; the next one, and the hook, are the new ones. The conversation stays."""
    gate = world.directory / "gate"
    waits = f"until [ -e {gate} ]; do sleep 0.05; done"
    old = world.policy(verify=VerifyPolicy(command=f"echo old >> {world.hooks}; {waits}; false"))
    new = msgspec.structs.replace(
        old,
        verify=VerifyPolicy(command=f"echo new >> {world.hooks}"),
        hooks=msgspec.structs.replace(old.hooks, after_run=f"echo other >> {world.hooks}"),
    )
    world.agents.scripts = {"A-1": [BADLY, WELL]}
    world.ticket("A-1")
    file = world.directory / "WORKFLOW.md"
    file.write_text("as it was")

    def read() -> tuple[Policy | None, Sequence[Problem]]:
        return (old if file.read_text() == "as it was" else new), ()

    daemon = world.make(old, read_policy=read)
    async with anyio.create_task_group() as tasks:
        await tasks.start(daemon.run)
        await until(daemon, lambda: world.hooks.exists() and "old" in world.hooks.read_text())
        file.write_text("edited")
        await until(daemon, lambda: daemon.policy == new)
        gate.touch()
        await until_phase(daemon, "A-1", "in_review")
        daemon.stop()
    assert world.hooks.read_text().split() == ["before", "old", "new", "other"]
    assert len(world.agents.talk("A-1").messages) == 2
    assert world.agents.stops == 0
