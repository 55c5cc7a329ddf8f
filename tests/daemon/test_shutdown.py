"""The end of a boot, and what the next one finds."""

from __future__ import annotations

import os
from pathlib import Path

import anyio

from opensymphony.clock import new_id
from opensymphony.daemon.shutdown import end_children, end_last_boot
from opensymphony.processes import scrubbed_environment


async def sleeper(nonce: str) -> anyio.abc.Process:
    return await anyio.open_process(["sleep", "600"], env=scrubbed_environment(nonce, {"PATH": os.environ["PATH"]}))


async def test_what_the_last_boot_left_is_ended_and_our_own_mark_is_left(tmp_path: Path) -> None:
    """A child of a boot that was killed does not outlive the next start."""
    before, now = new_id(), new_id()
    await end_last_boot(tmp_path, before)
    left = await sleeper(before)
    await end_last_boot(tmp_path, now)
    with anyio.fail_after(30):
        assert await left.wait() != 0
    assert (tmp_path / "boot").read_text() == now


async def test_children_of_this_boot_are_ended_and_no_others(tmp_path: Path) -> None:
    """By their mark."""
    ours, others = new_id(), new_id()
    mine, theirs = await sleeper(ours), await sleeper(others)
    await end_children(ours)
    with anyio.fail_after(30):
        assert await mine.wait() != 0
    assert theirs.returncode is None
    theirs.kill()
    await theirs.wait()
