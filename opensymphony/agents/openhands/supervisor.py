"""A managed agent-server: settings go in, a server that is up comes out, and nothing of it is left when we end.

It listens on loopback with a key made for each start, writes its own log, is restarted when it dies (within a budget), and is
ended with everything it started. A server that an earlier life of ours left running is taken over, so that its agents are not
interrupted, or ended where it is not as good as a new one; a foreign one is never touched.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskStatus

from opensymphony.agents.openhands.client import Client, Endpoint, Unreached
from opensymphony.agents.openhands.environment import (
    HOST,
    Places,
    command_line,
    initialisation,
    launch_mark,
    prepare,
    view_of,
)
from opensymphony.agents.openhands.ownership import (
    OwnerRecord,
    adopt,
    choose_port,
    end_orphan,
    forget_record,
    interrupt_running,
    new_record,
    write_record,
)
from opensymphony.agents.openhands.server_log import last_lines, limit_log, open_log, warn_of
from opensymphony.clock import Clock, new_id, new_secret
from opensymphony.errors import AgentServerError, OpenSymphonyError
from opensymphony.isolation import NOT_ISOLATED, Isolation
from opensymphony.lasting import LastingProcess, start_lasting, terminate_innermost
from opensymphony.logs import get_logger
from opensymphony.model import ServerState
from opensymphony.processes import end_all, end_child, process_start_time
from opensymphony.workflow.policy import LocalServerPolicy

_BUDGET_MS = 600_000
_PROBE_S = 0.1
_WATCH_S = 5.0
_DEAF_S = 60.0
"""A server whose loop stands still is silent for seconds, not for so long: it is frozen, and everything in it."""
_STOP_GRACE_S = 10
_REST_GRACE_MS = 2_000
_BACKOFF_MAX_S = 30

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
        fresh: bool = False,
        isolation: Isolation = NOT_ISOLATED,
        workspace_root: str = "",
    ) -> None:
        """`python` is the interpreter of the installed server; `port` 0 takes a free one at each start.

        `before_start` is awaited before each start, while no server runs. `fresh`: one that an earlier life of ours left
        running is ended, not taken over. `isolation` is what it and its agents run in, which see `workspace_root`.
        """
        self._python = python
        self.places = places
        self._policy = policy
        self._clock = clock
        self._port = port
        self._before_start = before_start
        self._fresh = fresh
        self._leave = False
        self._isolation = isolation
        self._workspace_root = workspace_root
        self._launch = launch_mark(places, python, policy, isolation, workspace_root)
        self._state = ServerState(status="stopped")
        self._changed = anyio.Event()
        self._cleared = anyio.Event()
        self._endpoint: Endpoint | None = None
        self._client = Client(self.endpoint)
        self._process: LastingProcess | None = None
        self._nonce = ""
        self._deaths: deque[int] = deque()

    def state(self) -> ServerState:
        """The server right now, without asking it."""
        return self._state

    @property
    def tls(self) -> bool:
        return False

    async def renew_key(self, refused: str) -> bool:
        """Its key is the one that we gave it."""
        return False

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

    def detach(self) -> None:
        """When `run` is cancelled, leave the server and its agents as they are: the next start takes them over."""
        self._leave = self._state.status == "ready"

    async def wait_cleared(self) -> None:
        """Return when what an earlier life left is taken over or ended; until `run` has seen to that, agents may be at work."""
        await self._cleared.wait()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Start the server or take over ours, keep it alive until cancelled, then end it and everything it started.

        `await task_group.start(supervisor.run)` returns when it is ready. Raises `ServerFailed` when the first start fails,
        `InstanceError` when the port or the server belongs to somebody else; later failures are told by `state`.
        """
        failure, taken_over = "", False
        # Before anything is awaited: an orphan may still run what somebody now wants confirmed as stopped.
        self._set("starting", detail="looking for what an earlier start left")
        try:
            # Bounded, and not to be cut short: a stop during it would leave the orphan.
            with anyio.CancelScope(shield=True):
                taken_over = not self._fresh and await self._take_over()
                if not taken_over:
                    await end_orphan(self.places.owner_record)
            self._cleared.set()
            if not taken_over:
                await self._boot("starting")
            task_status.started()
            await self._keep_alive()
        except OpenSymphonyError as error:
            failure = str(error)
            raise
        finally:
            with anyio.CancelScope(shield=True):
                if not self._leave:
                    await self._end()
                await self._client.close()
                self._set("failed" if failure else "stopped", detail=failure)

    async def _take_over(self) -> bool:
        """Go on with the server of an earlier life, where there is one that will do."""
        found = await adopt(self.places.owner_record, self._launch)
        if found is None:
            return False
        self._nonce, self._process = found.record.nonce, found.process
        self._endpoint = found.record.endpoint  # its boot is that of an earlier life: it has cut no agent short
        self._set("ready", pid=found.process.pid, version=found.version)
        log.info("took over the agent-server of an earlier start", pid=found.process.pid, version=found.version)
        return True

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
        record = new_record(nonce=self._nonce, port=port, session_key=session_key, launch=self._launch)
        boot = self._endpoint.boot + 1 if self._endpoint else 1
        self._endpoint = Endpoint(base_url=f"http://{HOST}:{port}", session_key=session_key, boot=boot)
        self._set("restarting" if status == "restarting" else "starting")
        if self._before_start is not None:
            await self._before_start()
        init_key = new_secret()
        process = await self._spawn(record, init_key)
        self._process = process
        found = msgspec.structs.replace(record, pid=process.pid, start_time=process_start_time(process.pid))
        try:
            await anyio.to_thread.run_sync(write_record, self.places.owner_record, found)
        except OSError as error:
            raise ServerFailed(f"agent-server: {self.places.owner_record}: {error.strerror}") from error
        await self._wait_until_ready(process, init_key)
        version = (await self._client.server_info()).version
        self._set("ready", pid=process.pid, version=version)

    async def _spawn(self, record: OwnerRecord, init_key: str) -> LastingProcess:
        def begin() -> LastingProcess:
            env = prepare(self.places, nonce=self._nonce, init_key=init_key, extra=self._extra())
            write_record(self.places.owner_record, record)
            null, output = os.open(os.devnull, os.O_RDONLY), open_log(self.places.log)
            try:
                argv = command_line(self._python, record.port, self._policy.command)
                view = view_of(self.places, self._python, self._workspace_root)
                argv = self._isolation.wrap(argv, view, lasting=True)
                return start_lasting(argv, cwd=str(self.places.home), env=env, stdin=null, output=output)
            finally:
                os.close(null)
                os.close(output)

        program = self._policy.command[0] if self._policy.command else self._python
        remedy = (
            "see openhands.local_server.command" if self._policy.command else "run `opensymphony install openhands`"
        )
        try:
            return await anyio.to_thread.run_sync(
                begin
            )  # a thread is waited for: no child is left that nobody knows of
        except OSError as error:
            hint = f": {remedy}" if error.filename == program else ""
            raise ServerFailed(f"agent-server: {error.filename or program}: {error.strerror}{hint}") from error

    def _extra(self) -> dict[str, str]:
        """The policy's additions to the environment, and where temporary files go."""
        temporary = self._isolation.temporary_directory(str(self.places.home))
        if temporary is None:
            return self._policy.env
        if temporary.startswith(str(self.places.home)):
            os.makedirs(temporary, mode=0o700, exist_ok=True)
        return {**self._policy.env, "TMPDIR": temporary}

    async def _wait_until_ready(self, process: LastingProcess, init_key: str) -> None:
        limit_ms = self._policy.startup_timeout_ms
        with anyio.move_on_after(limit_ms / 1000):
            while process.alive:
                if await self._client.up():
                    await self._initialise(init_key)
                    return
                await anyio.sleep(_PROBE_S)
        lines = await anyio.to_thread.run_sync(last_lines, self.places.log)
        what = f"did not answer within {limit_ms // 1000} s" if process.alive else _exit_text(process)
        raise ServerFailed(f"agent-server: it {what} at its start: {lines} (log: {self.places.log})")

    async def _initialise(self, init_key: str) -> None:
        """Tell the server its keys. Who was quicker would know nothing of ours, and own a server that we end."""
        try:
            body = await anyio.to_thread.run_sync(initialisation, self.places, self.endpoint().session_key)
        except OSError as error:
            raise ServerFailed(f"agent-server: {self.places.secret_key}: {error.strerror}") from error
        if not await self._client.initialise(body, init_key) or not await self._client.ready():
            who = "another program of this machine"
            raise ServerFailed(f"agent-server: {who} was quicker to give it its keys (log: {self.places.log})")

    async def _watch(self) -> str:
        """Wait for the server to die or to stop answering, and keep its log short meanwhile. Returns what became of it."""
        process = self._process
        assert process is not None
        heard_at = anyio.current_time()
        while process.alive:
            with anyio.move_on_after(_WATCH_S):
                await process.wait()
            await anyio.to_thread.run_sync(limit_log, self.places.log)
            if not process.alive or await self._client.alive():
                heard_at = anyio.current_time()
                continue
            silent_s = anyio.current_time() - heard_at
            if silent_s >= _DEAF_S:
                return f"did not answer for {silent_s:.0f} s"
        return _exit_text(process)

    async def _end(self) -> None:
        """Interrupt what runs, end the server, then whatever carries its nonce; confirmed before the record goes."""
        process, self._process = self._process, None
        if process is not None:
            if process.alive:
                if self._state.status == "ready":
                    await interrupt_running(self._client)
                with anyio.move_on_after(_STOP_GRACE_S):
                    await anyio.to_thread.run_sync(terminate_innermost, process, self._nonce)
                    await process.wait()
            await end_child(process, self._nonce, grace_ms=_REST_GRACE_MS)
        if self._nonce:
            await end_all(self._nonce, grace_ms=_REST_GRACE_MS)
            try:
                await anyio.to_thread.run_sync(forget_record, self.places.owner_record)
            except OSError as error:  # the next start finds nothing alive behind it
                warn_of("the record of an ended agent-server stays", self.places.owner_record, error)

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


def _exit_text(process: LastingProcess) -> str:
    code = process.exit_code
    if code is None:
        return "ended"  # it was no child of ours: nobody tells us how
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
