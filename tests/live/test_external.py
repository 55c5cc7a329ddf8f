"""Agents on an agent-server that is somebody else's."""

from __future__ import annotations

import signal

import pytest

from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.processes import list_processes, process_start_time
from tests.live.conftest import Stage
from tests.live.daemon_under_test import DaemonUnderTest, commit, finish, has, scripted, shell

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


@pytest.mark.parity("authenticates_external_http_and_websocket_paths")
async def test_a_server_of_others_is_used_and_never_ended(
    daemon: DaemonUnderTest, supervisor: Supervisor, stage: Stage
) -> None:
    """A ticket is done on it; a daemon that ends interrupts its own agents there, and leaves the server alone."""
    stage.play = scripted({"DONE-1": [commit("DONE-1"), finish()], "STOPPED-2": [shell("sleep 600.2"), finish()]})
    endpoint = supervisor.endpoint()
    daemon.environment["OUR_KEY"] = endpoint.session_key
    transport = f"openhands: {{transport: {{base_url: '{endpoint.base_url}', session_api_key_env: OUR_KEY}}}}\n"
    await daemon.lay_out(transport)
    daemon.ticket("DONE-1")
    await daemon.start("run")
    seen = await daemon.until("it is done", has("DONE-1", phase="in_review"))
    assert (seen.server.status, seen.server.base_url, seen.server.version) == ("external", endpoint.base_url, "1.58.0")
    assert await daemon.commits("opensymphony/DONE-1") == ["DONE-1 1"]
    daemon.ticket("STOPPED-2")

    def sleeping() -> list[int]:
        return [
            found.pid for found in list_processes(supervisor.nonce) if b"sleep\x00600.2" in _command_line(found.pid)
        ]

    await daemon.wait_for("its agent is at work", sleeping)
    await daemon.signal(signal.SIGTERM)
    assert await daemon.ended() == 0
    assert sleeping() == []
    pid = supervisor.state().pid
    assert pid is not None
    assert process_start_time(pid) is not None
    assert "canary" not in daemon.told()
    assert endpoint.session_key not in daemon.told()


def _command_line(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""
