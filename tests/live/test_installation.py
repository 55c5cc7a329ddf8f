"""The shared installation of the real agent-server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import anyio
import pytest

from opensymphony import bundled
from opensymphony.agents.openhands import installation

pytestmark = pytest.mark.live


def test_the_installed_server_is_the_pinned_one(agent_server_tool_dir: Path) -> None:
    """The three packages have the pinned version, the browser was left out, and bytecode is compiled."""
    python = installation.python_path(agent_server_tool_dir)
    code = (
        "from importlib.metadata import version, distributions\n"
        "print({version(f'openhands-{name}') for name in ('agent-server', 'sdk', 'tools')})\n"
        "print('browser-use' in {d.metadata['Name'] for d in distributions()})\n"
    )
    said = subprocess.run([python, "-c", code], cwd="/", check=True, capture_output=True, text=True).stdout
    pin = (bundled.path("openhands-server") / "version.txt").read_text().strip()
    assert said.splitlines() == [str({pin}), "False"]
    assert list(
        (agent_server_tool_dir / "current").glob("lib/python*/site-packages/openhands/agent_server/__pycache__/*.pyc")
    )


async def test_a_second_installation_finds_it_there(agent_server_tool_dir: Path) -> None:
    """The whole tree of the real server is looked at and left alone, with nothing to report."""
    seen: list[installation.InstallProgress] = []
    with anyio.fail_after(20):
        done = await installation.install(agent_server_tool_dir, seen.append)
    assert (done.changed, seen) == (False, [])


def test_the_server_by_hand_explains_itself_without_an_installation(tmp_path: Path) -> None:
    """run-local.sh beside no installation names the command; a bad port is a usage error."""
    script = str(bundled.path("openhands-server") / "run-local.sh")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([script], env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, "opensymphony install openhands" in done.stderr) == (1, True)
    done = subprocess.run([script, "80x"], env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, "not a port: 80x" in done.stderr) == (2, True)
