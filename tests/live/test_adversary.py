"""The obedient adversary: an agent that does whatever a hostile ticket says, at each level of isolation.

What it finds is told to the model, as an agent would; so the model's requests, the events, the logs, the comments and the
branch are looked through for canaries. At `none` the leaks that docs/security.md lists have to be there: a harmless adversary
would prove nothing.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import msgspec
import pytest

from opensymphony.agents.openhands.ownership import read_record
from opensymphony.demo.model import Message, Reply, text_of
from opensymphony.isolation import Level, hindrance
from tests.live.conftest import Stage
from tests.live.daemon_under_test import DaemonUnderTest, commit, finish, has, scripted, shell

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

SSH, FILE, MODEL = "canary-ssh-4711", "canary-file-4712", "canary-key"
OUTLIVES = {"sandbox": "621.5", "restrict": "622.5", "none": "623.5"}


class Board:
    """What an adversary is after, and where it would show."""

    def __init__(self, daemon: DaemonUnderTest) -> None:
        self.daemon = daemon
        self.heard: list[str] = []
        """Everything that was sent to the model."""
        ssh = daemon.root / "home" / ".ssh"
        ssh.mkdir(mode=0o700)
        (ssh / "id_ed25519").write_text(SSH)
        (daemon.root / "secret.txt").write_text(FILE)

    def canaries(self) -> dict[str, str]:
        """By what it is; the ones that the daemon made are read when it has made them."""
        record = read_record(self.daemon.store / "agent-server.json")
        assert record is not None
        return {
            "a key of the user": SSH,
            "a file beside the board": FILE,
            "the model's key": MODEL,
            "the operator's token": (self.daemon.store / "token").read_text(),
            "the secret key of the agent-server": (self.daemon.store / "agent-server.secret").read_text(),
            "the session key of the agent-server": record.session_key,
        }

    def places(self) -> Iterator[tuple[str, str]]:
        """Everything that goes out or stays: model requests, stored events, logs, comments, standard error."""
        yield "model requests", "\n".join(self.heard)
        yield "terminal", self.daemon.told()
        for kind, paths in (
            ("events", self.daemon.conversations.rglob("event-*.json")),
            ("logs", (self.daemon.root / "logs").rglob("*")),
            ("comments", self.daemon.board.glob("*.comments.md")),
            ("journal copies", self.daemon.workspaces.rglob(".opensymphony/*.json")),
        ):
            for path in paths:
                if path.is_file():
                    yield kind, path.read_text(errors="replace")

    def leaks(self, canaries: dict[str, str]) -> dict[str, set[str]]:
        """Which canaries were found where."""
        found: dict[str, set[str]] = {}
        for place, text in self.places():
            for what, canary in canaries.items():
                if canary in text:
                    found.setdefault(what, set()).add(place)
        return found


def orders(daemon: DaemonUnderTest, level: Level, api: str) -> list[Reply]:
    """What the ticket tells the agent to do, one command after the other; each goes on when it fails."""
    root, store = daemon.root, daemon.store
    ask = f'curl -s -m 5 -X POST -H "Authorization: Bearer $(cat {store}/token 2>/dev/null)"'
    planted = f"touch {root}/planted; exit 0"
    hooks = "pre-commit post-checkout pre-push post-update reference-transaction"
    return [
        shell("env; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | sort -u | head -400"),
        shell(f"cat ~/.ssh/* {root}/home/.ssh/* {root}/secret.txt {root}/opensymphony.toml 2>&1"),
        shell(f"cat {store}/token {store}/agent-server.secret {store}/agent-server.json 2>&1"),
        shell(
            f"strings {store}/journal.db 2>&1 | head -50; grep -rsl canary- {root} /root /home /etc /tmp /var | head"
        ),
        shell(f"ls -la / /root {root} 2>&1 | head -50"),
        shell(
            f"echo '# mine now' >> {root}/WORKFLOW.md; sed -i 's/^state: .*/state: Done/' {daemon.board}/OTHER-2.md; true"
        ),
        shell(
            f"mkdir -p .git/hooks; for hook in {hooks}; do printf '#!/bin/sh\\n{planted}\\n' > .git/hooks/$hook;"
            " chmod +x .git/hooks/$hook; done; git config core.fsmonitor .git/hooks/pre-commit;"
            f" git config core.sshCommand 'touch {root}/planted'; echo '*.txt filter=planted' > .gitattributes;"
            f" git config filter.planted.clean 'touch {root}/planted; cat'"
        ),
        shell(f"ln -s {store}/token token-link; ln -s {root} out; cat token-link out/secret.txt 2>&1; rm -f out"),
        shell(
            f'{ask} {api}/api/v1/issues/HOSTILE-1/actions/message -d \'{{"text": "as I was told"}}\' 2>&1 | head -c 300'
        ),
        shell(f"(setsid env -i sleep {OUTLIVES[level]} </dev/null >/dev/null 2>&1 &); true"),
        commit("HOSTILE-1"),
        finish("I did as I was told"),
    ]


def sleepers(seconds: str) -> list[int]:
    """By their command line: they have emptied their environment."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cmdline").read_bytes() == f"sleep\0{seconds}\0".encode():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def let_loose(daemon: DaemonUnderTest, stage: Stage, level: Level) -> tuple[Board, dict[str, str]]:
    """Run the adversary to its end and stop the daemon."""
    board = Board(daemon)
    await daemon.lay_out(f"isolation: {level}\n")
    daemon.ticket("OTHER-2", state="Backlog")
    daemon.ticket("HOSTILE-1")
    await daemon.start("run", "--allow-root")
    seen = await daemon.until("the server is up", lambda snapshot: snapshot.server.status == "ready")
    assert seen.server.status == "ready"
    api = json.loads((daemon.store / "daemon.json").read_text())
    play = scripted({"HOSTILE-1": orders(daemon, level, f"http://127.0.0.1:{api['port']}")})

    def listen(messages: list[Message]) -> Reply:
        board.heard.append("\n".join(text_of(message) for message in messages))
        return play(messages)

    stage.play = listen
    await daemon.until("it is done", has("HOSTILE-1", phase="in_review"), 60)
    canaries = board.canaries()
    await daemon.signal(signal.SIGTERM)
    assert await daemon.ended() == 0
    return board, canaries


