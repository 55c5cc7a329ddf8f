"""What has been kept long enough goes; what may be needed stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from opensymphony.clock import Clock
from opensymphony.daemon import retention as retention_module
from opensymphony.daemon.retention import Kept, Retention, expired
from opensymphony.daemon.sizes import Size
from opensymphony.model import TicketId, Workspace
from opensymphony.scheduler import events as e
from opensymphony.scheduler.state import Entry, Run, State
from opensymphony.workflow.policy import Policy, RetentionPolicy, VerifyPolicy
from tests.daemon.world import BAD, GOOD, World, until, view
from tests.scheduler.playbook import policy, ticket

DAY_MS = 86_400_000
NOW_MS = 100 * DAY_MS
LOG = "opensymphony.jsonl"


class Ended(Exception):
    """The pretended time is over."""


class Frozen(Clock):
    """A day a hundred days after the epoch."""

    def now_ms(self) -> int:
        return NOW_MS

    def jitter(self) -> float:
        return 0.5


class Place:
    """Logs, archives, workspaces at rest, and the retention over them."""

    def __init__(self, directory: Path) -> None:
        self.logs, self.archives, self.root = (directory / name for name in ("logs", "archived", "root"))
        for made in (self.logs, self.archives, self.root):
            made.mkdir()
        self.state = State(instance="one")
        self.told: list[str] = []
        self.slept: list[float] = []
        self.keep = RetentionPolicy()
        self.retention = self.make()

    def make(self) -> Retention:
        return Retention(
            logs_dir=self.logs,
            archives_dir=self.archives,
            state=self.state,
            policy=self.policy,
            post=self.post,
            clock=Frozen(),
            sleep=self.sleep,
        )

    def policy(self) -> Policy:
        return msgspec.structs.replace(policy(), retention=self.keep)

    async def post(self, event: e.Event) -> None:
        assert isinstance(event, e.WorkspaceExpired)
        self.told.append(event.ticket_id)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) > 3:
            raise Ended

    async def look(self, **keep: int) -> list[str]:
        """Look once under these limits; which workspaces were told to be expired."""
        self.keep = RetentionPolicy(**keep)
        self.told.clear()
        await self.retention.look()
        return list(self.told)

    def workspace(self, name: str, *, days: int, kilobytes: int = 1, **entry: Any) -> Entry:
        """One of a ticket that has rested for so long."""
        path = self.root / name
        path.mkdir()
        (path / "file").write_bytes(b"x" * 1000 * kilobytes)
        made = Entry(
            ticket=ticket(name),
            generation=1,
            since_ms=NOW_MS - days * DAY_MS,
            workspace=Workspace(key=name, path=str(path), created=True),
            **({"phase": "in_review"} | entry),
        )
        self.state.entries[TicketId(name)] = made
        return made


def aged(path: Path, *, days: int, kilobytes: int = 1) -> Path:
    """A file or a directory that was last touched so long ago."""
    if not path.name.endswith((".log", ".bak")) and LOG not in path.name:
        path.mkdir()
        (path / "events").write_bytes(b"x" * 1000 * kilobytes)
    else:
        path.write_bytes(b"x" * 1000 * kilobytes)
    at_s = (NOW_MS - days * DAY_MS) / 1000
    os.utime(path, (at_s, at_s))
    return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name != ".trash")


@pytest.mark.parametrize(
    ("days", "bytes_max", "spare", "gone"),
    [
        (0, 0, (), ""),
        (10, 0, (), "ab"),
        (0, 250, (), "ab"),
        (0, 300, (), "a"),
        (25, 200, (), "ab"),
        (100, 400, (), ""),
        (10, 0, ("a",), "b"),
        (0, 250, ("a",), "bc"),
        (0, 1, (), "abcd"),
    ],
)
def test_the_oldest_go_first_and_either_limit_counts(
    days: int, bytes_max: int, spare: tuple[str, ...], gone: str
) -> None:
    """By age, then by size until the rest fits; what has to stay takes its room all the same."""
    kept = [
        Kept(name=name, since_ms=NOW_MS - age * DAY_MS, size=Size(bytes=100, entries=1))
        for name, age in (("c", 5), ("a", 30), ("d", 1), ("b", 20))
    ]
    assert "".join(one.name for one in expired(kept, NOW_MS, days=days, bytes_max=bytes_max, spare=spare)) == gone


async def test_old_logs_go_and_the_open_one_stays(place: Place) -> None:
    """Only files of our own rotation; nothing else in that directory is ours."""
    for name, days in (
        (LOG, 50),
        (f"{LOG}.1", 40),
        (f"{LOG}.2", 20),
        ("other.log", 90),
        ("opensymphony.jsonl.bak", 90),
    ):
        aged(place.logs / name, days=days)
    (place.logs / f"{LOG}.3").symlink_to(place.logs / "other.log")
    await place.look(logs_days=30, logs_bytes=0)
    assert names(place.logs) == [LOG, f"{LOG}.2", f"{LOG}.3", "opensymphony.jsonl.bak", "other.log"]
    await place.look(logs_days=0, logs_bytes=1_500)
    assert names(place.logs) == [LOG, f"{LOG}.3", "opensymphony.jsonl.bak", "other.log"]


async def test_old_archives_go(place: Place, tmp_path: Path) -> None:
    """By how long they have been archived, and by their size together; a link is not followed, and not ours."""
    one, two, three = ("1" * 32, "2" * 32, f"{'2' * 32}.1")
    for name, days in ((one, 100), (two, 50), (three, 60)):
        aged(place.archives / name, days=days, kilobytes=100)
    aged(place.archives / "notes", days=999)
    outside = aged(tmp_path / "outside", days=999)
    (place.archives / ("3" * 32)).symlink_to(outside)
    await place.look(archives_days=90, archives_bytes=0)
    assert names(place.archives) == sorted([two, three, "3" * 32, "notes"])
    await place.look(archives_days=0, archives_bytes=150_000)
    assert names(place.archives) == sorted([two, "3" * 32, "notes"])
    assert names(outside) == ["events"]


async def test_an_archive_that_is_a_link_is_left_alone(place: Place, tmp_path: Path) -> None:
    """What stands behind it is somebody else's."""
    outside = tmp_path / "outside"
    outside.mkdir()
    aged(outside / ("1" * 32), days=999)
    place.archives.rmdir()
    place.archives.symlink_to(outside)
    await place.look(archives_days=1)
    assert names(outside) == ["1" * 32]


