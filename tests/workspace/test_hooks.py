"""What hooks do to our processes, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony.model import HookResult, Workspace
from opensymphony.workspace.hooks import Around, describe, run_hook
from tests.workspace.conftest import ticket


async def hook(script: str | None, tmp_path: Path, nonce: str, timeout_ms: int = 20_000) -> HookResult:
    workspace = Workspace(key="ABC-1", path=str(tmp_path), created=True)
    return await run_hook("before_run", script, workspace, ticket(), timeout_ms=timeout_ms, around=Around(nonce=nonce))


@pytest.mark.parametrize("script", [None, "", " \n"])
async def test_no_script_is_absent(tmp_path: Path, nonce: str, script: str | None) -> None:
    """A hook that is not set, or blank, starts nothing."""
    assert await hook(script, tmp_path, nonce) == HookResult(name="before_run", status="absent")


async def test_a_hook_past_its_time_leaves_nothing_behind(tmp_path: Path, nonce: str) -> None:
    """F7: background and `setsid` children end with it (the nonce fixture looks for them)."""
    result = await hook("setsid sleep 60 & echo begun; exec sleep 60", tmp_path, nonce, timeout_ms=300)
    assert (result.status, result.exit_code, result.output_tail) == ("timed_out", None, "begun\n")
    assert describe(result, 300) == "hook before_run took longer than 300 ms and was ended (hooks.timeout_ms): begun"


async def test_a_hook_that_succeeds_leaves_nothing_behind_either(tmp_path: Path, nonce: str) -> None:
    """A server that a hook forgot is not there when the agent starts."""
    assert (await hook("setsid sleep 60 & true", tmp_path, nonce)).status == "succeeded"


async def test_output_is_bounded_and_the_end_is_kept(tmp_path: Path, nonce: str) -> None:
    """Sixteen KiB, the last ones; a failure's line has no control characters."""
    result = await hook("seq 100000; printf '\\033[31mred\\n'; exit 3", tmp_path, nonce)
    assert len(result.output_tail) == 16 * 1024
    assert describe(result, 0) == "hook before_run failed with exit code 3: [31mred"


async def test_a_hook_cannot_wait_for_a_terminal(tmp_path: Path, nonce: str) -> None:
    """Reading standard input ends at once."""
    assert (await hook("cat; echo done", tmp_path, nonce)).output_tail == "done\n"
