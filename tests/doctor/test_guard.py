"""Nothing is left behind a doctor that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from opensymphony.clock import new_id
from opensymphony.doctor.guard import hold, is_held
from opensymphony.processes import list_processes, scrubbed_environment


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
        command = [sys.executable, "-m", "opensymphony.doctor.guard", str(directory), nonce]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as guard:
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
    command = [sys.executable, "-m", "opensymphony.doctor.guard", str(tmp_path / "gone"), new_id()]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=50, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b".", b"")


def test_what_has_come_into_its_place_is_left_alone(tmp_path: Path) -> None:
    """The doctor has cleared up itself, and somebody has made a directory of the same name since."""
    directory = tmp_path / "tried"
    directory.mkdir()
    command = [sys.executable, "-m", "opensymphony.doctor.guard", str(directory), new_id()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as guard:
        wait_until_ready(guard)
        directory.rmdir()
        directory.mkdir()
        (directory / "file").write_text("x")
        guard.communicate(timeout=50)
    assert guard.returncode == 0
    assert (directory / "file").exists()


def test_only_a_directory_of_our_own_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No link, no file, nothing of another user's."""
    directory, link, file = tmp_path / "tried", tmp_path / "link", tmp_path / "file"
    directory.mkdir()
    link.symlink_to(directory)
    file.touch()
    assert [hold(path) for path in (link, file, tmp_path / "none")] == [None] * 3
    held = hold(directory)
    assert held is not None and is_held(directory, held) and not is_held(link, held)
    os.close(held)
    monkeypatch.setattr(os, "geteuid", lambda: directory.stat().st_uid + 1)
    assert hold(directory) is None
