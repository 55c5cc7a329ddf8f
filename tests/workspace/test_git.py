"""Git with our configuration only, and its failures as one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.workspace import git as module
from opensymphony.workspace.git import Answer, Git, failure, one_line
from tests.workspace.conftest import commit, git


async def test_nothing_of_the_users_configuration_counts(
    nonce: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the home directory's configuration nor variables of the daemon's environment reach git."""
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Mallory\n")
    for name, value in {
        "HOME": str(tmp_path),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "Eve",
        "GIT_DIR": "/nowhere",
        "XDG_CONFIG_HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    runner = Git(nonce)
    bare = str(tmp_path / "r.git")
    await runner.run(["init", "-q", "--bare", bare])
    assert (await runner.ask(["config", "user.name"], git_dir=bare)).exit_code == 1
    assert (await runner.run(["config", "core.hooksPath"], git_dir=bare)).output == "/dev/null\n"


async def test_warnings_do_not_mix_with_output(nonce: str, tmp_path: Path) -> None:
    """Standard error is kept apart: a listing holds nothing but what was listed."""
    git(tmp_path, "init", "-q")
    commit(tmp_path, "a", "1")
    (tmp_path / ".git" / "refs" / "heads" / "broken").write_text("nonsense\n")
    answer = await Git(nonce).run(["for-each-ref", "--format=%(objecttype)"], git_dir=str(tmp_path / ".git"))
    assert answer.lines == ("commit",)
    assert "ignoring broken ref" in answer.errors


async def test_a_failure_is_one_line_for_a_person(nonce: str, tmp_path: Path) -> None:
    """What git said, shortened to its cause."""
    with pytest.raises(WorkspaceError) as caught:
        await Git(nonce).run(["rev-parse", "--verify", "x"], git_dir=str(tmp_path))
    assert str(caught.value) == f"git rev-parse failed: fatal: not a git repository: '{tmp_path}'"


async def test_a_missing_git_is_named(nonce: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No git on the path: a person has to install it."""
    (tmp_path / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkspaceError, match="git could not be started: is it installed") as caught:
        await Git(nonce).run(["version"])
    assert caught.value.error_class == "person"
    assert "\n" not in str(caught.value)


async def test_a_git_that_hangs_is_ended(nonce: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its time limit git is ended with what it started, and another try may help."""
    monkeypatch.setattr(module, "LOCAL_TIMEOUT_MS", 200)
    with pytest.raises(WorkspaceError, match="git -c took longer than 0 s") as caught:
        await Git(nonce).run(["-c", "alias.hang=!setsid sleep 60 & sleep 60", "hang"])
    assert caught.value.error_class == "retry"


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("Cloning...\nfatal: it broke\n", "fatal: it broke"),
        ("remote: error: no\nTo x\n ! [rejected] a -> b\nhint: pull\n", "error: no; ! [rejected] a -> b"),
        ("one\ntwo\nthree\nhint: x\n", "two; three"),
        ("fatal: \x1b[31mred\x07", "fatal:  [31mred"),
        ("fatal: unable to access 'https://me:pw@h/r'", "fatal: unable to access 'https://h/r'"),
        ("", ""),
    ],
)
def test_one_line_tells_the_cause(said: str, line: str) -> None:
    """Telling lines first, no hints, no control characters, no credentials."""
    assert one_line(said) == line


def test_one_line_is_short() -> None:
    """A remote that talks without end is cut."""
    assert len(one_line("fatal: " + "x" * 10_000)) == 400


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("fatal: Authentication failed for 'https://h/r'", "person"),
        ("git@h: Permission denied (publickey).", "person"),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", "person"),
        ("error: file write error: No space left on device", "person"),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", "retry"),
        ("fatal: the remote end hung up unexpectedly", "retry"),
    ],
)
def test_who_can_help_is_told_by_what_git_said(said: str, expected: str) -> None:
    """Credentials and places are a person's, the network is worth another try."""
    error = failure("fetch", Answer(exit_code=128, output="", errors=said), advice="look there")
    assert error.error_class == expected
    assert str(error).endswith("look there") == (expected == "person")


def test_a_cut_listing_loses_only_the_cut_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a path is no path."""
    monkeypatch.setattr(module, "OUTPUT_BYTES_MAX", 8)
    assert Answer(exit_code=0, output="alf\0b\0c\0", errors="").paths == ("b", "c")
    assert Answer(exit_code=0, output="a\0b\0", errors="").paths == ("a", "b")
