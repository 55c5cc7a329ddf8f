"""Real children that try to outlive us."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from opensymphony import processes
from opensymphony.clock import new_id
from opensymphony.processes import (
    end_all,
    is_alive,
    list_processes,
    process_start_time,
    run,
    scrubbed_environment,
    variable_of,
)

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="finds processes through /proc")


@pytest.fixture
async def nonce() -> AsyncIterator[str]:
    """A nonce whose processes are gone when the test is over, whatever it did."""
    value = new_id()
    yield value
    await end_all(value, grace_ms=100)
    assert list_processes(value) == ()


def env(nonce: str, **extra: str) -> dict[str, str]:
    return scrubbed_environment(nonce, extra)


async def shell(script: str, nonce: str, tmp_path: Path, timeout_ms: int = 20_000) -> processes.Completed:
    return await run(["sh", "-c", script], cwd=str(tmp_path), env=env(nonce), timeout_ms=timeout_ms)


async def until(condition: object, seconds: float = 10) -> None:
    with anyio.fail_after(seconds):
        while not condition():  # type: ignore[operator]
            await anyio.sleep(0.02)


async def test_output_and_exit_code_are_told(nonce: str, tmp_path: Path) -> None:
    """Both streams come in order, with the child's own exit code."""
    done = await shell("echo out; echo err >&2; exit 3", nonce, tmp_path)
    assert (done.exit_code, done.output, done.timed_out) == (3, "out\nerr\n", False)


async def test_input_reaches_the_child(nonce: str, tmp_path: Path) -> None:
    """Given bytes are its standard input; without any it reads the end at once."""
    given = await run(["cat"], cwd=str(tmp_path), env=env(nonce), timeout_ms=10_000, input_bytes=b"x" * 300_000)
    none = await run(["cat"], cwd=str(tmp_path), env=env(nonce), timeout_ms=10_000)
    assert (given.output, none.output) == ("x" * 65_536, "")


async def test_a_child_has_the_descriptors_that_it_is_passed(nonce: str, tmp_path: Path) -> None:
    """Under the same numbers; any other of ours stays ours."""
    reading, writing = os.pipe()
    os.write(writing, b"passed")
    os.close(writing)
    script = f"cat /dev/fd/{reading}"
    alone = await shell(script, nonce, tmp_path)
    assert alone.exit_code == 1 and "passed" not in alone.output
    done = await run(["sh", "-c", script], cwd=str(tmp_path), env=env(nonce), timeout_ms=10_000, pass_fds=[reading])
    os.close(reading)
    assert done.output == "passed"


async def test_huge_output_keeps_its_end_only(nonce: str, tmp_path: Path) -> None:
    """Output without limit is read to the end, and only the last bytes are kept."""
    done = await shell("head -c 20000000 /dev/zero | tr '\\0' a; printf end", nonce, tmp_path)
    assert len(done.output) == 65_536
    assert done.output.endswith("aend")


@pytest.mark.parametrize("argv", [["/no/such/program"], ["sh", "-c", "true"]])
async def test_a_missing_program_or_directory_is_an_answer(nonce: str, tmp_path: Path, argv: list[str]) -> None:
    """What cannot be started is exit code 127 that names what is missing."""
    cwd = str(tmp_path) if argv[0] != "sh" else str(tmp_path / "absent")
    done = await run(argv, cwd=cwd, env=env(nonce), timeout_ms=10_000)
    assert done.exit_code == 127
    assert ("absent" if argv[0] == "sh" else "/no/such/program") in done.output


async def test_a_child_over_its_time_is_ended(nonce: str, tmp_path: Path) -> None:
    """The time limit ends child and grandchild, and is told."""
    done = await shell("echo before; sleep 300 & sleep 300", nonce, tmp_path, timeout_ms=300)
    assert (done.exit_code, done.timed_out, done.output) == (None, True, "before\n")
    assert list_processes(nonce) == ()


