"""What `doctor` says about room."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from opensymphony.daemon.archiving import archives_dir, conversations_dir
from opensymphony.daemon.storage_checks import storage_checks
from opensymphony.views import Check
from opensymphony.workflow.policy import HooksPolicy, Policy, RetentionPolicy
from tests.daemon.world import World, until_phase

Disk = namedtuple("Disk", "total used free")


async def found(world: World, policy: Policy | None = None) -> dict[str, Check]:
    return {check.name: check for check in await storage_checks(world.settings(), policy or world.policy())}


def fill(path: Path, kilobytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1000 * kilobytes)


async def test_before_the_first_run_there_is_nothing(world: World) -> None:
    """Every place is named, all pass, and none is made."""
    checks = await found(world)
    assert list(checks) == [
        "journal-size",
        "logs-size",
        "conversations-size",
        "workspaces-size",
        "mirrors-size",
        "tools-size",
        "disk",
    ]
    assert checks["journal-size"].detail == f"{world.store}/journal.db: none yet"
    assert {check.status for name, check in checks.items() if name != "disk"} == {"pass"}
    assert not world.store.exists()
    assert not world.root.exists()


async def test_after_a_run_the_figures_are_there(world: World) -> None:
    """Records and their age, workspaces and whose they are; for programs as numbers too."""
    world.ticket("A-1")
    await world.once(world.policy(hooks=HooksPolicy()))
    (world.root / "notes").mkdir()
    checks = await found(world)
    journal = checks["journal-size"]
    assert journal.figures["records"] > 10
    assert journal.figures["oldest_ms"] > 1_600_000_000_000
    assert journal.detail.startswith(f"{journal.figures['records']} records, the oldest of 20")
    workspaces = checks["workspaces-size"]
    assert (workspaces.status, workspaces.figures["workspaces"], workspaces.figures["unknown"]) == ("warn", 1, 1)
    assert f"of no ticket that is known: notes in {world.root}" in workspaces.detail
    assert workspaces.fix == "look at them and remove them by hand; the daemon never does"
    assert checks["mirrors-size"].figures["bytes"] > 1_000


async def test_a_running_daemon_says_which_workspaces_rest(tmp_path: Path) -> None:
    """And which of them are kept; without one nobody can tell, and nothing is said."""
    world = World(tmp_path / "world")
    world.ticket("A-1")
    async with world.running() as daemon:
        await until_phase(daemon, "A-1", "in_review")
        checks = await found(world)
        assert "; 1 at rest, 0 kept for work that was never pushed" in checks["workspaces-size"].detail
        assert (checks["workspaces-size"].figures["resting"], checks["workspaces-size"].figures["kept"]) == (1, 0)
    assert "resting" not in (await found(world))["workspaces-size"].figures


@pytest.mark.parametrize(
    ("limit", "name"),
    [("logs_bytes", "logs-size"), ("archives_bytes", "conversations-size"), ("journal_bytes", "journal-size")],
)
async def test_what_is_over_its_limit_is_a_warning(limit: str, name: str, world: World) -> None:
    """With the key of the limit; one that is off warns nobody."""
    world.ticket("A-1")
    await world.once()
    fill(Path(world.settings().logs_dir) / "opensymphony.jsonl", 30)
    fill(archives_dir(world.settings(), world.policy()) / ("1" * 32) / "meta.json", 30)
    active = conversations_dir(world.settings(), world.policy())
    fill(active / ("2" * 32) / "meta.json", 30)
    fill(active.with_name("active-2") / ("3" * 32) / "meta.json", 30)
    small: dict[str, Any] = {limit: 1_000}
    checks = await found(world, world.policy(retention=RetentionPolicy(**small)))
    assert [one for one, check in checks.items() if check.status == "warn" and one != "disk"] == [name]
    assert checks[name].detail.endswith(f"more than retention.{limit} (1 kB)")
    off = await found(world, world.policy(retention=RetentionPolicy(**{limit: 0})))
    assert off[name].status == "pass"
    figures = checks["conversations-size"].figures
    assert (figures["active"], figures["archived"]) == (2, 1)


async def test_a_disk_that_is_nearly_full_is_a_warning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the journal has no room any more."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(100_000_000_000, 98_000_000_000, 2_000_000_000))
    check = (await found(world))["disk"]
    assert check.status == "warn"
    assert check.detail.startswith("nearly full: ")
    assert "2.0 GB of 100.0 GB free" in check.detail


async def test_a_journal_that_cannot_be_read_does_not_end_the_look(world: World) -> None:
    """It is told, and everything else is still looked at."""
    fill(world.store / "journal.db", 5)
    checks = await found(world)
    assert checks["journal-size"].status == "warn"
    assert "cannot be read" in checks["journal-size"].detail
    assert len(checks) == 7
