"""The life of a managed server, with a small stand-in for it; the real one is in tests/live."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest

from opensymphony.agents import end_left_running, left_running
from opensymphony.agents.openhands import client as client_module
from opensymphony.agents.openhands import supervisor as supervisor_module
from opensymphony.agents.openhands.environment import Places
from opensymphony.agents.openhands.ownership import choose_port, listener_pid, read_record, write_record
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.agents.openhands.supervisor import ServerFailed, Supervisor
from opensymphony.clock import Clock, new_id
from opensymphony.errors import AgentServerError, InstanceError
from opensymphony.model import ConversationId
from opensymphony.processes import is_alive, list_processes, process_start_time
from opensymphony.workflow.policy import ConversationPolicy, LocalServerPolicy
from tests.agents.openhands.test_ownership import orphaned, sleeper

STAND_IN = """#!{python}
import http.server, json, os, signal, sys, time
mode = os.environ.get("MODE", "")
keys = []
if mode == "exit":
    print('{{"message": "starting"}}', flush=True); print("ImportError: no module named flask", file=sys.stderr); sys.exit(7)
if mode == "silent":
    time.sleep(300)
if mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        body = {{"/ready": {{}}, "/server_info": {{"version": "1.58.0"}}, "/api/conversations/count": 0,
                "/api/conversations/search": {{"items": [{{"id": "c1"}}]}}}}.get(path, {{}})
        allowed = not path.startswith("/api") or (keys and self.headers["X-Session-API-Key"] in keys)
        data = json.dumps(body).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(data))); self.end_headers(); self.wfile.write(data)
    def do_POST(self):
        print("asked", self.path, flush=True)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{{}}")
        if self.path == "/api/init" and mode != "taken" and self.headers["X-Init-API-Key"] == os.environ["OH_SECRET_KEY"]:
            keys.extend(body["session_api_keys"])
        self.send_response(400 if mode == "taken" and self.path == "/api/init" else 200)
        self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"{{}}")
    def log_message(self, *args): pass
port = int(sys.argv[sys.argv.index("--port") + 1])
os.spawnlp(os.P_NOWAIT, "setsid", "setsid", "sleep", "300")
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(state=tmp_path / "state", conversations=tmp_path / "conversations")


@pytest.fixture
def python(tmp_path: Path) -> str:
    path = tmp_path / "python"
    path.write_text(STAND_IN.format(python=sys.executable))
    path.chmod(0o755)
    return str(path)


def make(python: str, places: Places, *, mode: str = "", port: int = 0, **policy: int) -> Supervisor:
    settings = LocalServerPolicy(env={"MODE": mode}, **policy)
    return Supervisor(python=python, places=places, policy=settings, clock=Clock(), port=port)


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[Supervisor]:
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(20):
            await tasks.start(supervisor.run)
        yield supervisor
        tasks.cancel_scope.cancel()
    assert list_processes(supervisor.nonce) == ()


async def first_failure(supervisor: Supervisor, kind: type[Exception]) -> str:
    with anyio.fail_after(20), pytest.raises(kind) as caught:
        await supervisor.run()
    assert supervisor.state().status == "failed"
    assert supervisor.state().detail == str(caught.value)
    assert list_processes(supervisor.nonce) == ()
    return str(caught.value)


@pytest.mark.parity("start_and_stop_report_owned_process_metadata")
async def test_a_server_is_started_told_and_ended(python: str, places: Places) -> None:
    """Ready with address, pid and version; agents interrupted before the end; after it nothing is left but its files."""
    supervisor = make(python, places)
    assert supervisor.state().status == "stopped"
    async with running(supervisor):
        state = supervisor.state()
        assert (state.status, state.version, state.restarts) == ("ready", "1.58.0", 0)
        assert (await supervisor.wait_ready()).base_url == state.base_url
        record = read_record(places.owner_record)
        assert record is not None
        assert (record.pid, record.port) == (state.pid, int(str(state.base_url).rpartition(":")[2]))
        assert len(list_processes(supervisor.nonce)) == 2
    assert supervisor.state().status == "stopped"
    assert "asked /api/conversations/c1/interrupt" in places.log.read_text()
    assert not places.owner_record.exists()
    with pytest.raises(ServerFailed, match="stopped"):
        await supervisor.wait_ready()


