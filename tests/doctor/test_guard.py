"""Nothing is left behind a doctor that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from opensymphony.clock import new_id
from opensymphony.processes import list_processes, scrubbed_environment


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
        guard = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert guard.stdin is not None
        assert directory.exists() and ours.poll() is None
        guard.stdin.close()
        assert guard.wait(50) == 0
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
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
