"""Every step of `doctor --live` that can fail, on an agent-server that only looks like one; the real one: tests/live."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from opensymphony.demo.model import ModelEndpoint, Play
from opensymphony.doctor import live
from opensymphony.doctor.live import live_checks, names
from opensymphony.doctor.place import open_place
from opensymphony.doctor.steps import Steps
from opensymphony.isolation import Isolation
from opensymphony.views import Check
from opensymphony.workflow.policy import OpenHandsPolicy, TransportPolicy
from tests.cli.program import argv, write_workflow
from tests.doctor.conftest import GOOD, WORKS, Project
from tests.fakes.stub_installation import install_stub


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agents here ask no model: it is put as if they had."""

    @asynccontextmanager
    async def serve(play: Play) -> AsyncIterator[ModelEndpoint]:
        endpoint = ModelEndpoint(play)
        endpoint.requests.append({"tools": [{"function": {"name": "terminal"}}]})
        endpoint.request_count = 2
        yield endpoint

    monkeypatch.setattr(live, "serve_model", serve)


async def tried(project: Project, **changes: Any) -> dict[str, Check]:
    """The checks by their names, which are always all of them."""
    steps = Steps(lambda check: None)
    async with open_place() as place:
        policy = changes.pop("policy", project.policy)
        await live_checks(steps, place, project.settings, policy, Isolation(), with_model=False)
    assert tuple(check.name for check in steps.checks) == names(with_model=False)
    return {check.name: check for check in steps.checks}


def outcome(checks: dict[str, Check]) -> list[str]:
    return [check.status for check in checks.values()]


def left(base: Path) -> list[str]:
    """Files, and processes that know of them."""
    found = os.listdir(base)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.name != str(os.getpid()) and str(base).encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().decode())
        except OSError:
            continue
    return [one for one in found if one]


async def test_all_is_well(project: Project, base: Path) -> None:
    """The project's own store and conversations are not even made."""
    project.script(*GOOD)
    checks = await tried(project)
    assert outcome(checks) == ["pass"] * 6, checks
    assert "found again" in checks["live-reattach"].detail
    assert checks["live-cleanup"].figures["processes"] >= 1
    assert left(base) == []
    assert not Path(project.settings.store_dir).exists()
    assert not (project.tools / "workspace").exists()


async def test_a_server_that_ends_at_once_is_shown_with_its_last_words(project: Project, base: Path) -> None:
    install_stub(project.tools, "echo 'no module of this name' >&2; exit 3")
    checks = await tried(project)
    assert outcome(checks) == ["fail", *["skip"] * 4, "pass"]
    assert "no module of this name" in checks["live-server"].detail
    assert "(log:" not in checks["live-server"].detail
    assert "install openhands" in checks["live-server"].fix
    assert left(base) == []


async def test_a_server_that_never_answers_has_its_time(project: Project, base: Path) -> None:
    install_stub(project.tools)
    checks = await tried(project, policy=project.policy_with(startup_timeout_ms=300))
    assert outcome(checks) == ["fail", *["skip"] * 4, "pass"]
    assert "did not answer within" in checks["live-server"].detail
    assert left(base) == []


async def test_no_server_at_all(project: Project, base: Path) -> None:
    checks = await tried(project)
    assert outcome(checks) == ["fail", *["skip"] * 4, "pass"]
    assert "opensymphony install openhands" in checks["live-server"].detail


async def test_an_agent_that_fails(project: Project, base: Path) -> None:
    project.script({"status": "error", "calls": []})
    checks = await tried(project)
    assert checks["live-message"].status == "fail"
    assert checks["live-message"].detail.startswith("the agent ended as error")
    assert [checks[name].status for name in ("live-reattach", "live-cleanup")] == ["skip", "pass"]
    assert left(base) == []


