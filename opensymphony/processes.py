"""Run child processes so that nothing they started outlives them.

Every child of the daemon carries `OPENSYMPHONY_NONCE` in its environment, and every call of `run` adds an id of its own. A
process group ends the ordinary case; tmux servers and `setsid` children leave the group, but keep the environment, and
are found by these two (Linux: /proc/<pid>/environ), together with their descendants. Where there is no /proc (macOS)
only the process group of the child is ended. A process that empties its environment *and* leaves its session *and* its
parent is not found by either.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal, Protocol

import anyio
import anyio.to_thread
from anyio.abc import Process
from msgspec import Struct

from opensymphony.clock import new_id

NONCE_VARIABLE = "OPENSYMPHONY_NONCE"
CHILD_VARIABLE = "OPENSYMPHONY_CHILD"

GRACE_MS = 2_000
_HAS_PROC = os.path.isdir("/proc/self")
_POLL_S = 0.02
_POLL_MAX_S = 0.2
_KILL_LIMIT_S = 10.0
"""A killed process that is still there after this long hangs in the kernel; nobody can end it."""

_PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "COLORTERM",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    # Where toolchains and certificates are: paths, which a changed HOME would otherwise hide.
    "JAVA_HOME",
    "GOROOT",
    "RUSTUP_HOME",
    "NVM_DIR",
    "PYENV_ROOT",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
)


class Completed(Struct, frozen=True, kw_only=True):
    """How a child process ended."""

    exit_code: int | None
    """None when it was ended for taking too long; negative: the signal that ended it; 127: it could not be started."""
    output: str
    """Standard output and error together; the last `output_bytes_max` bytes, or the first where that was asked for."""
    timed_out: bool
    duration_ms: int


class Waitable(Protocol):
    """A child whose end can be waited for."""

    @property
    def pid(self) -> int: ...

    async def wait(self) -> object: ...


class LiveProcess(Struct, frozen=True, kw_only=True):
    """A process as found in /proc; pid and start time together are never given to another one."""

    pid: int
    start_time: int
    parent: int
    session: int


def scrubbed_environment(nonce: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a hook, git or an agent may see of our environment: paths, locale and terminal, never a credential."""
    passed_on = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("LC_")}
    return {"PATH": os.defpath, **passed_on, **(extra or {}), NONCE_VARIABLE: nonce}


async def run(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    timeout_ms: int,
    output_bytes_max: int = 65_536,
    keep: Literal["start", "end"] = "end",
    input_bytes: bytes | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run to the end, or to the time limit; then end everything it started, also when we are cancelled.

    The child has the open descriptors `pass_fds` under the same numbers. Whatever it left running in the background is ended
    too, even if it holds the output open. A program or a directory that is not there is exit code 127 with the reason as
    output, as in a shell.
    """
    began = anyio.current_time()
    marker = new_id()
    kept = _Start(output_bytes_max) if keep == "start" else _Tail(output_bytes_max)
    with _Pipe() as pipe, tempfile.TemporaryFile() as stdin:
        if input_bytes:
            stdin.write(input_bytes)
            stdin.seek(0)
        try:
            process = await start(
                argv,
                cwd=cwd,
                env={**env, CHILD_VARIABLE: marker},
                stdin=stdin.fileno(),
                output=pipe.write_end,
                pass_fds=pass_fds,
            )
        except OSError as error:
            reason = f"{error.filename or argv[0]}: {error.strerror}"
            return Completed(exit_code=127, output=reason, timed_out=False, duration_ms=_since_ms(began))
        pipe.close_write_end()
        timed_out = await _attend(process, marker, pipe.read_end, kept, timeout_ms)
    exit_code = None if timed_out else process.returncode
    return Completed(exit_code=exit_code, output=kept.text(), timed_out=timed_out, duration_ms=_since_ms(began))


async def start(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    stdin: int,
    output: int,
    pass_fds: Sequence[int] = (),
) -> Process:
    """Start a child in a session of its own; `stdin` and `output` are open file descriptors, never pipes of asyncio.

    The caller ends it. Being cancelled never leaves a child that nobody knows of. Raises `OSError` when there is no
    such program or directory.
    """
    with anyio.CancelScope(shield=True):
        process = await anyio.open_process(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=stdin,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    return process  # noqa: RET504  # pyright: ignore[reportPossiblyUnboundVariable]


async def end_all(nonce: str, *, grace_ms: int = GRACE_MS, spare: Sequence[int] = ()) -> int:
    """End every process that carries this nonce, whoever its parent is now, and confirm it. Returns how many there were.

    Never ends this process or one in `spare`. Where there is no /proc, nothing can be found and 0 is returned.
    """
    return await _end(partial(list_processes, nonce, spare=spare), grace_ms)


async def end_child(process: Waitable, nonce: str, *, grace_ms: int) -> None:
    """End one child that `start` began, everything in its session, and what carries `nonce`; then reap the child."""
    await _end_tree(process, NONCE_VARIABLE, nonce, grace_ms)


def list_processes(nonce: str, *, spare: Sequence[int] = ()) -> tuple[LiveProcess, ...]:
    """Every live process with this nonce in its environment, and their descendants; never ourselves. Reads all of /proc."""
    return _matching(NONCE_VARIABLE, nonce, session=None, spare=spare)


def process_start_time(pid: int) -> int | None:
    """When the process began, in clock ticks since boot; None for a process that is gone, or where there is no /proc."""
    found = _read_stat(pid)
    return found.start_time if found else None


def is_alive(pid: int, start_time: int | None) -> bool:
    """Whether this very process runs; a later one with the same pid does not count, nor does a zombie.

    Without a start time (no /proc) any process with that pid counts.
    """
    if start_time is not None:
        return process_start_time(pid) == start_time
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def variable_of(pid: int, name: str) -> str:
    """A variable of the environment that a process began with; empty where there is none, or it is not ours to read."""
    value = _environment(pid).partition(f"\0{name}=".encode())[2]
    return value.partition(b"\0")[0].decode(errors="replace")


class _Tail:
    """The last bytes of a stream."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._kept = bytearray()

    def add(self, chunk: bytes) -> None:
        self._kept += chunk
        if len(self._kept) > 2 * self._bytes_max + 65_536:
            self._cut()

    def text(self) -> str:
        self._cut()
        return self._kept.decode(errors="replace")

    def _cut(self) -> None:
        del self._kept[: max(0, len(self._kept) - self._bytes_max)]


class _Start(_Tail):
    """The first bytes of a stream; the rest is read and thrown away."""

    def add(self, chunk: bytes) -> None:
        self._kept += chunk[: self._bytes_max - len(self._kept)]


class _Pipe:
    """A pipe of our own: asyncio's would make the end of a child wait for whoever else holds its output open."""

    def __enter__(self) -> _Pipe:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.read_end)
        self.close_write_end()

    def close_write_end(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1


async def _attend(process: Process, marker: str, output: int, tail: _Tail, timeout_ms: int) -> bool:
    """Wait, end what is left, and say whether the time limit was reached."""
    drained = anyio.Event()
    limit = anyio.CancelScope()

    async def drain() -> None:
        while True:
            await anyio.wait_readable(output)
            chunk = os.read(output, 65_536)
            if not chunk:
                break
            tail.add(chunk)
        drained.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drain)
        try:
            limit.deadline = anyio.current_time() + timeout_ms / 1000
            with limit:
                await process.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await _end_tree(process, CHILD_VARIABLE, marker, GRACE_MS)
                # With every writer gone the end of the stream is already there; a process that hangs in the kernel may hold it.
                with anyio.move_on_after(1):
                    await drained.wait()
            tasks.cancel_scope.cancel()
    return limit.cancelled_caught


