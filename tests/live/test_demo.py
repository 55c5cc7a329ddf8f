"""`opensymphony demo` as a newcomer runs it: the real agent-server, real git, no account."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from opensymphony.workspace.paths import repository_key
from tests.live.daemon_under_test import DaemonUnderTest

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

FIELDS = {"identifier", "state", "branch", "commit", "attempts", "turns", "verified", "test", "tokens", "seconds"}


@pytest.fixture
def newcomer(daemon: DaemonUnderTest) -> DaemonUnderTest:
    """Nobody who has a model: no address, no key."""
    for name in [name for name in daemon.environment if name.startswith("LLM_")]:
        del daemon.environment[name]
    return daemon


async def test_the_demo_turns_tickets_into_verified_commits(newcomer: DaemonUnderTest) -> None:
    """Every ticket is in review with a branch, a commit and a comment; its test fails before and passes after; nothing is
    left running, nor in the tool directory."""
    kept = newcomer.root / "kept"
    await newcomer.start("demo", "--json", "--keep", str(kept))
    code = await newcomer.ended(300)
    assert code == 0, newcomer.told()[-3000:]
    assert newcomer.processes() == {}
    newcomer.conversations = conversations_of(newcomer, kept)
    assert not newcomer.conversations.exists()

    found: dict[str, Any] = json.loads(newcomer.said("out").read_text())
    assert set(found) == {"tickets", "seconds", "directory"}
    assert found["directory"] == str(kept)
    tickets = {ticket["identifier"]: ticket for ticket in found["tickets"]}
    assert list(tickets) == ["DEMO-1", "DEMO-2", "DEMO-3", "DEMO-4"]
    assert {name: (ticket["attempts"], ticket["turns"]) for name, ticket in tickets.items()} == {
        "DEMO-1": (1, 1),
        "DEMO-2": (2, 2),
        "DEMO-3": (1, 1),
        "DEMO-4": (1, 1),
    }
    checkout = newcomer.root / "checkout"
    await newcomer.git("clone", "--quiet", str(kept / "repository"), str(checkout), cwd=newcomer.root)
    for name, ticket in tickets.items():
        assert set(ticket) == FIELDS
        assert (ticket["state"], ticket["verified"], ticket["branch"]) == ("In Review", True, f"opensymphony/{name}")
        assert ticket["tokens"] > 1000
        assert ticket["seconds"] > 0
        assert await newcomer.git("rev-parse", f"origin/{ticket['branch']}", cwd=checkout) == ticket["commit"]
        assert (await passes(newcomer, checkout, "origin/main", ticket), name) == (False, name)
        assert (await passes(newcomer, checkout, ticket["commit"], ticket), name) == (True, name)
        comment = (kept / "board" / f"{name}.comments.md").read_text()
        assert comment.count("<!-- opensymphony:comment") == 1
        for words in ("Ready for review", ticket["branch"], ticket["commit"][:12], f"`{ticket['test']}` passed"):
            assert words in comment
        assert f"effort: run 1, {ticket['turns']} turn" in comment
        assert f"cost: {ticket['tokens']:,} tokens" in comment


def conversations_of(demo: DaemonUnderTest, directory: Path) -> Path:
    return demo.conversations.with_name(repository_key(str(directory / "repository")))


async def passes(demo: DaemonUnderTest, checkout: Path, commit: str, ticket: dict[str, Any]) -> bool:
    """Whether the ticket's test passes in a clean checkout of this commit."""
    await demo.git("checkout", "--quiet", "--force", "--detach", commit, cwd=checkout)
    await demo.git("clean", "-fdxq", cwd=checkout)
    done = await anyio.run_process(["sh", "-c", ticket["test"]], cwd=checkout, check=False)
    return done.returncode == 0


def being_made(demo: DaemonUnderTest) -> bool:
    return any(demo.temporary.glob("opensymphony-demo-*"))


def server_starting(demo: DaemonUnderTest) -> bool:
    return "opening a conversation" in demo.told() and bool(demo.processes("openhands.agent_server"))


def agents_at_work(demo: DaemonUnderTest) -> bool:
    return "DEMO-2 working" in demo.told()


@pytest.mark.parametrize("moment", [being_made, server_starting, agents_at_work], ids=lambda one: one.__name__)
async def test_ctrl_c_leaves_nothing(newcomer: DaemonUnderTest, moment: Callable[[DaemonUnderTest], bool]) -> None:
    """Whenever it is interrupted, the demo ends with 130, in one line, without a process, a file or a conversation."""
    before = set(newcomer.conversations.parent.glob("*"))
    await newcomer.start("demo")
    await newcomer.wait_for(moment.__name__, lambda: moment(newcomer))
    await newcomer.signal(signal.SIGINT)
    assert await newcomer.ended() == 130
    assert newcomer.processes() == {}
    assert list(newcomer.temporary.glob("opensymphony-demo-*")) == []
    after = set(newcomer.conversations.parent.glob("*"))
    assert not {path for path in after - before if path.name.startswith("repository-")}
    assert moment is agents_at_work or ": ready" not in newcomer.told(), "it does not wait for the server"
    assert newcomer.told().splitlines()[-1] == "demo: interrupted; nothing was left running"
    assert "Traceback" not in newcomer.told()
