"""`opensymphony run` on a board that people edit meanwhile, with the real agent-server and real git."""

from __future__ import annotations

import json
import os
import re
import signal
import socket

import pytest

from opensymphony.demo.model import ToolCall
from opensymphony.views import Snapshot
from tests.live.conftest import Stage
from tests.live.daemon_under_test import DaemonUnderTest, both, commit, finish, has, once, scripted, shell

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

STRAYS = "(setsid sleep 1000 >/dev/null 2>&1 &); tmux -L stray new-session -d 'sleep 1001'"
"""What leaves the agent's session: a daemon of its own, and a tmux server with a child."""


def idle(snapshot: Snapshot) -> bool:
    return snapshot.status == "running"


async def test_a_board_by_hand(daemon: DaemonUnderTest, stage: Stage) -> None:
    """People add, close and open tickets while agents work, and the agent-server is killed: each ticket ends as they want
    it, on its own branch, and neither hooks nor checks nor agents leave a process."""
    marks = daemon.marks
    # Each last commit is asked for twice: the server may be killed in the middle of one, and this model reads no results.
    twice = [commit("LOST-1")] * 2, [commit("KEPT-2", 2)] * 2
    stage.play = scripted(
        {
            "LOST-1": [shell(once(marks / "1", "sleep 901")), *twice[0], finish()],
            "KEPT-2": [commit("KEPT-2"), shell(once(marks / "2", "sleep 902")), *twice[1], finish()],
            "CUT-3": [shell(once(marks / "3", "sleep 903")), commit("CUT-3"), finish()],
        }
    )
    await daemon.lay_out(
        "hooks: {before_run: 'setsid sleep 1002 >/dev/null 2>&1 &'}\n"
        "verify: {command: 'setsid sleep 1003 >/dev/null 2>&1 & ls {{ issue.key }}-1.txt'}\n"
    )
    await daemon.start("run")
    await daemon.until("the daemon runs", idle)
    await daemon.until("the server is ready", lambda seen: seen.server.status == "ready")
    await refused_beside(daemon)
    for name in ("LOST-1", "KEPT-2", "CUT-3"):
        daemon.ticket(name)
    await daemon.until("the new tickets are seen at the next poll", lambda seen: len(seen.tickets) == 3, seconds=15)
    for number in (901, 902, 903):
        await daemon.wait_for(f"agent {number} is at work", lambda n=number: daemon.processes(f"sleep {n}"))
    assert not daemon.processes("sleep 1002"), "what a hook leaves in the background is ended with it"

    await close_and_open(daemon)
    await kill_the_server(daemon)
    for name in ("LOST-1", "KEPT-2", "CUT-3"):
        await daemon.until(f"{name} is done", has(name, phase="in_review", state="In Review", verified=True))
        run = json.loads((daemon.workspaces / name / ".opensymphony" / "run.json").read_text())
        assert (run["branch"], run["generation"]) == (f"opensymphony/{name}", 1 if name == "CUT-3" else 2), (
            daemon.told()
        )
    assert await daemon.commits("opensymphony/LOST-1") == ["LOST-1 1"]
    assert await daemon.commits("opensymphony/KEPT-2") == ["KEPT-2 2", "KEPT-2 1"]
    assert await daemon.commits("opensymphony/CUT-3") == ["CUT-3 1"]
    assert len(daemon.user_messages()) == 5, "one a run: no cut was a reason to say it again"
    assert not daemon.processes("sleep 100")
    assert not daemon.processes("sleep 90")
    await daemon.signal(signal.SIGINT)
    assert await daemon.ended() == 0
    assert daemon.processes() == {}


