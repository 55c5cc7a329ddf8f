"""A project is set up in one command, and nothing of it is lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import argv, call
from tests.cli.test_webhook import Served
from tests.fakes.jira import EMAIL, TOKEN, FakeJira


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository on a branch of its own name."""
    subprocess.run(["git", "init", "-q", "-b", "trunk"], cwd=tmp_path, check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "first"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    for name in ("JIRA_URL", "JIRA_USER_EMAIL", "JIRA_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_board_of_files_is_ready_to_be_used(here: Path) -> None:
    """Written, told, checked: the configuration is good, and the example is not worked on by itself."""
    (here / ".gitignore").write_text("*.pyc")
    said = call("init", "--tracker", "files", "--verify", "make test")
    assert said.code == 0, said
    assert "doctor: " in said.err and "no ticket is in an active state" in said.err
    assert "FAIL  model" in said.err and "PASS" not in said.err
    assert said.out.splitlines()[:3] == ["wrote WORKFLOW.md", "wrote opensymphony.toml", "wrote .gitignore"]
    text = (here / "WORKFLOW.md").read_text()
    assert "base: trunk" in text and 'command: "make test"' in text
    assert (here / ".gitignore").read_text() == "*.pyc\n.opensymphony/\n"
    assert call("config", "check").code == 0
    dry = call("run", "--dry-run")
    assert (dry.code, "EXAMPLE-1" in dry.out) == (0, False), dry
    (here / "tickets" / "EXAMPLE-1.md").write_text(
        (here / "tickets" / "EXAMPLE-1.md").read_text().replace("Backlog", "Todo")
    )
    assert "EXAMPLE-1" in call("run", "--dry-run").out
    assert sorted(path.name for path in here.iterdir() if path.name.endswith("-new")) == []


def test_nothing_is_replaced_without_being_asked(here: Path) -> None:
    (here / "WORKFLOW.md").write_text("mine")
    said = call("init", "--tracker", "files")
    assert (said.code, said.lines) == (2, ["opensymphony: WORKFLOW.md is there already: use --force to replace"])
    assert (here / "WORKFLOW.md").read_text() == "mine"
    assert sorted(os.listdir(here)) == [".git", "WORKFLOW.md"]
    (here / "tickets").mkdir()
    assert call("init", "--tracker", "files", "--force").code == 0
    assert list((here / "tickets").iterdir()) == []


def test_a_site_is_asked_before_anything_is_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it lacks is told with its remedy; a token stands in no file."""
    jira = FakeJira()
    with Served(jira.serving):
        arguments = ("init", "--tracker", "jira", "--site", jira.base_url, "--email", EMAIL, "--project", "proj")
        monkeypatch.setenv("JIRA_API_TOKEN", "wrong")
        said = call(*arguments)
        assert said.code == 3
        assert "does not take our token" in said.err
        assert said.lines[-1] == "opensymphony: nothing was written: mend what failed, or use --unchecked"
        assert os.listdir(here) == [".git"]
        monkeypatch.setenv("JIRA_API_TOKEN", TOKEN)
        jira.create()
        said = call(*arguments)
        assert said.code == 0, said
        assert "PASS  jira-account" in said.err
        assert "PROJ-1  would wait" in said.out or "no ticket" in said.err
        written = [path.read_text() for path in here.iterdir() if path.is_file()]
        assert not any(TOKEN in text for text in written)
        assert call("config", "check").code == 0
        assert "an issue of PROJ with the label agent, assigned to the account" in said.out


def test_what_is_missing_is_said(here: Path) -> None:
    """Nobody can be asked here."""
    assert call("init", "--tracker", "jira").lines == [
        "opensymphony: a site and a project are needed: give --site and --project"
    ]
    said = call("init", "--tracker", "jira", "--site", "acme", "--project", "PROJ", "--unchecked")
    assert (said.code, "is no address" in said.lines[0]) == (2, True)
    assert os.listdir(here) == [".git"]


def test_a_directory_that_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workspaces are filled by a hook there; no line is ignored where nothing is tracked."""
    monkeypatch.chdir(tmp_path)
    assert call("init", "--tracker", "files").code == 0
    assert not (tmp_path / ".gitignore").exists()
    assert "# repository:" in (tmp_path / "WORKFLOW.md").read_text()
    assert call("config", "check").code == 0


def test_a_repository_without_a_commit_or_above_this_directory_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", "-b", "trunk"], cwd=tmp_path, check=True)
    (tmp_path / "below").mkdir()
    for place, url in ((tmp_path, "url: ."), (tmp_path / "below", 'url: ".."')):
        monkeypatch.chdir(place)
        assert call("init", "--tracker", "files", "--unchecked").code == 0
        text = (place / "WORKFLOW.md").read_text()
        assert url in text and "base: trunk" in text


def test_a_remote_on_bitbucket_brings_pull_requests(here: Path) -> None:
    """Unless they are not wanted; a tracker of files has none yet."""
    subprocess.run(["git", "remote", "add", "origin", "git@bitbucket.org:acme/app.git"], cwd=here, check=True)
    jira = ("init", "--tracker", "jira", "--site", "https://a.example", "--project", "P", "--unchecked", "--force")
    said = call(*jira, "--email", EMAIL)
    assert said.code == 0 and "BITBUCKET_TOKEN" in said.out
    assert 'url: "https://bitbucket.org/acme/app.git"' in (here / "WORKFLOW.md").read_text()
    assert "bitbucket_token" in (here / "opensymphony.toml").read_text()
    assert call("config", "check").code == 0
    assert call(*jira, "--code-host", "none").code == 0
    assert "code_host" not in (here / "WORKFLOW.md").read_text()
    refused = call("init", "--tracker", "files", "--code-host", "bitbucket", "--force")
    assert (refused.code, "remote origin on bitbucket.org" in refused.err) == (2, True)


@pytest.mark.parametrize(("answer", "replaced"), [(b"n\n", False), (b"\n", False), (b"y\n", True)])
def test_in_a_terminal_one_is_asked_before_anything_is_replaced(here: Path, answer: bytes, replaced: bool) -> None:
    (here / "WORKFLOW.md").write_text("mine")
    ours, theirs = os.openpty()
    os.write(ours, answer)
    try:
        done = subprocess.run(
            argv("init", "--tracker", "files", "--verify", "true", "--unchecked"),
            stdin=theirs, capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert "WORKFLOW.md is there already: replace?" in done.stderr
    assert done.returncode == (0 if replaced else 2), done
    assert ((here / "WORKFLOW.md").read_text() != "mine") == replaced
