"""What every test gets: a home of its own, no setting of the machine, git with a name, and anyio on asyncio."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import settings

from opensymphony.agents.openhands import installation

# Read before any test replaces HOME: half a gigabyte is shared by all live tests and all suites.
TOOL_DIR = Path(os.environ.get("OPENSYMPHONY_TOOL_DIR") or "~/.opensymphony/openhands-server").expanduser().absolute()
# Settings that would leak into what is tested; OPENSYMPHONY_UV only says where a program is.
LEAKING = re.compile(
    r"(LLM|JIRA|LINEAR|GITHUB|GITLAB|BITBUCKET|SLACK|OPENHANDS|OPENAI|ANTHROPIC|OH|GIT|XDG|SESSION|OPENSYMPHONY)_(?!UV$)\w+"
)

# How long an example takes says more about the machine than about the code.
settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def isolation(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own home directory; nothing of this machine's settings, credentials or git configuration."""
    home = tmp_path_factory.mktemp("home", numbered=True)
    for name in [name for name in os.environ if LEAKING.fullmatch(name)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for name, folder in [
        ("CONFIG", ".config"),
        ("DATA", ".local/share"),
        ("STATE", ".local/state"),
        ("CACHE", ".cache"),
    ]:
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / folder))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.invalid")
    return home


@pytest.fixture(scope="session")
def agent_server_tool_dir() -> Path:
    """The shared installation of the real agent-server; `./dev test` makes it before pytest starts."""
    state = installation.check(TOOL_DIR)
    if state.status != "complete":
        pytest.fail(f"{state.detail}: run `opensymphony install openhands --tool-dir {TOOL_DIR}` (./dev test does)")
    return TOOL_DIR
