"""Processes that go on without us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import anyio
import pytest

from opensymphony.lasting import LastingProcess, forbid_dumps, start_lasting
from opensymphony.processes import process_start_time


def start(*argv: str) -> LastingProcess:
    null = os.open(os.devnull, os.O_RDWR)
    try:
        return start_lasting(argv, cwd="/", env={"PATH": os.defpath}, stdin=null, output=null)
    finally:
        os.close(null)


async def test_the_end_of_a_child_is_waited_for_and_told() -> None:
    """By its exit code or its signal; nothing of it is left."""
    done = start("sh", "-c", "exit 3")
    with anyio.fail_after(20):
        await done.wait()
    assert (done.alive, done.exit_code) == (False, 3)
    killed = start("sleep", "300")
    assert (killed.alive, killed.exit_code) == (True, None)
    killed.terminate()
    with anyio.fail_after(20):
        await killed.wait()
    assert killed.exit_code == -signal.SIGTERM
    killed.terminate()  # it is gone: nobody is signalled
    assert process_start_time(killed.pid) is None


async def test_another_life_watches_it_too() -> None:
    """One that is no child is watched by its number and start; a later process of that number is not it."""
    own = start("sleep", "300")
    other = LastingProcess(own.pid, process_start_time(own.pid), child=False)
    assert (other.alive, other.exit_code) == (True, None)
    assert not LastingProcess(own.pid, 1, child=False).alive
    other.terminate()
    with anyio.fail_after(20):
        await own.wait()
        await other.wait()
    assert (other.alive, other.exit_code) == (False, None)


async def test_it_outlives_a_program_that_ends_in_good_order() -> None:
    """The end of the event loop and of the interpreter does not end it."""
    script = (
        "import anyio, os\n"
        "from opensymphony.lasting import start_lasting\n"
        "async def main():\n"
        "    null = os.open(os.devnull, os.O_RDWR)\n"
        "    print(start_lasting(['sleep', '300'], cwd='/', env={'PATH': os.defpath}, stdin=null, output=null).pid)\n"
        "anyio.run(main)\n"
    )
    done = await anyio.run_process([sys.executable, "-W", "error", "-c", script])
    assert done.stderr == b""
    pid = int(done.stdout)
    try:
        assert process_start_time(pid) is not None
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_program_that_is_not_there_is_an_os_error() -> None:
    """As for any child."""
    with pytest.raises(FileNotFoundError):
        start("/no/such/program")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such switch")
def test_memory_is_closed_to_other_programs() -> None:
    """The kernel itself says so."""
    script = (
        "from opensymphony.lasting import forbid_dumps; import ctypes; forbid_dumps();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "0\n"
    assert forbid_dumps.__doc__
