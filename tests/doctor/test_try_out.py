"""What is tried, and when nothing is."""

from __future__ import annotations

import os
from pathlib import Path

from opensymphony.doctor.try_out import try_out
from opensymphony.views import Check
from tests.doctor.conftest import Project


async def test_nothing_is_tried_where_the_policy_cannot_be_used(project: Project, base: Path) -> None:
    """Each check says so; no directory is made."""
    told: list[Check] = []
    await try_out(project.settings, None, with_server=True, with_model=True, report=told.append)
    assert {check.status for check in told} == {"skip"}
    assert [check.name for check in told][:2] == ["model-call", "live-server"]
    assert os.listdir(base) == []


async def test_a_model_that_fails_does_not_keep_the_server_from_being_tried(project: Project, base: Path) -> None:
    """Nothing is installed, so that both fail, each for itself; the real model is not put before the agent-server then."""
    told: list[Check] = []
    await try_out(project.settings, project.policy, with_server=True, with_model=True, report=told.append)
    status = {check.name: check.status for check in told}
    assert (status["model-call"], status["live-server"]) == ("fail", "fail")
    assert "live-model" not in status
    assert os.listdir(base) == []
