"""`opensymphony tui`, in a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.cli.program import argv, call, write_workflow
from tests.tui import scenes
from tests.tui.stand_in import StandIn, served

ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"
SEQUENCE = re.compile(r"\x1b(\[[0-9;?<>=]*[A-Za-z]|\][^\x07]*\x07|[PX^_].*?\x1b\\|.)", re.DOTALL)
_S = 40


class Terminal:
    """A program in a terminal of its own: what it writes, keys, how it ended."""

    def __init__(self, *arguments: str) -> None:
        self.master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.before = termios.tcgetattr(self._slave)
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "TZ": "UTC"}
        at = self._slave
        self.program = subprocess.Popen(argv("tui", *arguments), stdin=at, stdout=at, stderr=at, env=env)
        self.written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self.master, 65_536)
            except OSError:
                return
            if not part:
                return
            self.written += part

    @property
    def text(self) -> str:
        """What was written, without sequences that move or colour."""
        return SEQUENCE.sub("", self.written.decode(errors="replace"))

    def sees(self, text: str, after: int = 0) -> int:
        """Wait until it was written; where in all that was written."""
        until = time.monotonic() + _S
        while text not in self.text[after:]:
            assert time.monotonic() < until, f"{text!r} never came: {self.text[after:][-3_000:]!r}"
            assert self.program.poll() is None or text in self.text[after:], self.text
            time.sleep(0.02)
        return after + self.text[after:].index(text)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def ended(self) -> int:
        """Its exit code; the terminal is then as it was."""
        code = self.program.wait(_S)
        assert termios.tcgetattr(self._slave) == self.before
        self.close()
        return code

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait(_S)
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1
            self._reader.join(_S)
            os.close(self.master)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    opened = Terminal(*arguments)
    try:
        yield opened
    finally:
        opened.close()


def lay_out(here: Path) -> Path:
    """A WORKFLOW.md, and where the store of its daemon is."""
    (here / "opensymphony.toml").write_text('[store]\ndirectory = "store"\n')
    write_workflow(here)
    return here / "store"


async def test_it_shows_the_board_and_leaves_the_terminal_as_it_was(here: Path) -> None:
    """For as long as it was told to; on a screen of its own, so that what was there before is there again."""
    async with served(StandIn(scenes.HOSTILE), lay_out(here)):

        def watch() -> None:
            with terminal("--exit-after", "4") as seen:
                assert seen.ended() == 0
                assert "PLAIN-3" in seen.text and "● live" in seen.text
                assert seen.written.count(ENTERED) == seen.written.count(LEFT) == 1
                assert seen.written.index(ENTERED) < seen.written.index(LEFT)
                assert seen.written.rindex(b"\x1b[?25h") > seen.written.rindex(b"\x1b[?25l")  # the cursor is seen again
                for forged in (b"\x1b]0;owned", b"\x1b[2J\x1b]0", b"\xc2\x9b31m", "\u202e".encode()):
                    assert forged not in seen.written
                assert "\\x1b[2J\\x1b]0;owned" in seen.text and "Traceback" not in seen.text

        await anyio.to_thread.run_sync(watch)


async def test_keys_go_where_they_belong(here: Path) -> None:
    """A ticket is opened, its transcript read, a message sent, and q ends it."""
    async with served(StandIn(), lay_out(here)) as (house, _):

        def sit() -> None:
            with terminal() as seen:
                at = seen.sees("SHOP-118")
                seen.type("jj\r")
                at = seen.sees("conditions on starting it", at)
                seen.type("2")
                at = seen.sees("I look at them next", at)
                seen.type("m")
                at = seen.sees("Message to SHOP-118", at)
                seen.type("hello")
                at = seen.sees("hello", at)
                seen.type("\x13")
                seen.sees("so be it", at)
                seen.type("q")
                assert seen.ended() == 0

        await anyio.to_thread.run_sync(sit)
        ((action, name, given),) = house.desk.asked
        assert (action, name, given["text"]) == ("message", "SHOP-118", "hello")


async def test_an_end_from_outside_restores_the_terminal_too(here: Path) -> None:
    """As a service manager, or `kill`, would end it."""
    async with served(StandIn(), lay_out(here)):

        def end() -> None:
            with terminal() as seen:
                seen.sees("SHOP-118")
                seen.program.send_signal(signal.SIGTERM)
                assert seen.ended() == 0
                assert seen.written.count(LEFT) == 1

        await anyio.to_thread.run_sync(end)


async def test_a_daemon_behind_a_tunnel_is_reached_by_its_address(here: Path) -> None:
    """With a copy of its token in a file, which the environment may name."""
    async with served(StandIn(), here / "elsewhere") as (house, _):
        token = here / "token"
        token.write_bytes((house.store / "token").read_bytes())
        url = f"http://127.0.0.1:{house.port}"

        def look() -> None:
            with terminal("--url", url, "--token-file", str(token)) as seen:
                seen.sees("SHOP-118")
                seen.type("\x03")
                assert seen.ended() == 0
            token.write_text("another")
            with terminal("--url", url, "--token-file", str(token)) as seen:
                assert seen.ended() == 1
                assert "status 401" in seen.text and ENTERED not in seen.written

        await anyio.to_thread.run_sync(look)


def test_without_a_daemon_it_ends_with_one_line(here: Path) -> None:
    """And never takes the screen."""
    lay_out(here)
    with terminal() as seen:
        assert seen.ended() == 1
        assert "no daemon is running on the store" in seen.text and ENTERED not in seen.written
        assert len(seen.text.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--url", "http://127.0.0.1:1", "--token-file", "t"], "`tui` needs a terminal: use `opensymphony status`"),
        (["--url", "http://127.0.0.1:1"], "--url needs --token-file FILE"),
        (["--url", "http://build-1:2468", "--token-file", "t"], "plain http would show the token on the way"),
        (["--url", "http://127.0.0.1:1", "--token-file", "t", "W.md"], "leave WORKFLOW.md and --config out"),
        (["--token-file", "t"], "--token-file is for --url"),
        (["W.md", "--workflow", "V.md"], "two WORKFLOW.md are named"),
    ],
)
def test_what_cannot_be_is_one_line(here: Path, arguments: list[str], said: str) -> None:
    """Without a terminal, or for what contradicts itself; a token is never an argument."""
    found = call("tui", *arguments)
    assert found.code == 2 and said in found.err and len(found.lines) == 1 and found.out == ""


def test_the_environment_names_the_token(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no option does."""
    monkeypatch.setenv("OPENSYMPHONY_TOKEN_FILE", "t")
    assert "needs a terminal" in call("tui", "--url", "http://127.0.0.1:1").err
