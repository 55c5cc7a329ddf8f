"""One daemon at a time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from opensymphony.errors import InstanceError
from opensymphony.store.lock import InstanceLock

HOLD = """
import sys
from pathlib import Path
from opensymphony.store.lock import InstanceLock
InstanceLock(Path(sys.argv[1]), "the store").acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_holder_is_refused(tmp_path: Path) -> None:
    """It is told who holds the lock, by pid and host, and what to do; the first holder notices nothing."""
    path = tmp_path / "store" / ".lock"
    with InstanceLock(path, "the store /s"):
        for _ in range(2):
            with pytest.raises(InstanceError) as refused:
                InstanceLock(path, "the store /s").acquire()
            assert str(refused.value) == (
                f"another daemon (pid {os.getpid()} on {socket.gethostname()}) already uses the store /s: "
                "stop it first, or choose another"
            )
    with InstanceLock(path, "the store /s"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    """kill -9 gives the lock back; while the holder lives, its pid is named to others."""
    path = tmp_path / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InstanceError, match=rf"\(pid {holder.pid} on "):
            InstanceLock(path, "the store").acquire()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with InstanceLock(path, "the store"):
            assert path.read_text() == f"pid {os.getpid()} on {socket.gethostname()}\n"


def test_released_twice_is_released(tmp_path: Path) -> None:
    """A lock that nobody holds can be given back."""
    lock = InstanceLock(tmp_path / ".lock", "the store")
    lock.release()
    lock.acquire()
    lock.release()
    lock.release()
    lock.acquire()
    lock.release()


@pytest.mark.parametrize("place", ["file/below/.lock", "file/.lock", "link"])
def test_a_place_that_cannot_be_used_is_told_in_one_line(place: str, tmp_path: Path) -> None:
    """A file where a directory should be, or a link in place of the lock: what, where, why and what to do."""
    (tmp_path / "file").write_text("a file of mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InstanceError) as refused:
        InstanceLock(tmp_path / place, "the workspace root /w").acquire()
    message = str(refused.value)
    assert message.startswith(f"the workspace root /w cannot be used ({tmp_path}/")
    assert message.endswith("): make it a directory that this user can write, or name another")
    assert not (tmp_path / "elsewhere").exists()
