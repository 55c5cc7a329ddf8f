"""Disks that are nearly full."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from opensymphony.cli.status import lines
from opensymphony.clock import Clock
from opensymphony.daemon import app, loop, storage
from opensymphony.daemon.recovery import recover
from opensymphony.daemon.storage import StorageWatch, free_space
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import FORMAT, encode_state
from opensymphony.store.sqlite import Journal
from tests.daemon.world import GOOD, HOLDS, World, until, until_phase, view

Disk = namedtuple("Disk", "f_bavail f_frsize f_blocks")


class Bench:
    """Disks whose free space the test sets, in megabytes, and what was posted about them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = {"/store": 9_000, "/workspaces": 9_000}
        self.posted: list[str | None] = []
        monkeypatch.setattr(storage, "os", SimpleNamespace(statvfs=self._disk))
        places = {"the store": Path("/store"), "the workspaces": Path("/workspaces")}
        self.watch = StorageWatch(places, self._post, Clock())

    def _disk(self, place: Path) -> Disk:
        if str(place) not in self.free:
            raise FileNotFoundError(2, "No such file or directory")
        return Disk(self.free[str(place)], 1024 * 1024, 100_000)

    async def _post(self, event: e.Event) -> None:
        assert isinstance(event, e.StorageNoted)
        self.posted.append(event.error)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


async def test_nothing_is_said_of_disks_with_room(bench: Bench) -> None:
    """Neither at the first look nor later."""
    await bench.watch.look()
    await bench.watch.look()
    assert bench.posted == []


async def test_a_disk_that_fills_up_is_told_once_and_again_when_it_is_well(bench: Bench) -> None:
    """Which disk, how much is left, how much must be, what to do; other figures are no news."""
    bench.free["/workspaces"] = 100
    await bench.watch.look()
    bench.free["/workspaces"] = 90
    await bench.watch.look()
    assert bench.posted == [
        "the disk of the workspaces /workspaces has 104.9 MB left of the 536.9 MB that must be free: free space on it"
    ]
    bench.free["/workspaces"] = 600
    await bench.watch.look()
    assert len(bench.posted) == 1, "just above the limit it is not well yet"
    bench.free["/workspaces"] = 700
    await bench.watch.look()
    assert bench.posted[1:] == [None]
    bench.free["/workspaces"] = 600
    await bench.watch.look()
    assert len(bench.posted) == 2


async def test_a_disk_that_is_gone_is_told(bench: Bench) -> None:
    """Its directory cannot be looked at."""
    del bench.free["/store"]
    await bench.watch.look()
    assert bench.posted == ["the disk of the store /store cannot be looked at (No such file or directory): mend it"]


def test_a_small_disk_needs_a_twentieth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a gigabyte free is not asked of a disk that has no more."""
    disk = os.statvfs(tmp_path)
    free, needed = free_space(tmp_path)
    assert 0 < free <= disk.f_blocks * disk.f_frsize
    assert needed == min(512 * 1024 * 1024, disk.f_blocks * disk.f_frsize // 20)
    monkeypatch.setattr(storage, "os", SimpleNamespace(statvfs=lambda place: Disk(64, 1024, 1_000)))
    assert free_space(tmp_path) == (65_536, 51_200)


async def test_a_daemon_outlives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs goes on, nothing new starts, every door says why; with room all of it is done, and nothing twice."""
    monkeypatch.setattr(loop, "_WRITE_AGAIN_S", 0.05)
    loops: list[loop.Loop] = []
    original = app.Loop
    monkeypatch.setattr(app, "Loop", lambda *given: loops.append(original(*given)) or loops[-1])
    world = World(tmp_path / "world", {"A-1": [HOLDS], "A-2": [GOOD]})
    world.ticket("A-1")
    async with world.running() as daemon:
        assert daemon.control is not None
        await until(daemon, lambda: (found := view(daemon, "A-1")) and found.stage == "working" and world.agents.talks)
        connection = loops[0]._journal._connection
        connection.execute("PRAGMA max_page_count = 1")  # as many as there are
        body = "word " * 2_000
        world.ticket("A-2").write_text(f"---\ntitle: Title of A-2\nstate: Todo\n---\n{body}\n")
        await until(daemon, lambda: daemon.control and daemon.control.snapshot().storage_error)
        shown = daemon.control.snapshot()
        assert shown.storage_error is not None
        assert "cannot be written (database or disk is full): free space on its disk" in shown.storage_error
        assert any(line.startswith("nothing new starts: the journal ") for line in lines(shown))
        assert (world.agents.talk("A-1").running, len(world.agents.talks)) == (True, 1)
        connection.execute("PRAGMA max_page_count = 1000000")
        await until_phase(daemon, "A-2", "in_review")
        assert daemon.control.snapshot().storage_error is None
        world.move("A-1", "Done")
        await until_phase(daemon, "A-1", "closed")
    assert set(world.agents.sends.values()) == {1}
    journal = await Journal.open(world.store / "journal.db", format_number=FORMAT)
    journal._connection.execute("DELETE FROM checkpoints")
    state, sequence = await recover(journal)
    await journal.close()
    assert (sequence, encode_state(state)) == (loops[0].sequence, encode_state(loops[0].state))


async def test_a_daemon_starts_nothing_on_a_disk_that_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ticket waits and says for what; with space it is worked on by itself."""
    free = 10
    monkeypatch.setattr(storage, "_LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(storage, "free_space", lambda place: (free, 100))
    world = World(tmp_path / "world", {"A-1": [HOLDS]})
    async with world.running() as daemon:
        await until(daemon, lambda: daemon.control and daemon.control.snapshot().storage_error)
        world.ticket("A-1")
        await until(daemon, lambda: view(daemon, "A-1"))
        waiting = view(daemon, "A-1")
        assert waiting is not None
        assert (waiting.phase, waiting.generation) == ("waiting_to_start", 0)
        assert waiting.reason.startswith("nothing new starts: the disk of the store ")
        free = 200
        await until_phase(daemon, "A-1", "running")
