"""How the doors find and read a daemon."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from opensymphony.api.client import ADDRESS_FILE, Address, fetch_snapshot, find_daemon
from opensymphony.errors import InstanceError
from opensymphony.model import ServerState
from opensymphony.views import Snapshot

SNAPSHOT = Snapshot(
    sequence=1, at_ms=2, instance="one", status="running", server=ServerState(status="ready"), tickets=()
)


@contextmanager
def answering(status: int, body: bytes, tmp_path: Path) -> Iterator[tuple[Address, list[Any]]]:
    """A program that listens where the address file says."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    token = tmp_path / "token"
    token.write_text("the-token")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Address(pid=1, host="127.0.0.1", port=server.server_port, token_file=str(token)), asked
        finally:
            server.shutdown()
            thread.join()


def test_a_snapshot_is_fetched_with_the_token(tmp_path: Path) -> None:
    """What the daemon shows arrives whole."""
    with answering(200, msgspec.json.encode(SNAPSHOT), tmp_path) as (address, asked):
        assert fetch_snapshot(address) == SNAPSHOT
        assert asked == [("/api/v1/snapshot", "Bearer the-token")]


@pytest.mark.parametrize("body", [b"<html>a router</html>", b'{"sequence": "one"}', b"[]", b"", b"\xff"])
def test_another_program_at_the_address_is_told(body: bytes, tmp_path: Path) -> None:
    """After a crash of ours somebody else may have the port."""
    with answering(200, body, tmp_path) as (address, _), pytest.raises(InstanceError) as refused:
        fetch_snapshot(address)
    assert f"what answers at {address.url} is no daemon of this release" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_refusal_is_told(tmp_path: Path) -> None:
    """A token of another boot."""
    with answering(401, b"{}", tmp_path) as (address, _), pytest.raises(InstanceError, match="401") as refused:
        fetch_snapshot(address)
    assert "\n" not in str(refused.value)


def test_nobody_at_the_address_is_told(tmp_path: Path) -> None:
    """The address file of a killed daemon leads nowhere."""
    with answering(200, b"", tmp_path) as (address, _):
        pass
    with pytest.raises(InstanceError, match="does not answer") as refused:
        fetch_snapshot(address)
    assert "it may have just ended; see its log" in str(refused.value)


def test_a_missing_token_is_told(tmp_path: Path) -> None:
    """Between the end of a daemon and our look."""
    address = Address(pid=1, host="127.0.0.1", port=1, token_file=str(tmp_path / "gone"))
    with pytest.raises(InstanceError, match="does not answer"):
        fetch_snapshot(address)


def test_a_daemon_is_found_by_its_store(tmp_path: Path) -> None:
    """The address file says where; an IPv6 host stands in brackets."""
    address = Address(pid=1, host="::1", port=2468, token_file="t")
    (tmp_path / ADDRESS_FILE).write_bytes(msgspec.json.encode(address))
    assert find_daemon(str(tmp_path)) == address
    assert address.url == "http://[::1]:2468"


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"pid": "x"}'])
def test_no_daemon_is_one_line(content: bytes | None, tmp_path: Path) -> None:
    """Neither a missing nor a torn address file is a daemon."""
    if content is not None:
        (tmp_path / ADDRESS_FILE).write_bytes(content)
    with pytest.raises(InstanceError) as refused:
        find_daemon(str(tmp_path))
    assert str(refused.value) == (f"no daemon is running on the store {tmp_path}: start one with `opensymphony run`")
