"""Nothing is left behind a doctor that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from opensymphony.clock import new_id
from opensymphony.doctor.guard import is_held
from opensymphony.processes import list_processes, scrubbed_environment


@contextmanager
def held(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def command(directory: Path, number: int, nonce: str) -> dict[str, Any]:
    """What a guard is started with."""
    argv = [sys.executable, "-m", "opensymphony.doctor.guard", str(directory), str(number), nonce]
    return {"args": argv, "pass_fds": (number,)}


def wait_until_ready(guard: subprocess.Popen[bytes]) -> None:
    assert guard.stdout is not None
    assert guard.stdout.read(1) == b"."


def test_it_ends_and_removes_everything_when_the_pipe_ends(tmp_path: Path) -> None:
    """Not before: as long as the doctor holds it, nothing is touched. Another one's processes and files stay."""
    directory, nonce, other = tmp_path / "tried", new_id(), new_id()
    (directory / "state").mkdir(parents=True)
    (directory / "state" / "file").write_text("x")
    (tmp_path / "other").mkdir()
    started = [
        subprocess.Popen(["sleep", "600"], env=scrubbed_environment(one), start_new_session=True)
        for one in (nonce, other)
    ]
    ours, others = started
    try:
        with (
            held(directory) as number,
            subprocess.Popen(**command(directory, number, nonce), stdin=PIPE, stdout=PIPE) as guard,
        ):
            wait_until_ready(guard)
            assert directory.exists() and ours.poll() is None
            assert guard.poll() is None
            guard.communicate(timeout=50)
        assert guard.returncode == 0
        assert ours.wait(10) < 0
        assert others.poll() is None
        assert list_processes(nonce) == ()
        assert os.listdir(tmp_path) == ["other"]
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_it_has_nothing_to_do_where_the_doctor_has_cleared_up(tmp_path: Path) -> None:
    directory = tmp_path / "tried"
    directory.mkdir()
    with held(directory) as number:
        directory.rmdir()
        given = command(directory, number, new_id())
        done = subprocess.run(**given, stdin=subprocess.DEVNULL, capture_output=True, timeout=50, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b".", b"")


def test_what_has_come_into_its_place_is_left_alone(tmp_path: Path) -> None:
    """The doctor has cleared up itself, and somebody has made a directory of the same name since."""
    directory = tmp_path / "tried"
    directory.mkdir()
    with held(directory) as number:
        directory.rmdir()
        directory.mkdir()
        (directory / "file").write_text("x")
        given = command(directory, number, new_id())
        done = subprocess.run(**given, stdin=subprocess.DEVNULL, capture_output=True, timeout=50, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b".", b"")
    assert (directory / "file").exists()


def test_only_our_own_directory_is_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by a link to it, and not where it has come to be another user's."""
    directory, link = tmp_path / "tried", tmp_path / "link"
    directory.mkdir()
    link.symlink_to(directory)
    with held(directory) as number:
        assert is_held(directory, number)
        assert not is_held(link, number)
        assert not is_held(tmp_path / "none", number)
        assert not is_held(directory, -1)
        other = directory.stat().st_uid + 1
        monkeypatch.setattr(os, "geteuid", lambda: other)
        assert not is_held(directory, number)
