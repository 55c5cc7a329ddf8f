"""A managed agent-server: settings go in, a server that is up comes out, and nothing of it is left when we end.

It listens on loopback with a key made for each start, writes its own log, is restarted when it dies (within a budget), and is
ended with everything it started. A server that a killed daemon of ours left behind is ended first; a foreign one is
never touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import Process, TaskStatus

from opensymphony.agents.openhands.client import Client, Endpoint, Unreached
from opensymphony.agents.openhands.environment import HOST, Places, command_line, prepare
from opensymphony.agents.openhands.ownership import (
    choose_port,
    end_orphan,
    forget_record,
    interrupt_running,
    new_record,
    write_record,
)
from opensymphony.clock import Clock, new_id, new_secret
from opensymphony.errors import AgentServerError, OpenSymphonyError
from opensymphony.logs import get_logger
from opensymphony.model import ServerState
from opensymphony.processes import end_all, end_child, process_start_time, start
from opensymphony.workflow.policy import LocalServerPolicy

LOG_BYTES_MAX = 20 * 1024 * 1024
_BUDGET_MS = 600_000
_PROBE_S = 0.1
_WATCH_S = 5.0
_STOP_GRACE_S = 10
_REST_GRACE_MS = 2_000
_BACKOFF_MAX_S = 30
_TAIL_BYTES = 8_192
_TAIL_LINES = 3
_LINE_MAX = 200

log = get_logger(__name__)


class ServerFailed(AgentServerError):
    """Raised when the server cannot be started, or died too often."""

    error_class = "server"


class Supervisor:
    """Owns one agent-server; `run` is its life."""

    def __init__(
        self,
        *,
        python: str,
        places: Places,
        policy: LocalServerPolicy,
        clock: Clock,
        port: int = 0,
        before_start: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`python` is the interpreter of the installed server; `port` 0 takes a free one at each start.

        `before_start` is awaited before each start, while no server runs.
        """
        self._python = python
        self.places = places
        self._policy = policy
        self._clock = clock
        self._port = port
        self._before_start = before_start
        self._state = ServerState(status="stopped")
        self._changed = anyio.Event()
        self._cleared = anyio.Event()
        self._endpoint: Endpoint | None = None
        self._client = Client(self.endpoint)
        self._process: Process | None = None
        self._nonce = ""
        self._deaths: deque[int] = deque()

    def state(self) -> ServerState:
        """The server right now, without asking it."""
        return self._state

    @property
    def nonce(self) -> str:
        """Carried by every process of the present start; empty before the first."""
        return self._nonce

    def endpoint(self) -> Endpoint:
        """Where the server listens, or will; raises `Unreached` before the first start."""
        if self._endpoint is None:
            raise Unreached("agent-server: it was not started yet")
        return self._endpoint

    async def wait_ready(self) -> Endpoint:
        """The address once the server answers; raises `ServerFailed` when it is given up or was stopped."""
        while True:
            if self._state.status == "ready":
                return self.endpoint()
            if self._state.status == "failed" or (self._state.status == "stopped" and self._endpoint is not None):
                raise ServerFailed(f"agent-server: {self._state.detail or 'it was stopped'}")
            await self._changed.wait()

    async def wait_cleared(self) -> None:
        """Return when what a killed daemon may have left is ended; before `run` has seen to that, agents may still work."""
        await self._cleared.wait()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Start the server, keep it alive until cancelled, then end it and everything it started.

        `await task_group.start(supervisor.run)` returns when it is ready. Raises `ServerFailed` when the first start fails,
        `InstanceError` when the port or the server belongs to somebody else; later failures are told by `state`.
        """
        failure = ""
        # Before anything is awaited: an orphan may still run what somebody now wants confirmed as stopped.
        self._set("starting", detail="looking for what an earlier start left")
        try:
            # Bounded, and not to be cut short: a stop during it would leave the orphan.
            with anyio.CancelScope(shield=True):
                await end_orphan(self.places.owner_record)
            self._cleared.set()
            await self._boot("starting")
            task_status.started()
            await self._keep_alive()
        except OpenSymphonyError as error:
            failure = str(error)
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await self._end()
                await self._client.close()
                self._set("failed" if failure else "stopped", detail=failure)

    async def _keep_alive(self) -> None:
        while True:
            reason = await self._watch()
            while True:
                if not self._may_restart():
                    self._set("failed", detail=f"it died {len(self._deaths)} times in ten minutes; last: {reason}")
                    await self._end()
                    await anyio.sleep_forever()
                self._state = msgspec.structs.replace(self._state, restarts=self._state.restarts + 1)
                self._set("restarting", detail=reason)
                await self._end()
                await anyio.sleep(self._backoff_s())
                try:
                    await self._boot("restarting")
                    break
                except OpenSymphonyError as error:
                    reason = str(error)

    def _may_restart(self) -> bool:
        now_ms = self._clock.now_ms()
        self._deaths.append(now_ms)
        while self._deaths[0] < now_ms - _BUDGET_MS:
            self._deaths.popleft()
        return len(self._deaths) <= self._policy.max_restarts

    def _backoff_s(self) -> float:
        """The first restart comes at once."""
        earlier = len(self._deaths) - 1
        return min(_BACKOFF_MAX_S, 2 ** (earlier - 1)) * (0.5 + self._clock.jitter() / 2) if earlier else 0.0

    async def _boot(self, status: str) -> None:
        """Start a process and wait until it answers. The record is written first: no moment leaves a server unowned."""
        self._nonce, session_key = new_id(), new_secret()
        try:
            port = await anyio.to_thread.run_sync(choose_port, self._port)
        except OSError as error:
            raise ServerFailed(f"agent-server: no port can be had: {error.strerror}") from error
        record = new_record(nonce=self._nonce, port=port, session_key=session_key)
        boot = self._endpoint.boot + 1 if self._endpoint else 1
        self._endpoint = Endpoint(base_url=f"http://{HOST}:{port}", session_key=session_key, boot=boot)
        self._set("restarting" if status == "restarting" else "starting")
        if self._before_start is not None:
            await self._before_start()
        process = await self._spawn(record.port, session_key)
        self._process = process
        found = msgspec.structs.replace(record, pid=process.pid, start_time=process_start_time(process.pid))
        try:
            await anyio.to_thread.run_sync(write_record, self.places.owner_record, found)
        except OSError as error:
            raise ServerFailed(f"agent-server: {self.places.owner_record}: {error.strerror}") from error
        await self._wait_until_ready(process)
        version = (await self._client.server_info()).version
        self._set("ready", pid=process.pid, version=version)

    async def _spawn(self, port: int, session_key: str) -> Process:
        def prepare_files() -> tuple[dict[str, str], int, int]:
            env = prepare(self.places, nonce=self._nonce, session_key=session_key, extra=self._policy.env)
            record = new_record(nonce=self._nonce, port=port, session_key=session_key)
            write_record(self.places.owner_record, record)
            return env, os.open(os.devnull, os.O_RDONLY), _open_log(self.places.log)

        try:
            env, null, output = await anyio.to_thread.run_sync(prepare_files)
        except OSError as error:
            raise ServerFailed(f"agent-server: {error.filename}: {error.strerror}") from error
        argv = command_line(self._python, port)
        try:
            return await start(argv, cwd=str(self.places.home), env=env, stdin=null, output=output)
        except OSError as error:
            raise ServerFailed(
                f"agent-server: {self._python}: {error.strerror}: run `opensymphony install openhands`"
            ) from error
        finally:
            os.close(null)
            os.close(output)

    async def _wait_until_ready(self, process: Process) -> None:
        limit_ms = self._policy.startup_timeout_ms
        with anyio.move_on_after(limit_ms / 1000):
            while process.returncode is None:
                if await self._client.ready():
                    return
                await anyio.sleep(_PROBE_S)
        lines = await anyio.to_thread.run_sync(last_lines, self.places.log)
        what = f"did not answer within {limit_ms // 1000} s" if process.returncode is None else _exit_text(process)
        raise ServerFailed(f"agent-server: it {what} at its start: {lines} (log: {self.places.log})")

    async def _watch(self) -> str:
        """Wait for the server to die, and keep its log short meanwhile. Returns how it died."""
        process = self._process
        assert process is not None
        while process.returncode is None:
            with anyio.move_on_after(_WATCH_S):
                await process.wait()
            await anyio.to_thread.run_sync(limit_log, self.places.log)
        return _exit_text(process)

    async def _end(self) -> None:
        """Interrupt what runs, end the server, then whatever carries its nonce; confirmed before the record goes."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                if self._state.status == "ready":
                    await interrupt_running(self._client)
                with anyio.move_on_after(_STOP_GRACE_S):
                    if process.returncode is None:
                        process.terminate()
                    await process.wait()
            await end_child(process, self._nonce, grace_ms=_REST_GRACE_MS)
        if self._nonce:
            await end_all(self._nonce, grace_ms=_REST_GRACE_MS)
            try:
                await anyio.to_thread.run_sync(forget_record, self.places.owner_record)
            except OSError as error:  # the next start finds nothing alive behind it
                _warn("the record of an ended agent-server stays", self.places.owner_record, error)

    def _set(self, status: str, *, detail: str = "", pid: int | None = None, version: str | None = None) -> None:
        self._state = msgspec.structs.replace(
            self._state,
            status=status,
            detail=detail,
            pid=pid,
            version=version or self._state.version,
            base_url=self._endpoint.base_url if self._endpoint else None,
        )
        self._changed.set()
        self._changed = anyio.Event()


