"""`opensymphony demo`: what it refuses before it begins. What it does is in tests/demo and in tests/live."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from opensymphony.agents.openhands import installation
from tests.cli.program import call, run
from tests.fakes.stub_installation import install_stub


def test_without_git_nothing_is_installed_or_made(here: Path) -> None:
    """One line, asked before an installation of minutes; the directory stays away."""
    (here / "bin").mkdir()
    tools = here / "tools"
    said = run(
        "demo",
        "--keep",
        str(here / "kept"),
        PATH=str(here / "bin"),
        OPENSYMPHONY_TOOL_DIR=str(tools),
    )
    assert (said.code, said.out) == (1, "")
    assert said.lines == ["opensymphony: git was not found on the PATH: install git (on Debian: apt-get install git)"]
    assert not tools.exists()
    assert not (here / "kept").exists()


@pytest.mark.parametrize("keep", ["file", "full"])
def test_a_directory_of_somebody_else_is_left_alone(keep: str, here: Path) -> None:
    """A file, or a directory with something in it: one line, and nothing in it has changed."""
    install_stub(here / "tools")
    (here / "file").write_text("mine")
    (here / "full").mkdir()
    (here / "full" / "work").write_text("mine")
    said = run("demo", "--keep", str(here / keep), OPENSYMPHONY_TOOL_DIR=str(here / "tools"))
    assert (said.code in (1, 2), said.out, len(said.lines)) == (True, "", 1), said.err
    assert str(here / keep) in said.lines[0]
    assert (here / "file").read_text() == (here / "full" / "work").read_text() == "mine"
    assert sorted(os.listdir(here / "full")) == ["work"]


def test_a_server_that_does_not_start_ends_the_demo(here: Path) -> None:
    """Exit code 4 with the end of its log; nothing is kept unless asked for."""
    install_stub(here / "tools", "echo no such module; exit 3")
    (here / "tmp").mkdir()
    said = run("demo", OPENSYMPHONY_TOOL_DIR=str(here / "tools"), TMPDIR=str(here / "tmp"))
    assert (said.code, said.out) == (4, "")
    assert "ended with exit code 3 at its start: no such module" in said.lines[-1]
    assert list((here / "tmp").glob("opensymphony-demo-*")) == []


def test_no_space_for_the_installation_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4, how much is needed and where; nothing is begun."""
    (here / "uv").write_text("#!/bin/sh\nexit 1\n")
    (here / "uv").chmod(0o755)
    monkeypatch.setenv("OPENSYMPHONY_UV", str(here / "uv"))
    monkeypatch.setattr(installation, "DISK_BYTES_NEEDED", 10**18)
    monkeypatch.setenv("OPENSYMPHONY_TOOL_DIR", str(here / "tools"))
    said = call("demo", "--keep", str(here / "kept"))
    assert (said.code, said.out) == (4, "")
    assert said.lines[-1].startswith("opensymphony: ")
    assert re.search(r"not enough disk space: \d+ MB needed, \d+ MB free: make room or ", said.lines[-1])
    assert not (here / "kept").exists()
    assert not list((here / "tools").glob("env-*"))
