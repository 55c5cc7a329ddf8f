"""HTTP, logs and a run from ticket to branch: rows V3, X1, X4 and R1."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

from tests.conformance.world import World, world


def listening(port: int) -> set[str]:
    """Addresses, as the kernel writes them, on which somebody listens at this port."""
    lines = [line for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    places = [line.split()[1] for line in lines if line.split()[3] == "0A"]
    return {place.split(":")[0] for place in places if int(place.split(":")[1], 16) == port}


def test_X1_the_http_interface(here: World) -> None:
    """`--port 0` wins over the policy and prints what it got; loopback only; errors have a code and a message."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        here.configure(server={"port": taken.getsockname()[1]})
        settings = here.root / "opensymphony.toml"
        settings.write_text(settings.read_text().replace("[server]\nport = 0\n", ""))
        here.start("--port", "0")
        found = re.search(r"http://127\.0\.0\.1:(\d+)", (here.root / "out").read_text())
        assert found is not None
        assert int(found[1]) not in (0, taken.getsockname()[1])
    assert listening(int(found[1])) == {"0100007F"}
    for method, path, expected, code in (
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/v1/issues/NOBODY-1", 404, "issue_not_found"),
        ("GET", "/api/v1/NOBODY-1", 404, "issue_not_found"),
        ("DELETE", "/api/v1/refresh", 405, "method_not_allowed"),
        ("POST", "/api/v1/state", 405, "method_not_allowed"),
    ):
        status, body = here.request(method, path)
        assert (status, body["error"]["code"]) == (expected, code)
        assert body["error"]["message"]
    assert here.request("POST", "/api/v1/refresh")[0] == 202
    assert here.request("GET", "/healthz")[0] == 200
    for headers, expected in (
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Host": "example.com"}, 403),
        ({"Origin": "https://example.com"}, 403),
    ):
        assert here.request("GET", "/api/v1/state", **headers)[0] == expected


def test_X4_settings_of_the_terminal_dashboard(here: World) -> None:
    """The keys `observability.*` load, with a warning that they have no effect."""
    here.configure(observability={"dashboard_enabled": True, "refresh_ms": 1000})
    said = here.command("run", "--dry-run")
    assert said.code == 0
    assert "observability" in said.err


def test_V3_a_log_that_cannot_be_written(here: World) -> None:
    """A log file on a full disk does not keep a ticket from being worked on, nor the terminal from being told."""
    here.logs.mkdir()
    here.ticket("V3")
    here.start()
    here.until_phase("V3", "in_review")
    assert here.stop() == 0
    settings = (here.root / "opensymphony.toml").read_text()
    (here.root / "opensymphony.toml").write_text(settings.replace(str(here.logs), f"{here.root}/full"))
    (here.root / "full").mkdir()
    (here.root / "full" / "opensymphony.jsonl").symlink_to("/dev/full")
    here.ticket("V3-FULL")
    here.start()
    here.until_phase("V3-FULL", "in_review")
    assert "issue_identifier=V3-FULL" in here.told()
    assert here.stop() == 0


def test_R1_the_whole_way_of_a_ticket(tmp_path: Path) -> None:
    """With a real tracker and a real repository: branch, comment and state as they should be, and nothing left."""
    with world(tmp_path.resolve(), repository=True) as here:
        here.configure(verify={"command": "test -s result.txt"}, reporting={"transitions": {"succeeded": "In Review"}})
        here.script("R1", {"files": {"result.txt": "42\n"}, "commit": "Add the result"})
        here.ticket("R1")
        here.start()
        view = here.until_phase("R1", "in_review")
        assert (view["verified"], here.state_of("R1")) == (True, "In Review")
        assert here.git("log", "--format=%s", "main..opensymphony/R1") == "Add the result"
        assert here.git("rev-parse", "opensymphony/R1") == view["commit"]
        assert "Ready for review" in (here.board / "R1.comments.md").read_text()
        assert "claim:" not in (here.board / "R1.md").read_text()
        here.move("R1", "Done")
        here.until("removed", lambda: not (here.workspaces / "R1").exists())
        document = json.dumps(here.snapshot())
        assert "canary" not in document + here.told()