async def test_workspaces_at_rest_expire(place: Place) -> None:
    """The longest at rest first, by age and by size; never one that is worked in or will be."""
    place.workspace("old", days=20)
    place.workspace("older", days=30, phase="closed")
    place.workspace("fresh", days=2, phase="needs_person")
    place.workspace("waiting", days=90, phase="waiting_to_start")
    place.workspace("retrying", days=90, phase="retrying")
    place.workspace("running", days=90, phase="running", run=Run(generation=1, started_ms=0))
    assert await place.look(workspaces_days=14, workspaces_bytes=0) == ["older", "old"]
    assert await place.look(workspaces_days=0, workspaces_bytes=0) == []
    assert names(place.root) == ["fresh", "old", "older", "retrying", "running", "waiting"], "nothing is removed here"


async def test_all_together_may_be_too_big(place: Place) -> None:
    """Then the longest at rest go until the rest fits."""
    for name, days in (("a", 3), ("b", 2), ("c", 1)):
        place.workspace(name, days=days, kilobytes=400)
    assert await place.look(workspaces_days=0, workspaces_bytes=900_000) == ["a"]


async def test_a_refused_one_is_asked_for_again_only_when_it_has_changed(place: Place) -> None:
    """Work that was never pushed stays, without a word every hour; once a person pushed it, the workspace goes."""
    entry = place.workspace("kept", days=20)
    limits = {"workspaces_days": 14, "workspaces_bytes": 0}
    assert await place.look(**limits) == ["kept"]
    entry.note = "it holds 1 commit that was never pushed"
    for _ in range(3):
        assert await place.look(**limits) == []
    (place.root / "kept" / "pushed").write_text("x")
    assert await place.look(**limits) == ["kept"]
    assert await place.look(**limits) == []
    entry.since_ms -= DAY_MS  # another run has ended since
    entry.note = ""
    assert await place.look(**limits) == ["kept"]


async def test_a_restart_does_not_ask_again(place: Place) -> None:
    """The ticket's note says that it was refused."""
    place.workspace("kept", days=20, note="it holds 1 commit that was never pushed")
    assert await place.look(workspaces_days=14) == []
    (place.root / "kept" / "pushed").write_text("x")
    assert await place.look(workspaces_days=14) == ["kept"]


async def test_it_looks_soon_and_then_every_hour(place: Place) -> None:
    """Not at the start, and not of many daemons at once."""
    place.workspace("old", days=20)
    with pytest.raises(Ended):
        await place.retention.run()
    assert place.slept == [90, 3_600, 3_600, 3_600]
    assert place.told == ["old"]


async def test_the_loop_is_never_held_up(place: Place) -> None:
    """Files are looked at in a thread: others are served meanwhile."""
    for number in range(30):
        place.workspace(f"w{number}", days=20)
    served = 0

    async def serve() -> None:
        nonlocal served
        while True:
            await anyio.sleep(0)
            served += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        await place.look(workspaces_days=14)
        tasks.cancel_scope.cancel()
    assert served > 30


async def test_what_is_not_there_is_nothing_to_remove(place: Place) -> None:
    """Neither directory was made yet."""
    place.logs.rmdir()
    place.archives.rmdir()
    assert await place.look() == []


async def test_the_daemon_removes_what_was_pushed_and_keeps_what_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tickets at rest and no room for workspaces: one goes, the other is refused once, also over a restart."""
    monkeypatch.setattr(retention_module, "_FIRST_S", 0.001)
    monkeypatch.setattr(retention_module, "_EVERY_S", 0.05)
    world = World(tmp_path / "world", {"A-1": [GOOD], "B-2": [BAD]})
    limits = world.policy(
        retention=RetentionPolicy(workspaces_days=0, workspaces_bytes=1),
        verify=VerifyPolicy(command="false", max_attempts=1),
    )
    pushed = world.policy(retention=limits.retention)
    world.ticket("A-1")
    async with world.running(pushed) as daemon:
        await until(daemon, lambda: (seen := view(daemon, "A-1")) and seen.phase == "in_review" and not seen.workspace)
        assert world.commits("A-1") == ["Answer well"]
    world.ticket("B-2")
    for _ in range(2):
        async with world.running(limits) as daemon:
            await until(daemon, lambda: (seen := view(daemon, "B-2")) and "workspace kept: " in seen.reason)
    assert (world.root / "B-2" / "answer.txt").read_text() == "bad\n"
    assert not (world.root / "A-1").exists()
    expirations = [one.event.ticket_id for one in world.whole_journal() if isinstance(one.event, e.WorkspaceExpired)]
    assert expirations == ["A-1", "B-2"]
