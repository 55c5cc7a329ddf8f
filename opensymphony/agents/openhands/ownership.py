"""Whose a running agent-server is: a record of ours is written and read, processes and ports are looked at.

A process is ours when it is alive with the pid *and* the start time of the record and carries the record's nonce. Anything else
is foreign and never touched.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct

from opensymphony.agents.openhands.client import Client, Endpoint
from opensymphony.agents.openhands.environment import HOST
from opensymphony.errors import AgentServerError, InstanceError
from opensymphony.lasting import LastingProcess
from opensymphony.private_files import write_private
from opensymphony.processes import end_all, is_alive, list_processes, process_start_time

_INTERRUPT_S = 10
_ORPHAN_GRACE_MS = 10_000
_ADOPT_S = 10
_ASK_AGAIN_S = 0.2
_LISTEN = "0A"


class OwnerRecord(Struct, frozen=True, kw_only=True):
    """Who started the server, and how it is recognised; a file of mode 0600, because it holds the session key."""

    nonce: str
    port: int
    session_key: str
    machine_boot: str
    """Start times count from the machine's own start."""
    daemon_pid: int
    """Who looks after it; after a crash or `shutdown --detach` nobody does."""
    daemon_start_time: int | None
    launch: str = ""
    """What it was started with, as `environment.launch_mark` puts it."""
    pid: int | None = None
    """None between the record and the start of the process."""
    start_time: int | None = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(base_url=f"http://{HOST}:{self.port}", session_key=self.session_key)


class Adopted(Struct, frozen=True, kw_only=True):
    """A server of an earlier life of ours that goes on."""

    record: OwnerRecord
    process: LastingProcess
    version: str


def new_record(*, nonce: str, port: int, session_key: str, launch: str) -> OwnerRecord:
    """What is known before the process exists."""
    return OwnerRecord(
        nonce=nonce,
        port=port,
        session_key=session_key,
        machine_boot=_machine_boot(),
        daemon_pid=os.getpid(),
        daemon_start_time=process_start_time(os.getpid()),
        launch=launch,
    )


def write_record(path: Path, record: OwnerRecord) -> None:
    """Replace the record at once; a reader never sees half of it."""
    write_private(path, msgspec.json.encode(record))


def read_record(path: Path) -> OwnerRecord | None:
    """None when there is none, or it is no record. Raises `AgentServerError` when it may not be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=OwnerRecord)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise AgentServerError(
            f"{path}: {error.strerror}: the agent-server's state directory cannot be used"
        ) from error


def forget_record(path: Path) -> None:
    """Called when nothing of the server is left."""
    path.unlink(missing_ok=True)


async def adopt(path: Path, launch: str) -> Adopted | None:
    """Take over the server that the record names, whose agents may be at work; None where a new one has to be started.

    It has to be ours (alive, with the pid, start time and nonce of the record), started with what we would start it with, and
    answer to our key. Raises `InstanceError` when the daemon that looks after it is alive.
    """
    record = await anyio.to_thread.run_sync(read_record, path)
    if record is None or record.machine_boot != _machine_boot():
        return None
    _refuse_owned(path, record)
    if record.launch != launch or record.pid is None or not await anyio.to_thread.run_sync(_is_ours, record):
        return None
    version = await _version_of(record)
    if version is None:
        return None
    ours = msgspec.structs.replace(record, daemon_pid=os.getpid(), daemon_start_time=process_start_time(os.getpid()))
    await anyio.to_thread.run_sync(write_record, path, ours)
    return Adopted(record=ours, process=LastingProcess(record.pid, record.start_time, child=False), version=version)


async def _version_of(record: OwnerRecord) -> str | None:
    """What the server says it is, to our key; a busy one is given a few seconds."""
    client = Client(lambda: record.endpoint)
    try:
        with anyio.move_on_after(_ADOPT_S):
            while record.pid is not None and is_alive(record.pid, record.start_time):
                with contextlib.suppress(AgentServerError):
                    if await client.ready():
                        return (await client.server_info()).version
                await anyio.sleep(_ASK_AGAIN_S)
        return None
    finally:
        await client.close()


def _refuse_owned(path: Path, record: OwnerRecord) -> None:
    daemon = record.daemon_pid
    if daemon != os.getpid() and is_alive(daemon, record.daemon_start_time):
        raise InstanceError(f"{path}: the daemon with pid {daemon} owns this agent-server: stop it first")


def left_running(path: Path) -> int | None:
    """The pid of a server of ours that nobody looks after; None when there is none. Blocking."""
    record = read_record(path)
    if record is None or record.machine_boot != _machine_boot() or not _is_ours(record):
        return None
    return None if is_alive(record.daemon_pid, record.daemon_start_time) else record.pid


async def end_orphan(path: Path) -> int:
    """End a server that a daemon which is gone has left, with everything it started. Returns how many processes there were.

    Raises `InstanceError` when that daemon is alive.
    """
    record = await anyio.to_thread.run_sync(read_record, path)
    if record is None:
        return 0
    ended = 0
    if record.machine_boot == _machine_boot():
        _refuse_owned(path, record)
        if await anyio.to_thread.run_sync(_is_ours, record):
            client = Client(lambda: record.endpoint)
            try:
                with contextlib.suppress(AgentServerError):  # one that does not take our key is ended all the same
                    if await client.ready():
                        await interrupt_running(client)
            finally:
                await client.close()
        ended = await end_all(record.nonce, grace_ms=_ORPHAN_GRACE_MS)
    try:
        await anyio.to_thread.run_sync(forget_record, path)
    except OSError as error:
        raise AgentServerError(
            f"{path}: {error.strerror}: the agent-server's state directory cannot be used"
        ) from error
    return ended


async def interrupt_running(client: Client) -> None:
    """Interrupt whatever runs: a server that is told to end waits for running tools, and leaves what they started."""
    with anyio.move_on_after(_INTERRUPT_S):
        try:
            running = await client.running()
        except AgentServerError:
            return
        async with anyio.create_task_group() as tasks:
            for conversation in running:
                tasks.start_soon(_interrupt, client, conversation.id)


async def _interrupt(client: Client, conversation_id: str) -> None:
    with contextlib.suppress(AgentServerError):
        await client.interrupt(conversation_id)


def choose_port(wanted: int) -> int:
    """The wanted port if nobody listens there, any free one for 0. Raises `InstanceError` that names who listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise InstanceError(_port_taken(wanted, error)) from error
        return probe.getsockname()[1]


def _port_taken(port: int, error: OSError) -> str:
    pid = listener_pid(port)
    who = f"the process with pid {pid}" if pid else "another process"
    if error.errno == errno.EACCES:
        return f"port {port}: we may not listen there: choose one above 1023 for the agent-server"
    return f"port {port} for the agent-server is taken by {who}: stop it, or choose another port"


def listener_pid(port: int) -> int | None:
    """Who listens on this TCP port of the machine; None when that cannot be seen."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not inodes:
        return None
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for descriptor in descriptors.iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor) in inodes:
                        return int(descriptors.parent.name)
    return None


def _listening_inodes(port: int) -> list[str]:
    found: list[str] = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
            found += [row[9] for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port]
    return found


def _is_ours(record: OwnerRecord) -> bool:
    if record.pid is None or not is_alive(record.pid, record.start_time):
        return False
    return record.pid in {process.pid for process in list_processes(record.nonce)}


def _machine_boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
