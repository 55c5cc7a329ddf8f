"""What an agent changed, without a look at its configuration of git."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.views import Changes
from opensymphony.workspace.changes import BYTES_MAX, changes
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


def cloned(tmp_path: Path) -> Path:
    """A clone with one commit of its base and nothing else."""
    git(tmp_path, "init", "-q", "-b", "main", "up")
    (tmp_path / "up" / "a").write_text("one\n")
    git(tmp_path / "up", "add", "-A")
    git(tmp_path / "up", "commit", "-q", "-m", "first")
    git(tmp_path, "clone", "-q", "up", "work")
    return tmp_path / "work"


async def test_a_new_file_is_shown_once_it_is_committed(tmp_path: Path) -> None:
    """Before that by name; one that is deleted, or moved, as such."""
    work = cloned(tmp_path)
    (work / "b").write_text("new\n")
    assert await changes(str(work), "main") == Changes(diff="new file: b")
    git(work, "add", "-A")
    git(work, "mv", "a", "c")
    git(work, "commit", "-q", "-m", "second")
    told = (await changes(str(work), "main")).diff
    assert "new file mode 100644" in told and "+new" in told and "rename to c" in told
    (work / "c").unlink()
    assert "deleted file mode" in (await changes(str(work), "main")).diff


async def test_a_long_diff_is_cut_at_a_line(tmp_path: Path) -> None:
    """At its end, and it says so; what git writes beyond is thrown away."""
    work = cloned(tmp_path)
    for number in range(6):
        (work / f"big{number}").write_text("".join(f"line {line} \u00e4\n" for line in range(80_000)))
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "big")
    told = await changes(str(work), "main")
    assert told.truncated
    assert BYTES_MAX - 100 < len(told.diff.encode()) <= BYTES_MAX
    assert told.diff.startswith("diff --git a/big0") and told.diff.endswith("\u00e4\n")


async def test_links_lead_nowhere(tmp_path: Path) -> None:
    """A link is told as where it points to; a repository that reaches out of itself is refused."""
    work = cloned(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("sesame\n")
    (work / "a").unlink()
    (work / "a").symlink_to(secret)
    (work / "d").symlink_to(tmp_path)
    told = (await changes(str(work), "main")).diff
    assert "sesame" not in told and str(secret) in told
    (work / ".git").rename(tmp_path / "elsewhere")
    (work / ".git").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WorkspaceError):
        await changes(str(work), "main")
    linked = tmp_path / "linked"
    linked.symlink_to(work)
    with pytest.raises(WorkspaceError):
        await changes(str(linked), "main")


async def test_bytes_that_are_no_text_are_told_all_the_same(tmp_path: Path) -> None:
    """Another encoding with signs in the place of what is not UTF-8; a binary file by name."""
    work = cloned(tmp_path)
    (work / "a").write_bytes(b"gr\xfc\xdfe \x1b[31m\n")
    assert "gr\ufffd\ufffde \x1b[31m" in (await changes(str(work), "main")).diff
    (work / "a").write_bytes(b"\x00\x01")
    assert "Binary files a/a and b/a differ" in (await changes(str(work), "main")).diff
