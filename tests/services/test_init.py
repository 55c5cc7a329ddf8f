"""The table of services."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from opensymphony.clock import Clock
from opensymphony.errors import ConfigurationError
from opensymphony.services import open_tracker
from opensymphony.services.files.tracker import FilesTracker
from opensymphony.workflow.policy import TrackerPolicy


def test_a_tracker_is_opened_by_its_name(tmp_path: Path) -> None:
    """Nothing is asked of it yet, so a folder that is missing is no matter here."""
    policy = TrackerPolicy(kind="files", provider={"path": str(tmp_path / "missing")})
    assert isinstance(open_tracker(policy, Clock()), FilesTracker)


def test_an_unknown_kind_is_a_fault_of_the_policy() -> None:
    """The message has the names there are."""
    with pytest.raises(ConfigurationError, match="no tracker is called 'bogus'; this release has: files") as caught:
        open_tracker(TrackerPolicy(kind="bogus"), Clock())
    assert [(problem.code, problem.key) for problem in caught.value.problems] == [
        ("unsupported_tracker_kind", "tracker.kind")
    ]


async def test_the_table_imports_no_service() -> None:
    """A command that needs none starts without them."""
    code = (
        "import sys, opensymphony.services; print([m for m in sys.modules if m.startswith('opensymphony.services.')])"
    )
    process = await anyio.run_process([sys.executable, "-c", code])
    assert process.stdout.strip() == b"[]"