async def test_a_child_that_ignores_sigterm_is_killed(
    nonce: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the grace comes SIGKILL."""
    monkeypatch.setattr(processes, "GRACE_MS", 200)
    done = await shell("trap '' TERM; echo deaf; while :; do sleep 1; done", nonce, tmp_path, timeout_ms=500)
    assert (done.timed_out, done.output.splitlines()[0]) == (True, "deaf")
    assert list_processes(nonce) == ()


async def test_huge_output_keeps_its_start_where_that_is_wanted(nonce: str, tmp_path: Path) -> None:
    """The child is not stopped by it: it writes to its end."""
    script = "print('begin'); print('x' * 3_000_000); print('end'); open('done', 'w')"
    argv = [sys.executable, "-c", script]
    done = await run(argv, cwd=str(tmp_path), env=env(nonce), timeout_ms=20_000, output_bytes_max=1_000, keep="start")
    assert (done.exit_code, len(done.output), done.output[:8]) == (0, 1_000, "begin\nxx")
    assert (tmp_path / "done").exists()


async def test_a_background_child_that_holds_the_output_does_not_keep_us(nonce: str, tmp_path: Path) -> None:
    """The call ends with its child, not with the last holder of the pipe, and the holder is ended."""
    done = await shell("sleep 300 & echo $!", nonce, tmp_path)
    assert (done.exit_code, done.timed_out) == (0, False)
    assert process_start_time(int(done.output)) is None


@pytest.mark.parametrize(
    "script",
    [
        "setsid sleep 300 & echo $!",
        "(setsid sh -c 'sleep 300 & echo $!' &) ; sleep 0.3",
        "setsid env -i sleep 300 & sleep 300",
        "env -i sleep 300 &",
    ],
    ids=["setsid", "double fork", "setsid without environment", "without environment"],
)
async def test_children_that_leave_the_group_are_found(nonce: str, tmp_path: Path, script: str) -> None:
    """New sessions and double forks are found by the id of the call, by descent, or by session."""
    before = {found.pid for found in list_processes(nonce)}
    await shell(script, nonce, tmp_path, timeout_ms=1_000)
    assert before == set()
    assert list_processes(nonce) == ()
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _cwd(pid) == str(tmp_path)]


def _cwd(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
async def test_a_tmux_server_is_found(nonce: str, tmp_path: Path) -> None:
    """A tmux server leaves group, session and parent, and is ended all the same."""
    socket = f"/tmp/t{nonce[:8]}"
    done = await shell(
        f"tmux -S {socket} new-session -d sleep 300 && tmux -S {socket} display -p '#{{pid}}'", nonce, tmp_path
    )
    Path(socket).unlink(missing_ok=True)
    assert done.exit_code == 0, done.output
    assert process_start_time(int(done.output)) is None


async def test_cancelling_ends_everything(nonce: str, tmp_path: Path) -> None:
    """A cancelled call returns only when its children are gone."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shell, "setsid sleep 300 & sleep 300", nonce, tmp_path)
        await until(lambda: len(list_processes(nonce)) >= 3)
        tasks.cancel_scope.cancel()
    assert list_processes(nonce) == ()


async def test_one_call_does_not_end_the_children_of_another(nonce: str, tmp_path: Path) -> None:
    """Calls with one nonce are kept apart."""
    results: list[processes.Completed] = []

    async def long() -> None:
        results.append(await shell("sleep 1; echo unharmed", nonce, tmp_path))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(long)
        await until(lambda: list_processes(nonce))
        await shell("true", nonce, tmp_path)
    assert results[0].output == "unharmed\n"


async def test_end_all_ends_by_nonce_and_counts(nonce: str, tmp_path: Path) -> None:
    """Every process with the nonce is ended, one with another nonce is left."""
    other = new_id()
    with open(os.devnull, "r+b") as null:
        mine, others = [
            await processes.start(
                ["sh", "-c", "sleep 300; true"], cwd="/", env=env(value), stdin=null.fileno(), output=null.fileno()
            )
            for value in (nonce, other)
        ]
    await until(lambda: len(list_processes(nonce)) == 2 and len(list_processes(other)) == 2)
    assert await end_all(nonce) == 2
    assert list_processes(nonce) == ()
    assert len(list_processes(other)) == 2
    await processes.end_child(others, other, grace_ms=1_000)
    await mine.wait()
    assert list_processes(other) == ()
    assert await end_all(nonce) == 0


async def test_end_all_never_ends_ourselves_or_who_is_spared(nonce: str, tmp_path: Path) -> None:
    """A process with the nonce in its own environment can call it and live; so does one that is spared."""
    program = (
        "import anyio, os, sys\n"
        "from opensymphony.processes import end_all\n"
        "spared = os.spawnvp(os.P_NOWAIT, 'sleep', ['sleep', '300'])\n"
        "ended = os.spawnvp(os.P_NOWAIT, 'sleep', ['sleep', '300'])\n"
        f"print(anyio.run(lambda: end_all('{nonce}', spare=(spared,))))\n"
        "print(os.waitpid(ended, 0)[1], os.waitpid(spared, os.WNOHANG)[0])\n"
    )
    done = await run([sys.executable, "-c", program], cwd=os.getcwd(), env=env(nonce), timeout_ms=30_000)
    assert done.output == "1\n15 0\n"


def test_the_environment_holds_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only names known to be harmless are passed on; what is given explicitly comes on top, but never another nonce."""
    monkeypatch.setenv("LLM_API_KEY", "canary")
    monkeypatch.setenv("SSH_AUTH_SOCK", "canary")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary@proxy")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("PATH")
    found = scrubbed_environment("n", {"GIVEN": "yes", processes.NONCE_VARIABLE: "forged"})
    assert "canary" not in str(found)
    assert {"GIVEN": "yes", "LC_ALL": "C.UTF-8", processes.NONCE_VARIABLE: "n"}.items() <= found.items()
    assert found["PATH"] == os.defpath


def test_a_process_is_known_by_pid_and_start_time() -> None:
    """The same pid with another start time is another process."""
    started = process_start_time(os.getpid())
    assert started is not None
    assert is_alive(os.getpid(), started)
    assert not is_alive(os.getpid(), started + 1)
    assert is_alive(os.getpid(), None)
    assert process_start_time(2**22 + 1) is None
    assert not is_alive(2**22 + 1, None)


async def test_without_proc_the_process_group_is_ended(
    nonce: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no /proc, the group of the child is ended, deaf members included."""
    monkeypatch.setattr(processes, "_HAS_PROC", False)
    monkeypatch.setattr(processes, "GRACE_MS", 300)
    await shell("sleep 300 & trap '' TERM; while :; do sleep 1; done", nonce, tmp_path, timeout_ms=300)
    assert list_processes(nonce) == ()


async def test_a_variable_of_a_process_is_read(nonce: str, tmp_path: Path) -> None:
    """As the process began with it; one that begins the same way is another, and a process that is gone has none."""
    marker = {"OPENSYMPHONY_X": "a=b", "OPENSYMPHONY_X2": "other"}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: run(["sleep", "300"], cwd=str(tmp_path), env=env(nonce, **marker), timeout_ms=60_000))
        await until(lambda: list_processes(nonce))
        pid = list_processes(nonce)[0].pid
        await until(lambda: variable_of(pid, "OPENSYMPHONY_X") == "a=b")
        assert variable_of(pid, "OPENSYMPHONY_X2") == "other"
        assert variable_of(pid, "PENSYMPHONY_X") == ""
        tasks.cancel_scope.cancel()
    assert variable_of(pid, "OPENSYMPHONY_X") == ""
