"""What docs/operations.md says of a backup is done as it stands there, and a daemon goes on from it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.daemon.world import GOOD, World, until, until_phase, view

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def commands() -> tuple[str, str]:
    """The two blocks of the section: to copy, and to restore."""
    section = PAGE.read_text().partition("\n## Backup\n")[2].partition("\n## ")[0]
    copy, restore = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return copy, restore


def typed(block: str, store: Path, backup: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "STORE": str(store), "BACKUP": str(backup)}
    subprocess.run(["sh", "-euc", block], env=environment, check=True, capture_output=True, timeout=50)


async def test_a_copy_that_was_made_while_it_runs_is_restored_and_goes_on(tmp_path: Path) -> None:
    """What was in review stays there; what has ended after the copy is found again: nothing is done a second time."""
    world = World(tmp_path, {"A-1": [GOOD], "B-1": [GOOD]})
    copy, restore = commands()
    backup = tmp_path / "backup"
    backup.mkdir()
    world.store.mkdir(exist_ok=True)
    (world.store / "agent-server.secret").write_text("secret")
    world.ticket("A-1")
    async with world.running() as daemon:
        before = await until_phase(daemon, "A-1", "in_review")
        world.ticket("B-1")
        await until(daemon, lambda: view(daemon, "B-1"))
        typed(copy, world.store, backup)
        await until_phase(daemon, "B-1", "in_review")
    sent = dict(world.agents.sends)
    assert len(sent) == 2
    assert sorted(os.listdir(backup)) == ["agent-server.secret", "journal.db", "mirrors"]

    typed(restore, world.store, backup)
    assert (world.store / "agent-server.secret").read_text() == "secret"
    after = next(ticket for ticket in (await world.once()).tickets if ticket.identifier == "A-1")
    assert (after.phase, after.generation, after.commit) == ("in_review", before.generation, before.commit)
    assert world.agents.sends == sent
    assert world.commits("A-1") == ["Answer well"]
    assert world.commits("B-1") == ["Answer well"]
    assert world.comment("A-1").count("<!-- opensymphony:comment") == 1


def test_without_the_mirrors_the_backup_block_fails(tmp_path: Path) -> None:
    """The block says so when it cannot copy: nobody believes in half a backup."""
    copy, _ = commands()
    (tmp_path / "store").mkdir()
    shutil.copy(PAGE, tmp_path / "store" / "agent-server.secret")
    (tmp_path / "backup").mkdir()
    try:
        typed(copy, tmp_path / "store", tmp_path / "backup")
    except subprocess.CalledProcessError as error:
        assert b"mirrors" in error.stderr
    else:
        raise AssertionError("half a backup was taken for one")