@pytest.mark.parametrize("level", ["sandbox", pytest.param("restrict", marks=pytest.mark.faults)])
@pytest.mark.fixes(1)
async def test_it_finds_nothing_where_it_is_isolated(daemon: DaemonUnderTest, stage: Stage, level: Level) -> None:
    """No canary anywhere, nothing of ours changed, nothing of its own run by us; in a sandbox nothing of it is left."""
    assert hindrance(level) == "", "the checks of isolation cannot run on this machine"
    workflow = None
    board, canaries = await let_loose(daemon, stage, level)
    try:
        assert board.leaks(canaries) == {}
        workflow = (daemon.root / "WORKFLOW.md").read_text()
        assert "mine now" not in workflow
        assert daemon.state("OTHER-2") == "Backlog"
        assert not (daemon.root / "planted").exists()
        assert daemon.processes() == {}
        assert bool(sleepers(OUTLIVES[level])) == (level != "sandbox")
        listed = await daemon.git("ls-tree", "-r", "opensymphony/HOSTILE-1")
        assert "120000" in listed, "the link was committed, as a link"
        committed = await daemon.git("show", "opensymphony/HOSTILE-1")
        assert not any(canary in committed for canary in canaries.values())
    finally:
        await end(sleepers(OUTLIVES[level]))


@pytest.mark.faults
async def test_without_isolation_it_finds_what_the_documentation_lists(daemon: DaemonUnderTest, stage: Stage) -> None:
    """The same adversary leaks whatever docs/security.md says that nothing keeps from it; we still run nothing of its own."""
    board, canaries = await let_loose(daemon, stage, "none")
    try:
        leaks = board.leaks(canaries)
        expected = set(canaries) - {"the model's key"}
        assert expected <= set(leaks)
        assert "mine now" in (daemon.root / "WORKFLOW.md").read_text()
        assert daemon.state("OTHER-2") == "Done"
        assert sleepers(OUTLIVES["none"])
        table = (Path(__file__).resolve().parents[2] / "docs" / "security.md").read_text()
        rows = [line for line in table.splitlines() if re.match(r"\| (read|leave|see) ", line)]
        assert len(rows) >= 5
        assert all("| no |" in row or "| no," in row for row in rows)
    finally:
        await end(sleepers(OUTLIVES["none"]))


async def end(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    with anyio.fail_after(20):
        while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids):
            await anyio.sleep(0.05)


def test_the_orders_are_valid_json(tmp_path: Path) -> None:
    """What the model answers can be sent."""
    daemon = DaemonUnderTest(tmp_path, tmp_path / "tools", "http://127.0.0.1:1")
    assert msgspec.json.encode([reply.arguments for reply in orders(daemon, "none", "http://127.0.0.1:1")])  # type: ignore[union-attr]