def limit_log(path: Path, bytes_max: int = LOG_BYTES_MAX) -> None:
    """Move a log that grew too long aside; its writer appends, so the file can be emptied under it.

    Where there is no room for the copy the log is emptied all the same: it must not fill a full disk. Never raises.
    """
    try:
        if path.stat().st_size <= bytes_max:
            return
        try:
            shutil.copyfile(path, path.with_suffix(".log.1"))
        except OSError as error:
            _warn("the agent-server's log is emptied without a copy", path, error)
        os.truncate(path, 0)
    except FileNotFoundError:
        return
    except OSError as error:
        _warn("the agent-server's log cannot be kept short", path, error)


def _warn(what: str, path: Path, error: OSError) -> None:
    log.warning(what, file=str(path), error=error.strerror or type(error).__name__)


def last_lines(path: Path) -> str:
    """The end of the server's log, as one line for a person."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "no log"
    told = [_message(line) for line in lines if line.strip()]
    return " | ".join(told[-_TAIL_LINES:]) or "its log is empty"


def _message(line: str) -> str:
    """The log is JSON lines, but what goes wrong early is plain text."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeError):
        line = str(msgspec.json.decode(line, type=dict[str, object]).get("message", line))
    return " ".join(line.split())[:_LINE_MAX]


def _exit_text(process: Process) -> str:
    code = process.returncode
    return f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"


def _open_log(path: Path) -> int:
    limit_log(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
