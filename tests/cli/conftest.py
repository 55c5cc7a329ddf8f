"""A directory to be in, and a home, of each test's own."""

import pytest


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty directory to be in, with a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "OPENSYMPHONY_TOOL_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path
