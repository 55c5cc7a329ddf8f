"""`opensymphony debug` on a real conversation, in a terminal: without a daemon, and beside one."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import pytest

from opensymphony.api.client import Address, fetch_changes, fetch_timeline, fetch_transcript, find_daemon
from tests.live.conftest import Stage
from tests.live.daemon_under_test import COMMAND, DaemonUnderTest, commit, finish, has, scripted, shell

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

T = TypeVar("T")

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, daemon: DaemonUnderTest, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        self.seen = ""
        env = {**daemon.environment, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [COMMAND, *arguments],
            cwd=daemon.root,
            env=env,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=self._take,
        )
        os.close(slave)

    @staticmethod
    def _take() -> None:
        """Only in the terminal that controls a session is Ctrl-C a signal."""
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    async def interrupt(self) -> None:
        """Ctrl-C, a moment after the prompt: before it waits for keys, Python holds the signal until the next key."""
        await anyio.sleep(0.5)
        self.type("\x03")

    async def until(self, pattern: str, seconds: float = 90) -> None:
        """Read until this is seen behind what was seen before."""
        with anyio.move_on_after(seconds):
            while not (found := re.search(pattern, self.seen)):
                await anyio.wait_readable(self.master)
                self.seen += _ESCAPE.sub("", os.read(self.master, 65_536).decode(errors="replace"))
            self.seen = self.seen[found.end() :]
            return
        raise AssertionError(f"not seen: {pattern}: {self.seen[-3000:]}")

    async def ended(self) -> int:
        return await anyio.to_thread.run_sync(lambda: self.process.wait(60))


@contextmanager
def terminal(daemon: DaemonUnderTest, *arguments: str) -> Iterator[Terminal]:
    opened = Terminal(daemon, *arguments)
    try:
        yield opened
    finally:
        opened.process.kill()
        opened.process.wait()
        os.close(opened.master)


async def asked(daemon: DaemonUnderTest, ask: Callable[[Address, str], T]) -> T:
    """What a door is told of the ticket."""
    return await anyio.to_thread.run_sync(lambda: ask(find_daemon(str(daemon.store)), "LIVE-1"))


async def test_without_a_daemon(daemon: DaemonUnderTest, stage: Stage) -> None:
    """The transcript is there without any server; a message starts one, is answered, and nothing of it is left."""
    stage.play = scripted({"LOOK-1": [commit("LOOK-1"), finish("**All** done")]})
    await daemon.lay_out()
    daemon.ticket("LOOK-1")
    await daemon.run_once()

    code, out, err = await daemon.command("debug", "look-1")
    assert (code, err) == (0, ""), err
    assert "You work on ticket LOOK-1." in out and "LOOK-1-1.txt" in out and "**All** done" in out
    assert "canary-key" not in out
    with terminal(daemon, "debug", "LOOK-1") as shown:
        await shown.until(r"All done[\s\S]*debug> ")
        shown.type("/diff\n")
        await shown.until(r"LOOK-1-1\.txt[\s\S]*debug> ")
        shown.type("/cost\n")
        await shown.until(r"tokens in[\s\S]*debug> ")
        shown.type("/approve\n")
        await shown.until(r"no daemon runs[\s\S]*debug> ")
        shown.type("What did you do? \\\nTell me.\n")
        await shown.until(r"starting an agent-server")
        await shown.until(r"the turn has ended: finished[\s\S]*debug> ")
        await shown.interrupt()
        await shown.until("Ctrl-C again")
        shown.type("/quit\n")
        assert await shown.ended() == 0
    assert not daemon.processes()
    assert [text for text in daemon.user_messages() if "What did you do? \nTell me." in text]


async def test_beside_a_daemon(daemon: DaemonUnderTest, stage: Stage) -> None:
    """It shows the turn that goes on, sends through the daemon, and neither Ctrl-C nor a terminal that dies ends the turn.

    Over HTTP the same is told while the agent is at work, and afterwards.
    """
    go = daemon.marks / "go"
    stage.play = scripted({"LIVE-1": [shell(f"while [ ! -e {go} ]; do sleep 0.2; done"), commit("LIVE-1"), finish()]})
    await daemon.lay_out()
    daemon.ticket("LIVE-1")
    await daemon.start("run")
    await daemon.wait_for("the agent is at work", lambda: daemon.processes("sleep 0.2"))
    seen = await asked(daemon, fetch_transcript)
    assert [entry.command for entry in seen.entries if entry.kind == "call"] == [
        f"while [ ! -e {go} ]; do sleep 0.2; done"
    ]
    assert seen.entries[0].kind == "prompt" and not any(entry.kind == "other" for entry in seen.entries)
    assert (await asked(daemon, fetch_changes)).diff == ""
    with terminal(daemon, "debug", "LIVE-1") as shown:
        await shown.until("debug> ")
        shown.type("/status\n")
        await shown.until(r"LIVE-1: running[\s\S]*debug> ")
        shown.type("/follow\n")
        await anyio.sleep(1)
        await shown.interrupt()
        await shown.until(r"left alone[\s\S]*debug> ")
        shown.type("use tabs\n")
        await shown.until("the agent gets it|next turn")
        shown.process.send_signal(signal.SIGHUP)
        await shown.ended()
    go.touch()
    await daemon.until("it is done", has("LIVE-1", phase="in_review"))
    later = await asked(daemon, partial(fetch_transcript, after=seen.after))
    assert min(entry.seq for entry in later.entries) > seen.after
    assert any("use tabs" in entry.text for entry in later.entries if entry.kind == "prompt")
    assert "+++ b/" in (await asked(daemon, fetch_changes)).diff
    kinds = {entry.kind for entry in (await asked(daemon, fetch_timeline)).entries}
    assert {"run_started", "message", "turn_ended", "delivered", "run_ended"} <= kinds
    await daemon.signal(signal.SIGINT)
    assert await daemon.ended() == 0
    assert [text for text in daemon.user_messages() if "use tabs" in text]
