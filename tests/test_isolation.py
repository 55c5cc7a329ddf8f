"""What programs inside see of the machine, at each level that works here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from opensymphony import isolation as isolation_module
from opensymphony.errors import ConfigurationError
from opensymphony.isolation import Isolation, Level, View, best, choose, hindrance

LEVELS: list[Level] = ["sandbox", "restrict"]
REQUIRED = bool(os.environ.get("CI"))


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> Level:
    """Where CI is set both have to work: a check that did not run is none."""
    if why := hindrance(request.param):
        assert not REQUIRED, f"{request.param}: {why}"
        pytest.skip(f"{request.param}: {why}")
    return request.param


def run(isolation: Isolation, command: str, view: View, cwd: Path, **environment: str) -> str:
    argv = isolation.wrap(["sh", "-c", command], view)
    env = {"PATH": os.environ["PATH"], **environment}
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=50)
    return done.stdout


def test_programs_see_their_own_places_only(level: Level, tmp_path: Path) -> None:
    """What is writable, what is readable, and nothing beside them: not the home, not the neighbour, not the store."""
    for name in ("mine", "shown", "neighbour", "store"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(f"{name}\n")
    view = View(readable=(str(tmp_path / "shown"),), writable=(str(tmp_path / "mine"),))
    script = "; ".join(
        f"cat {tmp_path}/{name}/file; (echo more >> {tmp_path}/{name}/file) 2>/dev/null && echo changed {name}"
        for name in ("mine", "shown", "neighbour", "store")
    )
    said = run(Isolation(level=level), f"{script}; ls -A {Path.home()}; cat /etc/shadow", view, tmp_path / "mine")
    assert said == "mine\nchanged mine\nshown\n"
    assert (tmp_path / "neighbour" / "file").read_text() == "neighbour\n"


def test_programs_of_the_system_work(level: Level, tmp_path: Path) -> None:
    """A shell, git, tools of PATH, temporary files where they are told to go, names of users and hosts."""
    isolation, home = Isolation(level=level), tmp_path / "home"
    temporary = isolation.temporary_directory(str(home))
    assert temporary is not None
    (home / "tmp").mkdir(parents=True)
    said = run(
        isolation,
        "git init -q . && git status --short | wc -l && f=$(mktemp) && echo kept > $f && cat $f && id -u && echo x > /dev/null",
        View(writable=(str(home),)),
        home,
        HOME=str(home),
        TMPDIR=temporary,
    )
    assert said.split() == ["0", "kept", str(os.getuid())]


def test_the_kernel_cannot_be_set(level: Level, tmp_path: Path) -> None:
    """Also where we are root, who owns the files below /proc/sys. They are only opened."""
    looks = (
        "import os; at = [os.path.join(top, name) for base in ('/proc/sys', '/proc/sysrq-trigger', '/proc/fs', '/sys')"
        " for top, _, names in os.walk(base) for name in names] + ['/proc/sysrq-trigger', '/proc/kcore', '/dev/kmsg']\n"
        "def opens(path):\n"
        "  try: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)); return True\n"
        "  except OSError: return False\n"
        "print(len(at) > 500, [path for path in at if opens(path)])"
    )
    script = tmp_path / "looks.py"
    script.write_text(looks)
    view = View(readable=(sys.prefix, sys.base_prefix), writable=(str(tmp_path),))
    said = run(Isolation(level=level), f"{sys.executable} {script}", view, tmp_path)
    assert said == "True []\n"


def test_other_processes_cannot_be_read_or_signalled(level: Level, tmp_path: Path) -> None:
    """Their environment stays theirs; in a sandbox they are not even there."""
    with subprocess.Popen(["sleep", "60"], env={"CANARY": "canary-value", "PATH": os.environ["PATH"]}) as other:
        try:
            said = run(
                Isolation(level=level),
                f"cat /proc/{other.pid}/environ | tr '\\0' '\\n'; cat /proc/[0-9]*/environ 2>/dev/null | grep -a canary-value; "
                f"kill -9 {other.pid} 2>/dev/null; echo done",
                View(writable=(str(tmp_path),)),
                tmp_path,
            )
            assert "canary-value" not in said
            assert other.poll() is None or level == "restrict", "a sandbox has no way to signal it"
        finally:
            other.kill()


def test_nothing_outlives_a_sandbox(tmp_path: Path) -> None:
    """A process that left its session, its parent and its environment ends with the program all the same."""
    if why := hindrance("sandbox"):
        assert not REQUIRED, why
        pytest.skip(why)
    script = "(setsid env -i sleep 61.25 </dev/null >/dev/null 2>&1 &) ; sleep 0.2"
    run(Isolation(level="sandbox"), script, View(writable=(str(tmp_path),)), tmp_path)
    left = ["at first"]
    for _ in range(200):
        left = [str(entry) for entry in Path("/proc").glob("[0-9]*/cmdline") if b"61.25" in _read(entry)]
        if not left:
            return
        time.sleep(0.05)  # the kernel ends what was inside a moment after the program
    raise AssertionError(left)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_place_behind_a_link_is_there_by_both_names(level: Level, tmp_path: Path) -> None:
    """Programs are told the one, and links inside lead to the other."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "file").write_text("there\n")
    for names in (("link",), ("link", "real")):
        view = View(writable=tuple(str(tmp_path / name) for name in names))
        said = run(Isolation(level=level), f"cat {tmp_path}/link/file {tmp_path}/real/file", view, tmp_path / "real")
        assert said == ("there\nthere\n" if level == "sandbox" or names else "")
    said = run(Isolation(level=level, writable=(str(tmp_path),)), f"cat {tmp_path}/link/file", view, tmp_path / "real")
    assert said == "there\n"


def test_what_holds_the_home_or_the_store_is_no_toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH may name anything: a directory above what is hidden is left out, one beside it is not."""
    home, tools = tmp_path / "home", tmp_path / "tools"
    (home / "bin").mkdir(parents=True)
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:{home}:{home / 'bin'}:{tools}:relative:")
    argv = Isolation(level="sandbox", hidden=(str(home),)).wrap(["true"], View())
    assert [path for path in (tmp_path, home, home / "bin", tools) if str(path) in argv] == [home / "bin", tools]


def test_none_changes_nothing() -> None:
    """The command line is the one that was given."""
    assert Isolation().wrap(["a", "b"], View(writable=("/x",))) == ["a", "b"]
    assert Isolation().temporary_directory("/home") is None


def test_a_level_that_does_not_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for, it is an error with the remedy, never a weaker one; not asked for, the best that works is taken."""
    isolation_module.hindrance.cache_clear()
    monkeypatch.setattr(isolation_module.shutil, "which", lambda name: None)
    monkeypatch.setattr(isolation_module.landlock, "abi", lambda: 0)
    try:
        assert best() == "none"
        for wanted, says in (("sandbox", "install it"), ("restrict", "Linux 5.13")):
            with pytest.raises(ConfigurationError, match=says):
                choose(wanted, "WORKFLOW.md")  # type: ignore[arg-type]
        assert choose(None, "WORKFLOW.md") == choose("none", "WORKFLOW.md") == "none"
    finally:
        isolation_module.hindrance.cache_clear()


@pytest.mark.parametrize("wanted", ["sandbox", "restrict", "none"])
def test_each_level_says_what_it_is(wanted: Level) -> None:
    """One line that begins with its name."""
    assert Isolation(level=wanted).describe().startswith(f"{wanted}: ")
