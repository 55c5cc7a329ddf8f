"""`opensymphony shutdown`."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from opensymphony.api.client import ADDRESS_FILE, Address
from opensymphony.cli.shutdown import waits_for
from opensymphony.model import Phase, ServerState, TicketId
from opensymphony.processes import list_processes
from opensymphony.views import Snapshot, TicketView
from tests.cli.program import argv, call, played, write_workflow
from tests.fakes.stub_installation import install_stub

MODEL = {"LLM_MODEL": "openai/m", "LLM_API_KEY": "canary-key"}


@pytest.fixture
def daemon(here: Path) -> Iterator[subprocess.Popen[str]]:
    """A daemon in a process of its own, up and listening; ended whatever happens."""
    write_workflow(here)
    (here / "opensymphony.toml").write_text('[server]\nport = 0\n[store]\ndirectory = "store"\n')
    env = {**os.environ, "OPENSYMPHONY_TOOL_DIR": str(install_stub(here / "tools")), **MODEL}
    with subprocess.Popen(argv("run"), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("http://")
            yield process
        finally:
            process.kill()


def test_it_waits_until_the_daemon_is_gone(here: Path, daemon: subprocess.Popen[str]) -> None:
    """When it returns nothing runs any more and the store is free; the daemon's own exit code is 0."""
    nonce = (here / "store" / "boot").read_text()
    said = call("shutdown")
    assert (said.code, said.out) == (0, f"the daemon (pid {daemon.pid}) has ended\n")
    assert said.lines and all(line.startswith("waiting ") for line in said.lines)
    _, err = daemon.communicate(timeout=20)
    assert (daemon.returncode, "Traceback" in err) == (0, False)
    assert list_processes(nonce) == ()
    assert not (here / "store" / ADDRESS_FILE).exists()
    again = call("shutdown")
    assert (again.code, again.out, len(again.lines)) == (1, "", 1)


def test_a_daemon_that_does_not_answer_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1: nobody takes the request."""
    with played(here, 200, b""), socket.create_server(("127.0.0.1", 0)) as hangs:
        place = here / "store" / ADDRESS_FILE
        address = msgspec.json.decode(place.read_bytes(), type=Address)
        place.write_bytes(msgspec.json.encode(msgspec.structs.replace(address, port=hangs.getsockname()[1])))
        monkeypatch.setattr("opensymphony.api.client._TIMEOUT_S", 0.2)
        said = call("shutdown")
    assert (said.code, said.out, len(said.lines)) == (1, "", 1)
    assert "does not answer" in said.err


def test_a_daemon_that_does_not_end_is_told(here: Path) -> None:
    """Exit code 1 with what to do; `--no-wait` leaves it to itself."""
    with played(here, 202, b"{}") as asked:
        place = here / "store" / ADDRESS_FILE
        address = msgspec.json.decode(place.read_bytes(), type=Address)
        place.write_bytes(msgspec.json.encode(msgspec.structs.replace(address, pid=os.getpid())))
        said = call("shutdown", "--timeout", "1")
        told = call("shutdown", "--no-wait")
    assert (said.code, said.out) == (1, "")
    assert said.lines[-1].startswith(f"opensymphony: the daemon (pid {os.getpid()}) has not ended within 1 s: ")
    assert (told.code, told.out) == (0, f"the daemon (pid {os.getpid()}) is stopping\n")
    assert [path for path, _ in asked if path == "/api/v1/shutdown"] == ["/api/v1/shutdown"] * 2


def shown(*phases: Phase) -> Snapshot:
    views = tuple(
        TicketView(id=TicketId(str(at)), identifier=f"A-{at}", title="T", state="S", phase=phase)
        for at, phase in enumerate(phases)
    )
    server = ServerState(status="ready")
    return Snapshot(sequence=1, at_ms=1, instance="one", status="draining", server=server, tickets=views)


def test_what_is_waited_for_is_told() -> None:
    """By name, as long as there are few."""
    assert waits_for(shown("closed", "running", "stopping")) == "waiting until the agents have stopped: A-1, A-2"
    many = waits_for(shown(*["running"] * 8))
    assert many == "waiting until the agents have stopped: A-0, A-1, A-2, A-3, A-4 and 3 more"
    assert waits_for(shown("closed")) == "waiting for its last writes"
