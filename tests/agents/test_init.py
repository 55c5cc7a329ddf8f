"""Runtimes are opened by name, and their installation looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony.agents import Runtime, installation_state, open_runtime, read_transcript_page
from opensymphony.clock import Clock
from opensymphony.errors import InstallationError
from opensymphony.interfaces import AgentRuntime
from tests.agents.openhands.test_pages import said, write
from tests.fakes.stub_installation import install_stub
from tests.scheduler.playbook import policy


def opened(tmp_path: Path) -> Runtime:
    return open_runtime(
        policy,
        tool_dir=tmp_path / "tools",
        state_dir=tmp_path / "state",
        conversations_dir=tmp_path / "conversations",
        environment={},
        clock=Clock(),
    )


def test_what_is_not_installed_is_not_opened(tmp_path: Path) -> None:
    """One line says how to install it; nothing is made."""
    assert installation_state(tmp_path / "tools")[0] == "absent"
    with pytest.raises(InstallationError) as refused:
        opened(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path / 'tools'}: the agent-server is not installed: run `opensymphony install openhands`"
    )
    assert list(tmp_path.iterdir()) == []


def test_half_an_installation_is_not_opened(tmp_path: Path) -> None:
    """One that was damaged since would fail in the middle of a ticket."""
    install_stub(tmp_path / "tools")
    assert installation_state(tmp_path / "tools")[0] == "complete"
    (tmp_path / "tools" / "current" / "bin" / "python").write_text("cut short")
    status, detail = installation_state(tmp_path / "tools")
    assert status == "damaged"
    with pytest.raises(InstallationError) as refused:
        opened(tmp_path)
    assert str(refused.value) == f"{detail}: run `opensymphony install openhands`"


async def test_an_opened_runtime_has_started_nothing(tmp_path: Path) -> None:
    """The server begins with `run`; until then both say that it does not run."""
    install_stub(tmp_path / "tools")
    runtime = opened(tmp_path)
    agents: AgentRuntime = runtime.agents
    assert runtime.server.state().status == "stopped"
    assert agents.state() == runtime.server.state()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tools"]
    await agents.close()


def test_a_page_of_a_transcript_is_read_from_the_files(tmp_path: Path) -> None:
    """Without anything installed."""
    write(tmp_path, said("one"), said("two"))
    page = read_transcript_page(tmp_path, limit=1, clean=str.upper)
    assert ([entry.text for entry in page.entries], page.before) == (["TWO"], 1)
    assert read_transcript_page(tmp_path, limit=1, before=1).entries[0].text == "one"
    assert read_transcript_page(tmp_path, limit=9, after=1).entries == ()
