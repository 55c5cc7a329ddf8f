"""Whose a server is: records, processes and ports."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import msgspec
import pytest
from anyio.abc import Process

from opensymphony.agents.openhands.ownership import (
    OwnerRecord,
    choose_port,
    end_orphan,
    listener_pid,
    new_record,
    read_record,
    write_record,
)
from opensymphony.clock import new_id
from opensymphony.errors import AgentServerError, InstanceError
from opensymphony.processes import NONCE_VARIABLE, is_alive, list_processes, process_start_time, start

NOBODY = 2**22 + 1
"""No process can have this pid."""


async def sleeper(nonce: str = "") -> Process:
    with open(os.devnull, "r+b") as null:
        env = {NONCE_VARIABLE: nonce} if nonce else {}
        return await start(["sleep", "300"], cwd="/", env=env, stdin=null.fileno(), output=null.fileno())


def orphaned(nonce: str, pid: int | None, start_time: int | None) -> OwnerRecord:
    """A record whose daemon is gone."""
    record = new_record(nonce=nonce, port=1, session_key="k", launch="l")
    return msgspec.structs.replace(record, daemon_pid=NOBODY, daemon_start_time=5, pid=pid, start_time=start_time)


async def test_an_orphan_is_ended_with_all_that_carries_its_nonce(tmp_path: Path) -> None:
    """Pid, start time and nonce agree: it is ours, and so is whatever it started."""
    nonce, path = new_id(), tmp_path / "record.json"
    server, stray = await sleeper(nonce), await sleeper(nonce)
    write_record(path, orphaned(nonce, server.pid, process_start_time(server.pid)))
    assert await end_orphan(path) == 2
    assert [await one.wait() for one in (server, stray)] == [-signal.SIGTERM] * 2
    assert not path.exists()
    assert await end_orphan(path) == 0


@pytest.mark.parity("rejects_foreign_ready_server")
async def test_what_only_looks_like_an_orphan_is_left_alone(tmp_path: Path) -> None:
    """The recorded pid belongs to another process now; only what carries the nonce is ended."""
    nonce, path = new_id(), tmp_path / "record.json"
    foreign, stray = await sleeper(), await sleeper(nonce)
    write_record(path, orphaned(nonce, foreign.pid, 5))
    assert await end_orphan(path) == 1
    assert await stray.wait() == -signal.SIGTERM
    assert is_alive(foreign.pid, process_start_time(foreign.pid))
    foreign.kill()
    await foreign.wait()


async def test_a_server_that_was_starting_is_ended(tmp_path: Path) -> None:
    """The record is written before the process exists: without a pid the nonce alone finds it."""
    nonce, path = new_id(), tmp_path / "record.json"
    server = await sleeper(nonce)
    write_record(path, orphaned(nonce, None, None))
    assert await end_orphan(path) == 1
    await server.wait()


async def test_a_record_from_before_the_machine_started_is_forgotten(tmp_path: Path) -> None:
    """Its pids and start times mean nothing any more."""
    nonce, path = new_id(), tmp_path / "record.json"
    server = await sleeper(nonce)
    record = msgspec.structs.replace(orphaned(nonce, server.pid, process_start_time(server.pid)), machine_boot="before")
    write_record(path, record)
    assert await end_orphan(path) == 0
    assert len(list_processes(nonce)) == 1
    assert not path.exists()
    server.kill()
    await server.wait()


async def test_the_server_of_a_living_daemon_is_not_taken(tmp_path: Path) -> None:
    """Its daemon is named, its record stays."""
    nonce, path = new_id(), tmp_path / "record.json"
    daemon, server = await sleeper(), await sleeper(nonce)
    record = msgspec.structs.replace(
        orphaned(nonce, server.pid, process_start_time(server.pid)),
        daemon_pid=daemon.pid,
        daemon_start_time=process_start_time(daemon.pid),
    )
    write_record(path, record)
    with pytest.raises(InstanceError, match=f"pid {daemon.pid} owns"):
        await end_orphan(path)
    assert read_record(path) == record
    assert is_alive(server.pid, process_start_time(server.pid))
    for process in (daemon, server):
        process.kill()
        await process.wait()


@pytest.mark.parametrize("content", [b"\xff{", b"", b"[]", b'{"nonce": 3}'])
async def test_garbage_in_place_of_a_record_is_no_owner(tmp_path: Path, content: bytes) -> None:
    """It stops nothing and ends nothing."""
    path = tmp_path / "record.json"
    path.write_bytes(content)
    assert read_record(path) is None
    assert await end_orphan(path) == 0


def test_a_record_is_closed_to_others_and_replaced_at_once(tmp_path: Path) -> None:
    """Mode 0600 whatever stood there, a leftover of a killed write included."""
    path = tmp_path / "record.json"
    path.touch(mode=0o644)
    path.with_name("record.json.new").write_text("half")
    record = new_record(nonce="n", port=1, session_key="k", launch="l")
    write_record(path, record)
    assert read_record(path) == record
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    """Not taken for absent: an orphan could run beside us."""
    with pytest.raises(AgentServerError, match="cannot be used"):
        read_record(tmp_path)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_who_listens_on_a_port_is_found(family: socket.AddressFamily) -> None:
    """On either kind of address."""
    try:
        listener = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
    except OSError:
        pytest.skip("this machine has no such addresses")
    with listener:
        port = listener.getsockname()[1]
        assert listener_pid(port) == os.getpid()
    assert listener_pid(port) is None
    assert choose_port(port) == port
    assert choose_port(0) > 1023
