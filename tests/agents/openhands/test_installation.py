"""The installer, on a tiny package instead of the agent-server, with the real uv."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from opensymphony.agents.openhands.installation import Installed, check, install, python_path
from opensymphony.agents.openhands.uv_progress import InstallProgress
from opensymphony.errors import InstallationError
from tests.agents.openhands.conftest import is_running, make_bundle


def environments(tool_dir: Path) -> list[Path]:
    return sorted(tool_dir.glob("env-*"))


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not holds():
            await anyio.sleep(0.02)


async def test_installs_into_an_environment_of_its_own(bundle: Path, tmp_path: Path) -> None:
    """After an installation the state is complete and the server's Python imports the pinned package."""
    tool_dir = tmp_path / "deep" / "tool dir"
    assert check(tool_dir, bundle=bundle).status == "absent"
    done = await install(tool_dir, bundle=bundle)
    assert (done.changed, done.version, done.reason) == (True, "1.0", "absent")
    assert check(tool_dir, bundle=bundle).status == "complete"
    said = subprocess.check_output(
        [python_path(tool_dir), "-c", "import tinyserver; print(tinyserver.VERSION)"], text=True
    )
    assert said == "1.0\n"
    assert os.access(tool_dir / "run-local.sh", os.X_OK)
    assert len(list((tool_dir / "current").glob("lib/python*/site-packages/tinyserver/__pycache__/*.pyc"))) == 1