async def test_a_server_that_dies_of_a_message(project: Project, base: Path) -> None:
    """It is started again and again, and in the end the step that waits for it has its limit; nothing is left."""
    project.script({"exit": 1})
    checks = await tried(project, policy=project.policy_with(max_restarts=0))
    assert "fail" in (checks["live-stream"].status, checks["live-message"].status)
    assert checks["live-cleanup"].status == "pass"
    assert left(base) == []


async def test_a_terminal_that_reaches_no_workspace(project: Project, base: Path) -> None:
    project.script({"says": "messages read: 1"})
    check = (await tried(project))["live-message"]
    assert (check.status, "did not reach its workspace" in check.detail) == ("fail", True)


@pytest.mark.parametrize(
    "command", ["printf '\\377\\376' > doctor.txt", "echo others > doctor.txt", "mkfifo doctor.txt"]
)
async def test_a_file_that_holds_something_else(project: Project, base: Path, command: str) -> None:
    """Whatever an agent has made of it: the step has failed, and everything is cleared up."""
    project.script({"run": [command], "says": "messages read: 1"})
    checks = await tried(project)
    assert outcome(checks) == [*["pass"] * 3, "fail", "skip", "pass"], checks
    words = "no ordinary file" if "mkfifo" in command else "does not hold what was asked for"
    assert words in checks["live-message"].detail
    assert left(base) == []


async def test_an_agent_that_forgets(project: Project, base: Path) -> None:
    """The second message comes into a conversation of which the first one is not known."""
    project.script(GOOD[0], {**WORKS, "says": "messages read: 1"})
    checks = await tried(project)
    assert outcome(checks) == [*["pass"] * 4, "fail", "pass"]
    assert checks["live-reattach"].detail == "the agent should remember 2 messages, and has read 1"


async def test_a_server_of_others_is_left_alone(project: Project, base: Path) -> None:
    transport = TransportPolicy(base_url="https://agents.example.com")
    policy = live.replace(project.policy, openhands=OpenHandsPolicy(transport=transport))
    checks = await tried(project, policy=policy)
    assert outcome(checks) == ["skip"] * 6
    assert "left alone" in checks["live-server"].detail


@pytest.mark.parametrize("moment", ["live-server", "live-conversation", "live-message", "live-reattach"])
async def test_an_interrupt_at_any_step_leaves_nothing(project: Project, base: Path, moment: str) -> None:
    project.script(*GOOD)
    with anyio.CancelScope() as scope:
        steps = Steps(lambda check: scope.cancel() if check.name == moment else None)
        async with open_place() as place:
            await live_checks(steps, place, project.settings, project.policy, Isolation(), with_model=False)
    assert scope.cancelled_caught
    assert left(base) == []


def starting(base: Path, told: str) -> bool:
    return any("--port" in one for one in left(base))


def conversing(base: Path, told: str) -> bool:
    return "live-conversation" in told


def following(base: Path, told: str) -> bool:
    return "live-stream" in told


@pytest.mark.parametrize("moment", [starting, conversing, following], ids=lambda one: one.__name__)
async def test_a_kill_at_any_step_leaves_nothing(
    project: Project, base: Path, moment: Callable[[Path, str], bool]
) -> None:
    """Of the command as people start it: its guard clears up."""
    project.script(*GOOD)
    workflow = write_workflow(project.directory, more="isolation: none\n")
    environment = {
        **os.environ,
        "TMPDIR": str(base),
        "OPENSYMPHONY_TOOL_DIR": str(project.tools),
        "LLM_MODEL": "openai/m",
    }
    out = project.directory / "out"
    with out.open("wb") as file:
        doctor = subprocess.Popen(argv("doctor", str(workflow), "--live"), env=environment, stdout=file, stderr=file)
    try:
        while not moment(base, out.read_text()):
            assert doctor.poll() is None, out.read_text()
            await anyio.sleep(0.02)
        assert left(base)
    finally:
        doctor.kill()
        doctor.wait()
    with anyio.fail_after(30):
        while left(base):
            await anyio.sleep(0.05)
