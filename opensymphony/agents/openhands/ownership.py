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
from opensymphony.private_files import write_private
from opensymphony.processes import end_all, is_alive, list_processes, process_start_time

_INTERRUPT_S = 10
_ORPHAN_GRACE_MS = 10_000
_LISTEN = "0A"


class OwnerRecord(Struct, frozen=True, kw_only=True):
    """Who started the server, and how it is recognised; a file of mode 0600, because it holds the session key."""

    nonce: str
    port: int
    session_key: str
    machine_boot: str
    """Start times count from the machine's own start."""
    daemon_pid: int
    daemon_start_time: int | None
    pid: int | None = None
    """None between the record and the start of the process."""
    start_time: int | None = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(base_url=f"http://{HOST}:{self.port}", session_key=self.session_key)


def new_record(*, nonce: str, port: int, session_key: str) -> OwnerRecord:
    """What is known before the process exists."""
    return OwnerRecord(
        nonce=nonce,
        port=port,
        session_key=session_key,
        machine_boot=_machine_boot(),
        daemon_pid=os.getpid(),
        daemon_start_time=process_start_time(os.getpid()),
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


async def end_orphan(path: Path) -> int:
    """End a server that a daemon which is gone has left, with everything it started. Returns how many processes there were.

    Raises `InstanceError` when that daemon is alive.
    """
    record = await anyio.to_thread.run_sync(read_record, path)
    if record is None:
        return 0
    ended = 0
    if record.machine_boot == _machine_boot():
        daemon = record.daemon_pid
        if daemon != os.getpid() and is_alive(daemon, record.daemon_start_time):
            raise InstanceError(f"{path}: the daemon with pid {daemon} owns this agent-server: stop it first")
        if await anyio.to_thread.run_sync(_is_ours, record):
            client = Client(lambda: record.endpoint)
            try:
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