async def test_stopped_means_that_no_orphan_works_any_more(python: str, places: Places) -> None:
    """A stop that a crash interrupted is taken up at once, and confirmed only when the old server and its agents are ended."""
    places.owner_record.parent.mkdir(mode=0o700)
    nonce = new_id()
    orphan = await sleeper(nonce)
    write_record(places.owner_record, orphaned(nonce, orphan.pid, process_start_time(orphan.pid)))
    supervisor = make(python, places)
    runtime = OpenHandsRuntime(supervisor, policy=ConversationPolicy, environment={}, clock=Clock())
    left: list[int] = []

    async def stop() -> None:
        await runtime.stop(ConversationId("c1"))
        left.append(len(list_processes(nonce)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        await anyio.wait_all_tasks_blocked()
        assert left == []
        async with running(supervisor):
            with anyio.fail_after(20):
                while not left:
                    await anyio.sleep(0.02)
    assert left == [0]
    assert await orphan.wait() == -signal.SIGTERM
    await runtime.close()


async def test_the_secret_key_stays_and_the_session_key_does_not(python: str, places: Places) -> None:
    """Stored conversations can be read by the next server; old session keys open nothing."""
    keys: list[str] = []
    for _ in range(2):
        async with running(make(python, places)) as supervisor:
            keys.append(supervisor.endpoint().session_key)
            secret = places.secret_key.read_text()
    assert keys[0] != keys[1]
    assert places.secret_key.read_text() == secret
    assert places.secret_key.stat().st_mode & 0o777 == 0o600


async def test_no_key_stands_in_the_servers_environment(python: str, places: Places) -> None:
    """It is told its keys when it has started; what it was started with opens nothing any more."""
    async with running(make(python, places)) as supervisor:
        pid = supervisor.state().pid
        environ = Path(f"/proc/{pid}/environ").read_text()
        assert supervisor.endpoint().session_key not in environ
        assert places.secret_key.read_text() not in environ
        assert "OH_DEFERRED_INIT=1" in environ


async def test_a_server_that_others_gave_keys_is_ended(python: str, places: Places) -> None:
    """Who was quicker than we knows nothing of ours, and gets no server."""
    told = await first_failure(make(python, places, mode="taken"), ServerFailed)
    assert "was quicker to give it its keys" in told


async def detached(supervisor: Supervisor) -> int:
    """Start a server and leave it running; its pid."""
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(20):
            await tasks.start(supervisor.run)
        supervisor.detach()
        tasks.cancel_scope.cancel()
    pid = supervisor.state().pid or read_record(supervisor.places.owner_record).pid  # type: ignore[union-attr]
    assert pid is not None
    return pid


async def test_a_server_that_was_left_is_gone_on_with(python: str, places: Places) -> None:
    """The same process, with the same key; nobody interrupts its agents until it is ended."""
    first = make(python, places)
    pid = await detached(first)
    forget_daemon(places)
    started: list[str] = []

    async def before_start() -> None:
        started.append("")

    second = Supervisor(
        python=python,
        places=places,
        policy=LocalServerPolicy(env={"MODE": ""}),
        clock=Clock(),
        before_start=before_start,
    )
    async with running(second):
        state, record = second.state(), read_record(places.owner_record)
        assert (state.status, state.pid, state.version, state.restarts) == ("ready", pid, "1.58.0", 0)
        assert second.endpoint() == msgspec.structs.replace(first.endpoint(), boot=0)
        assert record is not None
        assert record.daemon_pid == os.getpid()
        assert "interrupt" not in places.log.read_text()
    assert started == []
    assert process_start_time(pid) is None
    assert "asked /api/conversations/c1/interrupt" in places.log.read_text()
    assert not places.owner_record.exists()


def forget_daemon(places: Places) -> None:
    """As if another process had written the record and ended."""
    record = read_record(places.owner_record)
    assert record is not None
    write_record(places.owner_record, msgspec.structs.replace(record, daemon_start_time=1))


@pytest.mark.parametrize("why", ["fresh", "other settings", "refuses our key"])
async def test_a_server_that_will_not_do_is_ended_first(python: str, places: Places, why: str) -> None:
    """Asked for, or because it was started with something else, or answers to another key: a new one is started."""
    pid = await detached(make(python, places))
    forget_daemon(places)
    if why == "refuses our key":
        record = read_record(places.owner_record)
        assert record is not None
        write_record(places.owner_record, msgspec.structs.replace(record, session_key="another"))
    more = {"ADDED": "1"} if why == "other settings" else {}
    policy = LocalServerPolicy(env={"MODE": "", **more})
    second = Supervisor(python=python, places=places, policy=policy, clock=Clock(), fresh=why == "fresh")
    async with running(second):
        assert second.state().pid != pid
        assert process_start_time(pid) is None


async def test_a_server_that_was_gone_on_with_is_watched(python: str, places: Places) -> None:
    """It is no child of ours: its death is noticed all the same, and a new one is started."""
    pid = await detached(make(python, places))
    forget_daemon(places)
    second = make(python, places)
    async with running(second):
        os.kill(pid, signal.SIGKILL)
        with anyio.fail_after(20):
            while second.state().restarts == 0 or second.state().status != "ready":
                await anyio.sleep(0.02)
        assert second.state().pid != pid
        assert second.endpoint().boot == 1


async def test_what_was_left_is_found_and_ended_without_a_daemon(python: str, places: Places) -> None:
    """Its pid is told, and it is interrupted and ended with everything it started; afterwards there is none."""
    pid = await detached(make(python, places))
    assert left_running(places.state) == (), "its daemon, which is this process, is alive"
    forget_daemon(places)
    assert left_running(places.state) == (pid,)
    assert await end_left_running(places.state) == 2
    assert left_running(places.state) == ()
    assert "asked /api/conversations/c1/interrupt" in places.log.read_text()


@pytest.mark.parity("unexpected_exit_before_readiness")
async def test_a_server_that_exits_at_its_start_is_noticed_at_once(python: str, places: Places) -> None:
    """Not the time limit but the exit is told, with the last lines of the log, of whatever kind."""
    told = await first_failure(make(python, places, mode="exit"), ServerFailed)
    assert "exit code 7" in told
    assert "starting | ImportError: no module named flask" in told
    assert str(places.log) in told
    assert "\n" not in told


@pytest.mark.parity("startup_timeout_kills_unready_child")
async def test_a_server_that_stays_silent_is_given_up(python: str, places: Places) -> None:
    """After the policy's time."""
    supervisor = make(python, places, mode="silent", startup_timeout_ms=1_000)
    assert "did not answer within 1 s" in await first_failure(supervisor, ServerFailed)


async def test_a_missing_interpreter_names_the_remedy(places: Places) -> None:
    """No environment installed: the command that makes it."""
    assert "opensymphony install openhands" in await first_failure(make("/no/python", places), ServerFailed)


async def test_a_state_directory_that_cannot_be_made_is_told(python: str, tmp_path: Path) -> None:
    """A file where a directory should be."""
    (tmp_path / "file").touch()
    places = Places(state=tmp_path / "file" / "state", conversations=tmp_path / "c")
    assert str(tmp_path / "file") in await first_failure(make(python, places), AgentServerError)


async def test_a_foreign_server_on_the_port_is_refused(python: str, places: Places) -> None:
    """One line that names port and process; the other is left alone."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        told = await first_failure(make(python, places, port=port), InstanceError)
        assert f"port {port}" in told
        assert f"pid {os.getpid()}" in told
        assert listener_pid(port) == os.getpid()
    async with running(make(python, places, port=port)) as supervisor:
        assert str(supervisor.state().base_url).endswith(f":{port}")
    assert choose_port(port) == port


async def test_a_server_that_dies_is_started_again(python: str, places: Places) -> None:
    """The address changes with the boot, strays of the dead one are ended."""
    async with running(make(python, places)) as supervisor:
        first, nonce = supervisor.endpoint(), supervisor.nonce
        os.kill(supervisor.state().pid or 0, signal.SIGKILL)
        with anyio.fail_after(20):
            while supervisor.state().status == "ready" and supervisor.endpoint() == first:
                await anyio.sleep(0.02)
            second = await supervisor.wait_ready()
        assert list_processes(nonce) == ()
        assert (second.boot, first.boot) == (2, 1)
        assert second.session_key != first.session_key
        assert supervisor.state().restarts == 1


@pytest.mark.parity("status_preserves_exited_state")
async def test_a_server_that_dies_too_often_is_given_up(python: str, places: Places) -> None:
    """The budget is kept, whoever waits is told, and the daemon lives on."""
    async with running(make(python, places, max_restarts=1)) as supervisor:
        for _ in range(2):
            pid = (await supervisor.wait_ready()) and supervisor.state().pid
            os.kill(pid or 0, signal.SIGKILL)
            with anyio.fail_after(20):
                while supervisor.state().pid == pid and supervisor.state().status == "ready":
                    await anyio.sleep(0.02)
        with anyio.fail_after(20), pytest.raises(ServerFailed, match="died 2 times"):
            await supervisor.wait_ready()
        assert supervisor.state().status == "failed"


async def test_a_deaf_server_is_killed(python: str, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets its grace, then no more."""
    monkeypatch.setattr(supervisor_module, "_STOP_GRACE_S", 0.2)
    monkeypatch.setattr(supervisor_module, "_REST_GRACE_MS", 100)
    async with running(make(python, places, mode="deaf")) as supervisor:
        pid = supervisor.state().pid or 0
        began = process_start_time(pid)
    assert not is_alive(pid, began)


async def test_a_server_that_answers_no_more_is_started_again(
    python: str, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process lives and does nothing, as when it is frozen: it is ended, and the agents go on in the next one."""
    for name, value in (("_WATCH_S", 0.05), ("_DEAF_S", 0.3), ("_STOP_GRACE_S", 0.2), ("_REST_GRACE_MS", 100)):
        monkeypatch.setattr(supervisor_module, name, value)
    monkeypatch.setattr(client_module, "_PROBE_S", 0.2)
    async with running(make(python, places)) as supervisor:
        pid = supervisor.state().pid or 0
        began = process_start_time(pid)
        os.kill(pid, signal.SIGSTOP)
        with anyio.fail_after(20):
            while supervisor.state().restarts == 0 or supervisor.state().status != "ready":
                await anyio.sleep(0.02)
        assert supervisor.state().pid != pid
        assert not is_alive(pid, began)


async def test_a_disk_that_is_full_is_told_in_one_line(
    python: str, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the start of the process and the record of its pid: the process is ended again."""
    fsync, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:  # the record before the start and its name, the record behind it
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", full)
    supervisor = make(python, places)
    told = await first_failure(supervisor, ServerFailed)
    assert told == f"agent-server: {places.owner_record}: No space left on device"
    assert list_processes(supervisor.nonce) == ()
