"""Where the files that travel with us are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony import bundled
from opensymphony.errors import InstallationError


def test_a_checkout_has_them_beside_the_package() -> None:
    """From a checkout the repository's own folders are used, so that an edit takes effect at once."""
    root = bundled.repository()
    assert root is not None
    assert bundled.path("openhands-server") == root / "tools" / "openhands-server"
    assert (bundled.path("workflows") / "files" / "WORKFLOW.md").is_file()


def test_an_incomplete_copy_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package without its data is one line that names the folder."""
    monkeypatch.setattr(bundled, "_PACKAGE", tmp_path / "opensymphony")
    with pytest.raises(InstallationError, match="incomplete, install it again"):
        bundled.path("workflows")


def test_the_pin_stands_in_one_place_and_every_package_has_hashes() -> None:
    """The three packages have the version of version.txt; no entry lacks a hash, names an index, or can never apply."""
    folder = bundled.path("openhands-server")
    version = (folder / "version.txt").read_text().strip()
    text = (folder / "requirements.txt").read_text()
    for name in ("openhands-agent-server", "openhands-sdk", "openhands-tools"):
        assert f"\n{name}=={version} \\\n" in text
    entries = text.replace("\\\n", " ").splitlines()
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "never" not in text
    assert "browser-use" not in text
    assert "://" not in text
    others = [path.name for path in folder.iterdir() if path.name != "requirements.txt" and version in path.read_text()]
    assert others == ["version.txt"]
