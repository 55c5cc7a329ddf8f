"""What a demo leaves behind; whole demos are in tests/live."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from opensymphony.daemon.foreground import Foreground, run_in_foreground
from opensymphony.demo.play import play_demo
from opensymphony.demo.screen import Screen
from opensymphony.errors import InstallationError
from opensymphony.settings import Settings
from opensymphony.workflow.policy import Policy, TrackerPolicy, WorkspacePolicy
from opensymphony.workspace.paths import repository_key


async def test_a_demo_that_fails_takes_its_conversations_with_it(tmp_path: Path) -> None:
    """They lie in the tool directory, which others use too: whatever ends the demo, only they are removed."""
    settings = Settings(
        workflow_path=str(tmp_path / "WORKFLOW.md"),
        config_path=None,
        store_dir=str(tmp_path / "state"),
        logs_dir=str(tmp_path / "logs"),
        tool_dir=str(tmp_path / "tool"),
        host="127.0.0.1",
        port=0,
    )
    policy = Policy(
        tracker=TrackerPolicy(kind="files", provider={"path": str(tmp_path)}),
        workspace=WorkspacePolicy(root=str(tmp_path / "workspaces")),
    )
    repositories = tmp_path / "tool" / "workspace" / "conversations" / "repos"
    mine = repositories / repository_key(settings.workflow_path)
    other = repositories / "other"
    for directory in (mine / "active" / "c1", other):
        directory.mkdir(parents=True)

    async def work(foreground: Foreground) -> None:
        with Screen(live=False) as screen:
            await play_demo(settings, policy, foreground, screen, model=None)

    with anyio.fail_after(20), pytest.raises(InstallationError):
        await run_in_foreground(work)
    assert sorted(repositories.iterdir()) == [other]
