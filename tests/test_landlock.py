"""A process that gave up every file but those it was told."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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


class Kernel:
    """One of another version, which only takes notes."""

    def __init__(self, version: int, fails: int | None = None) -> None:
        self.version, self.fails = version, fails
        self.calls: list[tuple[int, ...]] = []
        self.sizes: list[int] = []
        self.handled: list[int] = []
        self.allowed: list[int] = []

    def syscall(self, number: int, *arguments: Any) -> int:
        self.calls.append((number,))
        if number == self.fails:
            ctypes.set_errno(errno.EPERM)
            return -1
        match number:
            case landlock._CREATE_RULESET if arguments[0] is None:
                return self.version
            case landlock._CREATE_RULESET:
                self.handled += [arguments[0]._obj.handled_fs, arguments[0]._obj.scoped]
                self.sizes.append(arguments[1].value)
                return os.open(os.devnull, os.O_RDONLY)
            case landlock._ADD_RULE:
                self.allowed.append(arguments[2]._obj.allowed)
        return 0

    def prctl(self, option: int, *_: int) -> int:
        self.calls.append((option,))
        return 0


@pytest.mark.parametrize(
    ("version", "size", "handled", "scoped"),
    [(1, 8, 13, 0), (2, 8, 14, 0), (3, 8, 15, 0), (4, 16, 15, 0), (5, 16, 16, 0), (6, 24, 16, 3)],
)
def test_an_older_kernel_is_asked_for_what_it_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: int, size: int, handled: int, scoped: int
) -> None:
    """It refuses anything else. A file takes no rights of directories, and no rule more than is handled."""
    kernel = Kernel(version)
    monkeypatch.setattr(landlock, "_system", lambda: kernel)
    (tmp_path / "file").touch()
    landlock.restrict([str(tmp_path)], [str(tmp_path / "file"), str(tmp_path)])
    assert (kernel.sizes, kernel.handled) == ([size], [(1 << handled) - 1, scoped])
    reading, file, directory = kernel.allowed
    assert reading == landlock._READ
    assert file == landlock._OF_FILES & kernel.handled[0]
    assert directory == kernel.handled[0]
    assert kernel.calls[-2:] == [(landlock._PR_SET_NO_NEW_PRIVS,), (landlock._RESTRICT_SELF,)]
    assert ((landlock._PR_CAPBSET_DROP,) in kernel.calls) == (os.geteuid() == 0)


def test_what_the_kernel_refuses_is_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other program is not begun."""
    begun: list[str] = []
    monkeypatch.setattr(os, "execvp", lambda file, argv: begun.append(file))
    rules = json.dumps({"readable": [str(tmp_path)], "writable": []})
    monkeypatch.setattr(landlock, "_system", lambda: Kernel(6, fails=landlock._RESTRICT_SELF))
    with pytest.raises(SystemExit) as left:
        landlock.main([rules, "--", "true"])
    assert (left.value.code, begun) == (127, [])
    assert capsys.readouterr().err == "true: landlock: Operation not permitted\n"
    monkeypatch.setattr(landlock, "_system", lambda: Kernel(6))
    landlock.main([rules, "--", "true"])
    assert begun == ["true"]
