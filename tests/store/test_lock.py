"""One daemon at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from opensymphony.errors import InstanceError
from opensymphony.store.lock import LOCK_FILE, InstanceLock, refuse_nested

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


def test_a_link_to_the_same_directory_is_the_same_directory(tmp_path: Path) -> None:
    """A second path does not get around the lock."""
    (tmp_path / "store").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "store")
    with (
        InstanceLock(tmp_path / "store" / LOCK_FILE, "the store"),
        pytest.raises(InstanceError, match=rf"\(pid {os.getpid()} on "),
    ):
        InstanceLock(tmp_path / "other" / LOCK_FILE, "the store").acquire()


def hold(path: Path) -> int:
    """Take the lock as a daemon does that has not said yet who it is."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def test_a_dead_owner_is_not_named_as_the_present_one(tmp_path: Path) -> None:
    """What the file said before is told as such; what is no text at all stays one printable line."""
    path = tmp_path / LOCK_FILE
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    for text, said in (
        (f"pid {ended.pid} on {socket.gethostname()}\n", "unknown; the last one was pid "),
        ("", "unknown)"),
        ("pid 1 on elsewhere\n", "pid 1 on elsewhere)"),
        ("a\x1b[31m\nb", r"'a\x1b[31m\nb')"),
    ):
        path.write_text(text)
        descriptor = hold(path)
        with pytest.raises(InstanceError) as refused:
            InstanceLock(path, "the store").acquire()
        os.close(descriptor)
        assert f"another daemon ({said}" in str(refused.value)


def test_an_owner_that_is_about_to_say_who_it_is_is_waited_for(tmp_path: Path) -> None:
    """Between taking the lock and writing the file there is a moment."""
    path = tmp_path / LOCK_FILE
    descriptor = hold(path)
    timer = threading.Timer(0.03, os.pwrite, [descriptor, b"pid 1 on elsewhere\n", 0])
    timer.start()
    with pytest.raises(InstanceError, match=r"\(pid 1 on elsewhere\)"):
        InstanceLock(path, "the store").acquire()
    timer.join()
    os.close(descriptor)


def test_who_released_a_lock_is_not_its_owner(tmp_path: Path) -> None:
    """The file says nothing when nobody holds it."""
    path = tmp_path / LOCK_FILE
    with InstanceLock(path, "the store"):
        assert path.read_text()
    assert path.read_text() == ""


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store there could be used by two daemons at once: it says so, and what to do."""

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(InstanceError) as refused:
        InstanceLock(tmp_path / LOCK_FILE, "the store /s").acquire()
    assert str(refused.value) == (
        "the store /s cannot be used: its file system has no locks (No locks available), "
        "so two daemons could use it at once: choose a directory on a local disk"
    )
    refuse_nested(tmp_path)


def test_a_root_inside_anothers_is_refused(tmp_path: Path) -> None:
    """However deep, and through a link; the other daemon could take it for a workspace of its own."""
    outer, inner = tmp_path / "outer", tmp_path / "outer" / "T-1" / "deep"
    with InstanceLock(outer / LOCK_FILE, "the workspace root"):
        inner.mkdir(parents=True)
        (tmp_path / "link").symlink_to(inner)
        for root in (inner, tmp_path / "link", outer / "not" / "there"):
            with pytest.raises(InstanceError) as refused:
                refuse_nested(root)
            assert str(refused.value) == (
                f"the workspace root {root} lies inside {outer}, which another daemon "
                f"(pid {os.getpid()} on {socket.gethostname()}) uses: choose a directory beside it"
            )
        refuse_nested(outer)
        refuse_nested(tmp_path / "beside")
    refuse_nested(inner)