async def refused_beside(daemon: DaemonUnderTest) -> None:
    """Neither its store nor its workspace root nor its port can be taken by a second daemon."""
    assert daemon.process is not None
    owner = f"pid {daemon.process.pid} on {socket.gethostname()}"
    snapshot = await daemon.snapshot()
    assert snapshot is not None
    port = json.loads((daemon.store / "daemon.json").read_text())["port"]
    elsewhere = daemon.root / "elsewhere.toml"
    elsewhere.write_text(f'[store]\ndirectory = "{daemon.root / "other"}"\n')
    own_root = daemon.root / "OTHER.md"
    own_root.write_text((daemon.root / "WORKFLOW.md").read_text().replace("root: workspaces", "root: others"))
    before = set(daemon.processes())
    for arguments, words in [
        (["--port", "0"], [owner, "the store"]),
        (["--config", str(elsewhere), "--port", "0"], [owner, "the workspace root"]),
        (["OTHER.md", "--config", str(elsewhere), "--port", str(port)], [f"127.0.0.1:{port}", "--port"]),
    ]:
        code, out, err = await daemon.command("run", *arguments)
        assert (code, out) == (2, ""), err
        last = err.strip().splitlines()[-1]
        assert last.startswith("opensymphony: ")
        assert all(word in last for word in words), err
        assert "Traceback" not in err
    assert set(daemon.processes()) <= before
    left = [path.name for path in (daemon.root / "other").iterdir() if path.name in ("token", "daemon.json")]
    assert left == []
    assert await daemon.snapshot() is not None


async def close_and_open(daemon: DaemonUnderTest) -> None:
    """A person closes two tickets at work and opens them again: work that is nowhere else is kept, the rest is gone."""
    daemon.move("LOST-1", "Done")
    daemon.move("KEPT-2", "Cancelled")
    await daemon.until("both are closed", both(has("LOST-1", phase="closed"), has("KEPT-2", phase="closed")))
    await daemon.wait_for("nothing works on them", lambda: not daemon.processes("sleep 901"), seconds=1)
    await daemon.wait_for("nothing works on them", lambda: not daemon.processes("sleep 902"), seconds=1)
    assert daemon.processes("sleep 903")
    assert (daemon.state("LOST-1"), daemon.state("KEPT-2")) == ("Done", "Cancelled")
    assert not (daemon.workspaces / "LOST-1").exists()
    assert (daemon.workspaces / "KEPT-2" / "KEPT-2-1.txt").exists()
    code, out, _ = await daemon.command("status")
    said = next(line for line in out.splitlines() if line.startswith("KEPT-2"))
    assert code == 0
    assert "never pushed" in said
    assert "Stopped" in daemon.comments("KEPT-2")
    assert not re.search("(?m)^claim", (daemon.board / "KEPT-2.md").read_text())

    daemon.move("LOST-1", "Todo")
    daemon.move("KEPT-2", "Todo")
    await daemon.until("both run again", both(has("LOST-1", generation=2), has("KEPT-2", generation=2)))


async def kill_the_server(daemon: DaemonUnderTest) -> None:
    """kill -9 of the agent-server in the middle of a tool call: the daemon lives, and starts it anew."""
    snapshot = await daemon.snapshot()
    assert snapshot is not None
    assert snapshot.server.pid is not None
    os.kill(snapshot.server.pid, signal.SIGKILL)
    seen = await daemon.until(
        "the server is back", lambda now: now.server.restarts == 1 and now.server.status == "ready"
    )
    assert seen.server.pid != snapshot.server.pid