async def test_second_run_changes_nothing(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole installation is left as it is, and uv is not even looked for."""
    first = await install(tmp_path / "tool", bundle=bundle)
    monkeypatch.setenv("OPENSYMPHONY_UV", "/nonexistent/uv")
    second = await install(tmp_path / "tool", bundle=bundle)
    assert (second.changed, second.python) == (False, first.python)


@pytest.mark.parametrize("victim", ["tinyserver/deep", "tinyserver/__init__.py", "tinyserver-1.0.dist-info"])
async def test_deleted_files_are_noticed_and_repaired(bundle: Path, tmp_path: Path, victim: str) -> None:
    """A missing file or folder, however deep, makes the installation damaged; installing again repairs it."""
    tool_dir = tmp_path / "tool"
    await install(tool_dir, bundle=bundle)
    [path] = (tool_dir / "current").glob(f"lib/python*/site-packages/{victim}")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    state = check(tool_dir, bundle=bundle)
    assert state.status == "damaged"
    assert path.name in state.detail
    assert (await install(tool_dir, bundle=bundle)).reason == "damaged"
    assert check(tool_dir, bundle=bundle).status == "complete"
    assert len(environments(tool_dir)) == 1


async def test_a_file_cut_short_is_installed_whole_again(bundle: Path, tmp_path: Path) -> None:
    """Damage to an installed file does not reach uv's cache, from which the repair is made."""
    tool_dir = tmp_path / "tool"
    await install(tool_dir, bundle=bundle)
    [path] = (tool_dir / "current").glob("lib/python*/site-packages/tinyserver/deep/down/below.py")
    with path.open("r+") as stream:
        stream.truncate(0)
    assert check(tool_dir, bundle=bundle).status == "damaged"
    await install(tool_dir, bundle=bundle)
    [path] = (tool_dir / "current").glob("lib/python*/site-packages/tinyserver/deep/down/below.py")
    assert path.read_text() == "ANSWER = 42\n"


@pytest.mark.parametrize("receipt", ["", "{", '{"format": 99}'])
async def test_an_unreadable_receipt_is_damage(bundle: Path, tmp_path: Path, receipt: str) -> None:
    """An environment without a readable receipt is not trusted."""
    await install(tmp_path / "tool", bundle=bundle)
    (tmp_path / "tool" / "current" / "installed.json").write_text(receipt)
    assert check(tmp_path / "tool", bundle=bundle).status == "damaged"


async def test_a_python_that_is_gone_is_damage(bundle: Path, tmp_path: Path) -> None:
    """When the base interpreter was removed, the state says so instead of letting the server fail."""
    await install(tmp_path / "tool", bundle=bundle)
    python = tmp_path / "tool" / "current" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3.13")
    state = check(tmp_path / "tool", bundle=bundle)
    assert (state.status, "Python" in state.detail) == ("damaged", True)


async def test_other_pins_make_it_outdated_and_are_installed(bundle: Path, tmp_path: Path) -> None:
    """A release with other pins replaces the environment, unless a running server was started from the old one."""
    tool_dir = tmp_path / "tool"
    old = await install(tool_dir, bundle=bundle)
    newer = make_bundle(tmp_path, "2.0")
    state = check(tool_dir, bundle=newer)
    assert (state.status, state.version) == ("outdated", "1.0")
    with subprocess.Popen([old.python, "-c", "input()"], stdin=subprocess.PIPE) as server:
        assert (await install(tool_dir, bundle=newer)).version == "2.0"
        if Path("/proc").is_dir():
            assert Path(old.python).exists()
        server.communicate(b"\n")
    assert (tool_dir / "version.txt").read_text() == "2.0\n"
    assert check(tool_dir, bundle=newer).status == "complete"


async def test_cancelled_leaves_no_process_and_no_environment(bundle: Path, hanging_uv: Path, tmp_path: Path) -> None:
    """A cancelled installation ends uv with everything it started and removes what it had made."""
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await install(tmp_path / "tool", bundle=bundle)

        tasks.start_soon(run)
        await until(hanging_uv.exists)
        tasks.cancel_scope.cancel()
    await until(lambda: not is_running(int(hanging_uv.read_text())))
    assert environments(tmp_path / "tool") == []
    assert check(tmp_path / "tool", bundle=bundle).status == "absent"


async def test_a_failed_repair_keeps_the_old_environment(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When an update cannot be installed, what was there before is still there."""
    tool_dir = tmp_path / "tool"
    await install(tool_dir, bundle=bundle)
    newer = make_bundle(tmp_path, "2.0")
    (newer / "requirements.txt").write_text("tinyserver==2.0 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(InstallationError, match="Hash mismatch") as caught:
        await install(tool_dir, bundle=newer)
    assert "\n" not in str(caught.value)
    assert check(tool_dir, bundle=bundle).status == "complete"
    assert len(environments(tool_dir)) == 1


async def test_killed_in_the_middle_is_interrupted_and_then_repaired(
    bundle: Path, hanging_uv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9 the half-made environment is never taken for whole; the next run waits for the orphan and repairs."""
    code = (
        "import anyio, sys; from pathlib import Path; from opensymphony.agents.openhands.installation import install\n"
        "async def main(): await install(Path(sys.argv[1]), bundle=Path(sys.argv[2]))\n"
        "anyio.run(main)"
    )
    tool_dir = tmp_path / "tool"
    with subprocess.Popen([sys.executable, "-c", code, str(tool_dir), str(bundle)]) as killed:
        await until(hanging_uv.exists)
        killed.send_signal(signal.SIGKILL)
    assert check(tool_dir, bundle=bundle).status == "interrupted"
    monkeypatch.setenv("OPENSYMPHONY_UV", hanging_uv.with_name("uv").read_text().split("exec ")[1].split()[0])
    phases: list[str] = []

    def report(progress: InstallProgress) -> None:
        if progress.phase == "waiting" and not phases:
            os.kill(int(hanging_uv.read_text()), signal.SIGKILL)  # the orphan ends at last
        phases.append(progress.phase)

    done = await install(tool_dir, report, bundle=bundle)
    assert (done.reason, phases[0]) == ("interrupted", "waiting")
    assert check(tool_dir, bundle=bundle).status == "complete"
    assert len(environments(tool_dir)) == 1


async def test_two_at_once_make_one_installation(bundle: Path, tmp_path: Path) -> None:
    """Of two installations into one directory one does the work and the other finds it done."""
    results: list[Installed] = []

    async def run() -> None:
        results.append(await install(tmp_path / "tool", bundle=bundle))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        tasks.start_soon(run)
    assert sorted(result.changed for result in results) == [False, True]
    assert results[0].python == results[1].python


async def test_no_disk_space_is_one_line_and_nothing_is_made(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little space is said with place, need and have, before anything is written."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 7_000_000))
    with pytest.raises(
        InstallationError, match=r"tool: not enough disk space: 1200 MB needed, 7 MB free: .*--tool-dir"
    ):
        await install(tmp_path / "tool", bundle=bundle)
    assert not (tmp_path / "tool").exists()


async def test_a_file_in_the_way_is_one_line(bundle: Path, tmp_path: Path) -> None:
    """A tool directory that is a file is refused with its path."""
    (tmp_path / "tool").write_text("mine")
    with pytest.raises(InstallationError, match=r"tool: File exists: choose another --tool-dir"):
        await install(tmp_path / "tool", bundle=bundle)


async def test_refuses_to_install_into_the_files_it_installs_from(bundle: Path) -> None:
    """An environment must not end up among the files that travel in the wheel."""
    with pytest.raises(InstallationError, match="choose another --tool-dir"):
        await install(bundle, bundle=bundle)


async def test_progress_never_goes_back_and_ends_at_one(bundle: Path, tmp_path: Path) -> None:
    """Shares of the work only grow, and the last one is the whole."""
    seen: list[InstallProgress] = []
    await install(tmp_path / "tool", seen.append, bundle=bundle)
    shares = [progress.share for progress in seen if progress.share is not None]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_nothing_installed_names_the_command(tmp_path: Path) -> None:
    """Asking for the interpreter of a missing installation says how to get one."""
    with pytest.raises(InstallationError, match="run opensymphony install openhands"):
        python_path(tmp_path)
