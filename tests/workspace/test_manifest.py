"""Copies for people, in a directory that belongs to somebody else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.model import Usage
from opensymphony.workspace.manifest import EXCLUDE_LINE, exclude_from_git, write_manifest


def test_a_manifest_is_readable_private_and_replaced(tmp_path: Path) -> None:
    """JSON for people, 0600 in a 0700 directory, and nothing but the newest one left."""
    write_manifest(str(tmp_path), "run", {"status": "preparing"})
    write_manifest(str(tmp_path), "run", {"status": "running", "usage": Usage(prompt_tokens=3), "list": ("a", 1, None)})
    directory = tmp_path / ".opensymphony"
    assert os.listdir(directory) == ["run.json"]
    content = json.loads((directory / "run.json").read_text())
    assert (content["status"], content["usage"]["prompt_tokens"], content["list"]) == ("running", 3, ["a", 1, None])
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "run.json").stat().st_mode & 0o777 == 0o600


def test_credentials_are_left_out(tmp_path: Path) -> None:
    """By the name of a key and inside addresses, at any depth; counts and names of variables stay."""
    write_manifest(
        str(tmp_path),
        "conversation",
        {
            "api_key": "canary-1",
            "nested": [{"JIRA_API_TOKEN": "canary-2", "session_api_key": "canary-3"}],
            "url": "https://me:canary-4@example.org/r",
            "password": b"canary-5",
            "llm_api_key_env": "LLM_API_KEY",
            "input_tokens": 12,
            "secret": None,
        },
    )
    text = (tmp_path / ".opensymphony" / "conversation.json").read_text()
    assert "canary" not in text
    content = json.loads(text)
    assert content["url"] == "https://example.org/r"
    assert (content["llm_api_key_env"], content["input_tokens"], content["secret"]) == ("LLM_API_KEY", 12, None)


@pytest.mark.parametrize("kind", ["directory", "dangling", "file"])
def test_no_link_is_followed(tmp_path: Path, kind: str) -> None:
    """An agent that plants links cannot make the daemon write elsewhere."""
    workspace = tmp_path / "ws"
    away = tmp_path / "away"
    workspace.mkdir()
    away.mkdir()
    (away / "run.json").write_text("precious")
    if kind == "file":
        (workspace / ".opensymphony").mkdir()
        (workspace / ".opensymphony" / "run.json").symlink_to(away / "run.json")
        write_manifest(str(workspace), "run", {"a": 1})
        assert not (workspace / ".opensymphony" / "run.json").is_symlink()
    else:
        (workspace / ".opensymphony").symlink_to(away if kind == "directory" else tmp_path / "none")
        with pytest.raises(WorkspaceError, match=r"run\.json cannot be written: Not a directory; remove"):
            write_manifest(str(workspace), "run", {"a": 1})
    assert (away / "run.json").read_text() == "precious"
    assert os.listdir(away) == ["run.json"]
    assert not (tmp_path / "none").exists()


def test_a_directory_in_the_files_place_is_told(tmp_path: Path) -> None:
    """One line, and the temporary file is gone."""
    (tmp_path / ".opensymphony" / "run.json" / "x").mkdir(parents=True)
    with pytest.raises(WorkspaceError, match="cannot be written"):
        write_manifest(str(tmp_path), "run", {"a": 1})
    assert os.listdir(tmp_path / ".opensymphony") == ["run.json"]


@pytest.mark.parametrize("name", ["../run", "a/b", "", ".x", "Run", "a" * 99])
def test_names_are_plain(tmp_path: Path, name: str) -> None:
    """A name cannot lead out of the directory."""
    with pytest.raises(WorkspaceError, match="no name for a manifest"):
        write_manifest(str(tmp_path), name, {})
    assert os.listdir(tmp_path) == []


def test_size_is_limited(tmp_path: Path) -> None:
    """A ticket of many megabytes does not end up on the disk once more."""
    with pytest.raises(WorkspaceError, match="larger than 1048576 bytes"):
        write_manifest(str(tmp_path), "issue", {"description": "x" * 2_000_000})
    assert os.listdir(tmp_path) == []


def test_exclude_is_added_once_to_what_is_there(tmp_path: Path) -> None:
    """Lines that are there stay, and a missing end of line is no trap."""
    info = tmp_path / ".git" / "info"
    info.mkdir(parents=True)
    (info / "exclude").write_text("*.tmp")
    exclude_from_git(str(tmp_path))
    exclude_from_git(str(tmp_path))
    assert (info / "exclude").read_text() == f"*.tmp\n{EXCLUDE_LINE}"


def test_exclude_without_a_repository_is_nothing(tmp_path: Path) -> None:
    """Without `.git`, or with a file in its place, there is nothing to exclude from."""
    exclude_from_git(str(tmp_path))
    (tmp_path / ".git").write_text("gitdir: /elsewhere")
    exclude_from_git(str(tmp_path))
    assert os.listdir(tmp_path) == [".git"]
