"""A project with an agent-server that only looks like one, and a place in which doctors try things."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opensymphony.doctor import place as places
from opensymphony.settings import Settings
from opensymphony.workflow.policy import LocalServerPolicy, OpenHandsPolicy, Policy, TrackerPolicy
from tests.fakes.stub_installation import install_fake

WORKS = {"run": ["echo works >> doctor.txt"]}
GOOD = ({**WORKS, "says": "messages read: 1"}, {**WORKS, "says": "messages read: 2"})


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where doctors make their directories; with a path so short that sockets have room in it."""
    with tempfile.TemporaryDirectory(prefix="os-", dir="/tmp") as directory:
        monkeypatch.setattr(places, "_base", lambda: Path(directory))
        yield Path(directory)


class Project:
    """Settings and policy of a project, and what the agents of its server do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.agents = directory / "agents"
        self.agents.mkdir()
        self.tools = directory / "tools"
        self.settings = Settings(
            workflow_path=str(directory / "WORKFLOW.md"),
            config_path=None,
            store_dir=str(directory / "store"),
            logs_dir=str(directory / "logs"),
            tool_dir=str(self.tools),
            host="127.0.0.1",
            port=0,
            llm_model="openai/m",
        )
        self.policy = self.policy_with()

    def policy_with(self, **local_server: Any) -> Policy:
        return Policy(
            tracker=TrackerPolicy(kind="files"),
            isolation="none",
            openhands=OpenHandsPolicy(local_server=LocalServerPolicy(**local_server)),
        )

    def script(self, *turns: dict[str, Any]) -> None:
        install_fake(self.tools, self.agents)
        (self.agents / "DOCTOR-1.json").write_text(json.dumps(turns))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
