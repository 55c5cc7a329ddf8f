"""Names that cannot escape, and repositories recognised under every spelling."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensymphony.errors import WorkspaceError
from opensymphony.model import TICKET_KEY_CHARS_MAX as KEY_CHARS_MAX
from opensymphony.workspace.paths import (
    check_directory,
    child,
    open_root,
    repository_key,
    without_credentials,
    workspace_key,
)

HASHED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*--[0-9a-f]{16}")


@pytest.mark.parametrize("identifier", ["ABC-1", "a", "v1.2", "x_y", "0001-fix.it", "A" * KEY_CHARS_MAX])
def test_safe_identifiers_keep_their_name(identifier: str) -> None:
    """F11: an identifier that is a safe name is its own key."""
    assert workspace_key(identifier) == identifier


@pytest.mark.parametrize(
    "identifier",
    [
        "A/B",
        "A:B",
        "../../etc",
        "/etc/passwd",
        "~",
        ".",
        "..",
        ".git",
        "-rf",
        "a..b",
        "a.lock",
        "a.",
        "ünïcode",
        "x" * 300,
        "Bug: weird path",
        "a\nb",
        "a\0b",
        "💥",
        "\udcff",
        ".trash",
        ".set-aside",
    ],
)
def test_changed_identifiers_end_in_a_hash(identifier: str, tmp_path: Path) -> None:
    """F10: whatever had to be changed is inside the root, has only safe characters, and carries 16 hex digits."""
    key = workspace_key(identifier)
    assert HASHED.fullmatch(key)
    assert len(key) <= KEY_CHARS_MAX
    assert os.path.dirname(child(str(tmp_path), key)) == str(tmp_path)


def test_the_hash_is_the_identifiers_own() -> None:
    """The key can be computed by anyone: SHA-256 of the identifier, first 16 hex digits."""
    assert workspace_key("feature/42") == "feature_42--ee27561173a41435"


def test_collisions_stay_apart() -> None:
    """F11: identifiers that sanitise to the same text get different keys, the same one always the same."""
    keys = {workspace_key(identifier) for identifier in ("A/B", "A_B", "A:B")}
    assert len(keys) == 3
    assert workspace_key("A/B") == workspace_key("A/B")


@pytest.mark.parametrize("identifier", ["", "   ", "\n"])
def test_blank_identifiers_are_refused(identifier: str) -> None:
    """A ticket without a name gets no directory."""
    with pytest.raises(WorkspaceError, match="without an identifier") as caught:
        workspace_key(identifier)
    assert caught.value.error_class == "final"


@given(st.text(min_size=1).filter(str.strip))
def test_any_key_is_one_plain_name_that_git_takes(identifier: str) -> None:
    """No identifier leads out of the root, looks like an option, is hidden, or breaks a reference's name."""
    key = workspace_key(identifier)
    assert child("/r", key) == f"/r/{key}"
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", key)
    assert ".." not in key
    assert not key.endswith((".", ".lock"))


@pytest.mark.parametrize("key", ["", ".", "..", "a/b", "../a", ".receipts", "-a"])
def test_child_refuses_what_is_not_one_name(key: str) -> None:
    """A key from a damaged journal cannot lead anywhere else."""
    with pytest.raises(WorkspaceError, match="one plain name"):
        child("/r", key)


def test_root_is_made_private_and_its_links_resolved(tmp_path: Path) -> None:
    """F12: a root reached by a link is accepted under its real path; a new one is only ours."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    made = open_root(str(tmp_path / "link" / "a" / "b"))
    assert made == str(tmp_path.resolve() / "real" / "a" / "b")
    assert os.stat(made).st_mode & 0o777 == 0o700


@pytest.mark.parametrize("root", ["relative/root", "", "/with\nnewline"])
def test_root_has_to_be_absolute(root: str) -> None:
    """A relative root would follow the directory that the daemon was started in."""
    with pytest.raises(WorkspaceError, match="absolute path"):
        open_root(root)


def test_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    """The message names the setting and the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match=r"workspace.root .*/file cannot be used: File exists") as caught:
        open_root(str(tmp_path / "file"))
    assert caught.value.error_class == "person"


def test_root_has_a_name_that_can_be_written(tmp_path: Path) -> None:
    """A link can lead to a directory whose name is no text; the journal could not hold the path."""
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    os.symlink(os.fsencode(tmp_path) + b"/\xff", tmp_path / "link")
    with pytest.raises(WorkspaceError, match="not UTF-8 text"):
        open_root(str(tmp_path / "link"))


def test_check_directory_follows_nothing(tmp_path: Path) -> None:
    """F4: a link, even to a directory, a dangling one, a file and a socket are refused; nothing there is no error."""
    assert check_directory(str(tmp_path))
    assert not check_directory(str(tmp_path / "none"))
    (tmp_path / "to-directory").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    for name, kind in [
        ("to-directory", "symbolic link"),
        ("dangling", "symbolic link"),
        ("file", "not a directory"),
        ("fifo", "not a directory"),
    ]:
        with pytest.raises(WorkspaceError, match=kind):
            check_directory(str(tmp_path / name))


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "https://example.org/Owner/repo",
            "https://EXAMPLE.org/Owner/repo.git",
            "https://me:pw@example.org/Owner/repo/",
        ),
        ("git@example.org:o/repo.git", "ssh://git@example.org/o/repo"),
        ("/srv/repo", "/srv/repo/", "/srv/./repo.git", "file:///srv/repo"),
    ],
)
def test_repository_keys_are_the_same_for_every_spelling(spellings: tuple[str, ...]) -> None:
    """One repository has one key."""
    keys = {repository_key(spelling) for spelling in spellings}
    assert len(keys) == 1
    assert re.fullmatch(r"repo-[0-9a-f]{12}", keys.pop())


def test_repository_keys_tell_repositories_apart(tmp_path: Path) -> None:
    """Same name, other place: other key; links count for what they point to; long names are cut."""
    assert repository_key("/a/repo") != repository_key("/b/repo")
    (tmp_path / "link").symlink_to(tmp_path)
    assert repository_key(str(tmp_path / "link")) == repository_key(str(tmp_path))
    assert re.fullmatch(r"my-repo-x{40}-[0-9a-f]{12}", repository_key("/a/My Repo " + "x" * 99))
    assert re.fullmatch(r"repository-[0-9a-f]{12}", repository_key("/a/___"))


def test_credentials_are_taken_out_of_text() -> None:
    """Whatever stands before the host is nobody's business."""
    text = without_credentials("fatal: 'https://u:p@h/r' and ssh://git@h/r, mail a@b")
    assert text == "fatal: 'https://h/r' and ssh://h/r, mail a@b"