async def _end_tree(process: Waitable, variable: str, value: str, grace_ms: int) -> None:
    if _HAS_PROC:
        await _end(partial(_matching, variable, value, session=process.pid, spare=()), grace_ms)
    else:
        await _end_group(process, grace_ms)
    with anyio.move_on_after(_KILL_LIMIT_S):
        await process.wait()


async def _end(find: Callable[[], tuple[LiveProcess, ...]], grace_ms: int) -> int:
    """TERM at once, KILL after the grace, to whatever `find` still finds; bounded."""
    seen: set[tuple[int, int]] = set()
    with anyio.CancelScope(shield=True):
        began = anyio.current_time()
        pause_s = _POLL_S
        while found := await anyio.to_thread.run_sync(find):
            waited_s = anyio.current_time() - began
            if waited_s > grace_ms / 1000 + _KILL_LIMIT_S:
                break
            late = waited_s >= grace_ms / 1000
            for process in found:
                identity = (process.pid, process.start_time)
                if late or identity not in seen:
                    _signal(process, signal.SIGKILL if late else signal.SIGTERM)
                seen.add(identity)
            await anyio.sleep(pause_s)
            pause_s = _POLL_S if late else min(pause_s * 1.5, _POLL_MAX_S)
    return len(seen)


async def _end_group(process: Waitable, grace_ms: int) -> None:
    """Without /proc: the process group, by its number, which stays taken while it has a member."""
    deadline = anyio.current_time() + grace_ms / 1000
    number = signal.SIGTERM
    while anyio.current_time() < deadline + _KILL_LIMIT_S:
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            return
        await anyio.sleep(_POLL_S)
        number = signal.SIGKILL if anyio.current_time() >= deadline else 0


def _matching(variable: str, value: str, *, session: int | None, spare: Iterable[int]) -> tuple[LiveProcess, ...]:
    entry = f"\0{variable}={value}\0".encode()
    ours = {os.getpid(), *spare}
    everyone = [found for found in map(_read_stat, _pids()) if found and found.pid not in ours]
    chosen = {found.pid for found in everyone if found.session == session or entry in _environment(found.pid)}
    grew = bool(chosen)
    while grew:
        children = {found.pid for found in everyone if found.parent in chosen and found.pid not in chosen}
        chosen |= children
        grew = bool(children)
    return tuple(found for found in everyone if found.pid in chosen)


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return []


def _environment(pid: int) -> bytes:
    """The environment a process began with; empty for one that is not ours to read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"\0" + file.read() + b"\0"
    except OSError:
        return b""


def _read_stat(pid: int) -> LiveProcess | None:
    """None for a process that is gone or a zombie, which has ended and only waits for its parent to look."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return LiveProcess(pid=pid, parent=int(fields[1]), session=int(fields[3]), start_time=int(fields[19]))


def _signal(process: LiveProcess, number: int) -> None:
    """Signal exactly this process: its pid may have passed to another one since we looked."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        if process_start_time(process.pid) == process.start_time:
            signal.pidfd_send_signal(handle, number)
    except OSError:
        pass  # gone meanwhile, or not ours: the next look tells
    finally:
        os.close(handle)


def _since_ms(began: float) -> int:
    return int((anyio.current_time() - began) * 1000)
