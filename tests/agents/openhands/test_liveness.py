"""Real processes that work, wait and hang, below something that carries a server's nonce."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import anyio
import pytest

from opensymphony.agents.openhands import liveness
from opensymphony.agents.openhands.liveness import look_for_work
from opensymphony.clock import new_id
from opensymphony.model import Liveness
from opensymphony.processes import end_all, list_processes, scrubbed_environment, start

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="finds processes through /proc")

BUILD = "while :; do ls / >/dev/null; done"
WAITS = "while :; do sleep 0.7; done"
DOWNLOAD = "head -c 500000000 /dev/zero | while head -c 100000 > part; do sleep 0.2; done"
SERVER = """
import pathlib, socketserver
server = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
pathlib.Path("ready").touch()
server.serve_forever()
"""
TMUX = "tmux -S {root}/socket -f /dev/null new-session -d -c {work} 'touch ready; cd /; while :; do :; done'"


class Below:
    """A pretended agent-server with its tool calls, each in the working directory of its conversation."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nonce = new_id()
        self.pid = 0

    def directory(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(exist_ok=True)
        return path

    async def spawn(self, script: str, cwd: Path, extra: Mapping[str, str] | None = None) -> int:
        with open(os.devnull, "r+b") as null:
            env = {**scrubbed_environment(self.nonce, extra), "PATH": os.environ["PATH"]}
            process = await start(
                ["sh", "-c", script], cwd=str(cwd), env=env, stdin=null.fileno(), output=null.fileno()
            )
        return process.pid


@pytest.fixture
async def below(tmp_path: Path) -> AsyncIterator[Below]:
    made = Below(tmp_path.resolve())
    made.pid = await made.spawn("while :; do :; done", made.directory("server"))
    yield made
    await end_all(made.nonce, grace_ms=100)
    assert list_processes(made.nonce) == ()


async def look(below: Below, scripts: Mapping[str, str]) -> dict[str, Liveness]:
    """Each script in a directory of its own, all looked at while they run side by side."""
    found: dict[str, Liveness] = {}
    for name, script in scripts.items():
        work = below.directory(name)
        await below.spawn(
            f"touch ready; {script.replace('{root}', str(below.root)).replace('{work}', str(work))}", work
        )
    await until(lambda: all((below.root / name / "ready").exists() for name in scripts))
    await anyio.sleep(0.5)  # what they start with is no work that they do later

    async def one(name: str) -> None:
        found[name] = await look_for_work(below.pid, str(below.root / name))

    async with anyio.create_task_group() as tasks:
        for name in scripts:
            tasks.start_soon(one, name)
    return found


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.02)


async def test_what_works_is_told_from_what_waits(below: Below) -> None:
    """A build of short processes, a busy loop, a download and work in a tmux of the call's own are alive; sleeping, a dead
    connection, a loop that only waits and an idle server are not, and neither is what another conversation does."""
    scripts = {
        "build": f"touch ready; {BUILD}",
        "busy": f"touch ready; exec {sys.executable} -c 'while True: pass'",
        "download": f"touch ready; {DOWNLOAD}",
        "tmux": TMUX,
        "sleep": "touch ready; exec sleep 9999",
        "dead": "mkfifo fifo; exec 3<>fifo; touch ready; read line <&3",
        "waits": f"touch ready; {WAITS}",
        "idle": f"exec {sys.executable} -c '{SERVER}'",
    }
    if shutil.which("tmux") is None:
        del scripts["tmux"]
    found = await look(below, scripts)
    alive = [name for name, one in found.items() if one.alive]
    assert sorted(alive) == sorted({"build", "busy", "download", "tmux"} & set(scripts)), found
    assert found["busy"].detail == f"{Path(sys.executable).name[:15]} uses the processor"
    assert found["download"].detail.endswith("moves data") or found["download"].detail.endswith("processor")
    assert found["sleep"].detail == f"nothing in {below.root}/sleep has used the processor or moved data in 2 s"


async def test_a_call_without_a_process_is_not_alive(below: Below, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own work is no sign of life of a conversation, nor is that of a process that it did not start."""
    monkeypatch.setattr(liveness, "_PAUSE_S", 0.2)
    foreign = Below(below.root)
    work = below.directory("alone")
    await foreign.spawn("while :; do :; done", work)
    found = await look_for_work(below.pid, str(work))
    assert (found.alive, found.detail) == (False, f"there is no process that works in {work}")
    await end_all(foreign.nonce, grace_ms=100)


@pytest.mark.parametrize("pid", [None, 1, 2**22 + 1])
async def test_a_server_whose_processes_cannot_be_seen_has_to_answer_only(pid: int | None, tmp_path: Path) -> None:
    """Somebody else's server, or a system without /proc: there is nothing more to be found out."""
    found = await look_for_work(pid, str(tmp_path))
    assert (found.alive, "cannot be seen" in found.detail) == (True, True)
