"""The command `install`: exit codes, data on standard output, narration on standard error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from opensymphony import bundled
from opensymphony.cli.install import install
from tests.agents.openhands.conftest import bundle as bundle  # the fixture

application = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
application.command()(install)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application, arguments)


@pytest.fixture
def tiny(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command installs the tiny package instead of the agent-server."""
    monkeypatch.setattr(bundled, "path", lambda name: bundle)
    return bundle


def test_installs_then_finds_it_installed(tiny: Path, tmp_path: Path) -> None:
    """The first run tells each phase on standard error and one line on standard output, the second just that it is there."""
    tool_dir = str(tmp_path / "tool")
    first = run("openhands", "--tool-dir", tool_dir)
    assert first.exit_code == 0, first.stderr
    assert first.stdout.startswith(f"agent-server 1.0 installed in {tool_dir} in ")
    assert first.stderr.startswith("install: preparing:")
    second = run("openhands", "--tool-dir", tool_dir)
    assert (second.exit_code, second.stderr) == (0, "")
    assert second.stdout == f"agent-server 1.0 already installed in {tool_dir}\n"


def test_json_is_one_document(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json standard output is one document; OPENSYMPHONY_TOOL_DIR names the place without an option."""
    monkeypatch.setenv("OPENSYMPHONY_TOOL_DIR", str(tmp_path / "tool"))
    done = run("openhands", "--json")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["version"], document["changed"]) == (0, "1.0", True)
    assert document["directory"] == str(tmp_path / "tool")


def test_an_unknown_target_is_a_usage_error() -> None:
    """Only `openhands` can be installed; anything else is exit code 2 with the choice."""
    done = run("nonsense")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "install: unknown target nonsense: the only one is openhands\n"


def test_a_failure_is_one_line_and_exit_code_4(tiny: Path, tmp_path: Path) -> None:
    """What cannot be installed is told on one line, without a traceback."""
    (tmp_path / "tool").write_text("a file of mine")
    done = run("openhands", "--tool-dir", str(tmp_path / "tool"))
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr.endswith("tool: File exists: choose another --tool-dir or repair this one\n")
    assert done.stderr.count("\n") == 1
