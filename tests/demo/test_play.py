"""The demo's daemon, and what it leaves behind."""

from pathlib import Path

import anyio
import pytest

from opensymphony.cli.loading import read_workflow
from opensymphony.daemon.foreground import Foreground, run_in_foreground
from opensymphony.demo.board import make_demo
from opensymphony.demo.play import play_demo
from opensymphony.demo.screen import Screen
from opensymphony.errors import InstallationError
from opensymphony.settings import Settings


async def test_without_an_agent_server_it_ends_and_leaves_nothing_running(tmp_path: Path) -> None:
    """The error says what to install; the model endpoint and the locks are given back."""
    files = await make_demo(tmp_path / "demo")
    policy = read_workflow(str(files.workflow)).policy
    assert policy is not None
    settings = Settings(
        workflow_path=str(files.workflow),
        config_path=None,
        store_dir=str(tmp_path / "state"),
        logs_dir=str(tmp_path / "logs"),
        tool_dir=str(tmp_path / "tools"),
        host="127.0.0.1",
        port=0,
    )

    async def work(foreground: Foreground) -> None:
        with Screen() as screen:
            await play_demo(settings, policy, foreground, screen, model=None)

    for _ in range(2):
        with pytest.raises(InstallationError, match="install openhands"), anyio.fail_after(20):
            await run_in_foreground(work)
