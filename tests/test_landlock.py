"""A process that gave up every file but those it was told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from opensymphony import landlock
from opensymphony.isolation import hindrance

pytestmark = pytest.mark.skipif(bool(hindrance("restrict")), reason=hindrance("restrict"))

SYSTEM = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"]


def run(command: str, readable: list[str], writable: list[str]) -> subprocess.CompletedProcess[str]:
    rules = json.dumps({"readable": [path for path in readable if Path(path).exists()], "writable": writable})
    argv = [sys.executable, "-I", "-S", landlock.__file__, rules, "--", "sh", "-c", command]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_only_what_is_named_can_be_read_or_changed(tmp_path: Path) -> None:
    """Files and directories, by whatever the process starts, and for good."""
    for name in ("open", "shown", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(f"{name}\n")
    script = "; ".join(
        f"cat {tmp_path}/{name}/file; (echo more >> {tmp_path}/{name}/file) && echo changed {name}"
        for name in ("open", "shown", "closed")
    )
    done = run(script, [*SYSTEM, str(tmp_path / "shown")], [str(tmp_path / "open")])
    assert done.stdout == "open\nchanged open\nshown\n"
    assert (tmp_path / "shown" / "file").read_text() == "shown\n"
    assert (tmp_path / "closed" / "file").read_text() == "closed\n"


def test_a_link_or_a_move_leads_nowhere(tmp_path: Path) -> None:
    """Neither a symbolic link out of an open place nor a hard link into it shows what is closed."""
    closed, inside = tmp_path / "closed", tmp_path / "open"
    closed.write_text("closed\n")
    inside.mkdir()
    (inside / "link").symlink_to(closed)
    done = run(
        f"cat {inside}/link; ln {closed} {inside}/hard && cat {inside}/hard; mv {closed} {inside}/",
        SYSTEM,
        [str(inside)],
    )
    assert done.stdout == ""
    assert closed.exists()


def test_a_program_that_is_not_there_is_told() -> None:
    """As a shell does: exit code 127 and one line."""
    rules = json.dumps({"readable": [], "writable": []})
    argv = [sys.executable, "-I", "-S", landlock.__file__, rules, "--", "/no/such/program"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert done.stderr.startswith("/no/such/program: ")


def test_a_place_that_vanished_is_told_before_anything_runs(tmp_path: Path) -> None:
    """A rule that cannot be made never makes a weaker isolation."""
    done = run("echo ran", [*SYSTEM, "/usr"], [str(tmp_path / "gone")])
    assert (done.returncode, done.stdout) == (127, "")
    assert "gone" in done.stderr
