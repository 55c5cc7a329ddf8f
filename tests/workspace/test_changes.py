"""What an agent changed, without a look at its configuration of git."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.views import Changes
from opensymphony.workspace.changes import changes
from tests.daemon.world import git


async def test_committed_or_not_it_is_shown(tmp_path: Path) -> None:
    """Against the base branch; new files by name, ours not at all, and nothing of the agent's is run."""
    mark = tmp_path / "ran"
    git(tmp_path, "init", "-q", "-b", "main", "up")
    (tmp_path / "up" / "a").write_text("one\n")
    (tmp_path / "up" / "b").write_text("one\n")
    git(tmp_path / "up", "add", "-A")
    git(tmp_path / "up", "commit", "-q", "-m", "first")
    git(tmp_path, "clone", "-q", "up", "work")
    work = tmp_path / "work"
    assert await changes(str(work), "main") == Changes(diff="")
    (work / "a").write_text("two\n")
    git(work, "commit", "-q", "-am", "second")
    (work / "b").write_text("three\n")
    (work / "new").write_text("x\n")
    (work / ".opensymphony").mkdir()
    (work / ".opensymphony" / "run.json").write_text("{}")
    (work / ".gitattributes").write_text("* diff=evil filter=evil\n")
    with (work / ".git" / "config").open("a") as file:
        file.write(f'[diff "evil"]\n\tcommand = touch {mark}\n[filter "evil"]\n\tclean = touch {mark}\n')
    told = (await changes(str(work), "main")).diff
    assert "-one\n+two" in told and "-one\n+three" in told and "new file: new" in told
    assert "run.json" not in told and not mark.exists()


async def test_what_is_no_repository_is_told(tmp_path: Path) -> None:
    """In one line."""
    with pytest.raises(WorkspaceError):
        await changes(str(tmp_path), None)
