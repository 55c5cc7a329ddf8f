"""What is known of a running server. Cut sockets are in test_traps.py. Killed daemons and servers are in test_daemon.py."""

from __future__ import annotations

import json

import pytest

from opensymphony.agents.openhands.ownership import read_record
from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.processes import list_processes

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


async def test_the_record_holds_what_recognises_a_server(supervisor: Supervisor) -> None:
    """The record of a running server names the live process, is closed to others, and is whole JSON."""
    path = supervisor.places.owner_record
    record = read_record(path)
    assert record is not None
    assert record.pid == supervisor.state().pid
    assert record.pid in {process.pid for process in list_processes(record.nonce)}
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["nonce"] == supervisor.nonce
    places = supervisor.places
    assert (places.secret_key.stat().st_mode & 0o777, places.log.stat().st_mode & 0o777) == (0o600, 0o600)