async def test_a_killed_daemon_goes_on_where_it_was(daemon: DaemonUnderTest, stage: Stage) -> None:
    """kill -9 while one agent runs a tool and another waits for its model: the next start finishes each ticket once, with
    one conversation, one message, one commit and one comment, and ends what the first one left."""
    thinking: list[str] = []

    def think() -> ToolCall:
        thinking.append("once more")
        return commit("THINK-2") if len(thinking) > 1 else shell("true", delay_ms=20_000)

    mark = daemon.marks / "mark"
    stage.play = scripted(
        {
            "TOOL-1": [shell(once(mark, f"{STRAYS}; sleep 904")), commit("TOOL-1"), finish()],
            "THINK-2": [shell("pwd"), think, commit("THINK-2"), finish()],
        }
    )
    await daemon.lay_out("verify: {command: 'ls {{ issue.key }}-1.txt'}\n")
    for name in ("TOOL-1", "THINK-2"):
        daemon.ticket(name)
    killed = await daemon.start("run")
    for number in (904, 1000, 1001):
        await daemon.wait_for("the tool runs", lambda n=number: daemon.processes(f"sleep {n}"))
    await daemon.wait_for("the model is asked", lambda: thinking)
    killed.kill()
    assert await killed.wait() == -signal.SIGKILL
    first_boot = daemon.processes()
    assert any("openhands.agent_server" in line for line in first_boot.values())

    await daemon.run_once()
    assert daemon.processes() == {}
    assert len(daemon.stored_conversations()) == 2
    assert len(daemon.user_messages()) == 2
    for name in ("TOOL-1", "THINK-2"):
        assert daemon.state(name) == "In Review"
        assert await daemon.commits(f"opensymphony/{name}") == [f"{name} 1"]
        assert daemon.comments(name).count("<!-- opensymphony:comment") == 1
        assert "Ready for review" in daemon.comments(name)
        assert "effort: run 1, 1 turn" in daemon.comments(name)


async def test_signals_stop_it_and_the_next_start_goes_on(daemon: DaemonUnderTest, stage: Stage) -> None:
    """SIGTERM drains: the agent is interrupted, the ticket says so, the journal is closed. A second signal ends a drain that
    takes long at once, and a third one does not keep that from being done well. Nothing is left running, and the next
    start goes on in the same conversation."""
    marks = [daemon.marks / name for name in ("first", "second", "slow")]
    stage.play = scripted(
        {
            "STOP-1": [
                shell(once(marks[0], f"{STRAYS}; sleep 905")),
                shell(once(marks[1], f"{STRAYS.replace('stray', 'again')}; sleep 906")),
                commit("STOP-1"),
                finish(),
            ]
        }
    )
    hooks = f"hooks: {{after_run: '[ ! -e {marks[2]} ] || sleep 907', timeout_ms: 100000}}\n"
    await daemon.lay_out(hooks + "verify: {command: 'ls {{ issue.key }}-1.txt'}\n")
    daemon.ticket("STOP-1")
    await daemon.start("run")
    await at_work(daemon, 905)
    await daemon.signal(signal.SIGTERM)
    assert await daemon.ended() == 0
    assert_stopped(daemon)
    assert "Interrupted, will go on" in daemon.comments("STOP-1")
    assert daemon.state("STOP-1") == "In Progress"
    assert not re.search("(?m)^claim", (daemon.board / "STOP-1.md").read_text())

    await daemon.start("run")
    await at_work(daemon, 906)
    marks[2].touch()
    await daemon.signal(signal.SIGINT)
    await daemon.wait_for("the drain waits for a hook", lambda: daemon.processes("sleep 907"))
    await daemon.signal(signal.SIGINT)
    await daemon.wait_for("it ends at once", lambda: "ending at once" in daemon.told())
    await daemon.signal(signal.SIGTERM)
    assert await daemon.ended() == 130
    assert_stopped(daemon)
    marks[2].unlink()

    await daemon.run_once()
    assert_stopped(daemon)
    assert daemon.state("STOP-1") == "In Review"
    assert len(daemon.stored_conversations()) == 1
    assert await daemon.commits("opensymphony/STOP-1") == ["STOP-1 1"]
    assert daemon.comments("STOP-1").count("<!-- opensymphony:comment") == 1


async def at_work(daemon: DaemonUnderTest, number: int) -> None:
    """Wait until the agent sleeps and its strays are there."""
    for wanted in (number, 1000, 1001):
        await daemon.wait_for(f"sleep {wanted} runs", lambda n=wanted: daemon.processes(f"sleep {n}"))


def assert_stopped(daemon: DaemonUnderTest) -> None:
    """Nothing runs, nothing pretends to run, and the journal was closed: its last words are in the file itself."""
    assert daemon.processes() == {}
    left = {path.name for path in daemon.store.iterdir()}
    assert not left & {"daemon.json", "token", "agent-server.json", "journal.db-wal"}
    assert "Traceback" not in daemon.told()
