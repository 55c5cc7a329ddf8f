"""How the doors find and read a daemon."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from opensymphony.api.client import (
    ADDRESS_FILE,
    Address,
    NoAnswer,
    NotThere,
    Rejected,
    UnknownIssue,
    fetch_changes,
    fetch_explanation,
    fetch_issues,
    fetch_snapshot,
    fetch_statistics,
    fetch_timeline,
    fetch_transcript,
    fetch_unreadiness,
    fetch_verifications,
    find_daemon,
    follow_snapshots,
    request_action,
    request_refresh,
    request_shutdown,
)
from opensymphony.errors import InstanceError
from opensymphony.model import ServerState
from opensymphony.views import (
    ActionAnswer,
    Changes,
    IssueList,
    Snapshot,
    Statistics,
    TimelinePage,
    TranscriptEntry,
    TranscriptPage,
    VerificationList,
)
from tests.api.desk import Desk

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
            self.answer()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.path, msgspec.json.decode(body) if body else None))
            self.answer()

        def answer(self) -> None:
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


def test_a_stream_is_followed(tmp_path: Path) -> None:
    """Comments and names are passed over; what was begun and not ended is no picture; other programs are told."""
    data = msgspec.json.encode(SNAPSHOT)
    body = b":\n\nevent: snapshot\nid: 1\ndata: %b\n\n:\n\ndata: %b\n\ndata: %b" % (data, data, data)
    with answering(200, body, tmp_path) as (address, asked):
        assert list(follow_snapshots(address)) == [SNAPSHOT, SNAPSHOT]
    assert asked == [("/api/v1/events", "Bearer the-token")]
    for wrong in (b"data: {}\n\n", b"data: \xff\n\n"):
        with (
            answering(200, wrong, tmp_path) as (address, _),
            pytest.raises(InstanceError, match="is no daemon of this release"),
        ):
            list(follow_snapshots(address))
    with pytest.raises(InstanceError, match="does not answer"):
        list(follow_snapshots(address))
    Path(address.token_file).unlink()
    with pytest.raises(InstanceError, match="does not answer"):
        list(follow_snapshots(address))


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


def test_a_daemon_that_was_killed_is_told(tmp_path: Path) -> None:
    """Its address file is still there, its process is not: what to do is known."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    if sys.platform == "linux":  # where a zombie can be told
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    else:
        child.wait()
    with answering(200, b"", tmp_path) as (address, _):
        pass
    with pytest.raises(InstanceError) as refused:
        fetch_snapshot(msgspec.structs.replace(address, pid=child.pid))
    assert str(refused.value) == (
        f"the daemon (pid {child.pid}) is gone: start it again with `opensymphony run`, which goes on from there"
    )
    child.wait()


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


UNKNOWN = b'{"error": {"code": "issue_not_found", "message": "the daemon knows no ticket A-77"}}'


def test_tickets_are_fetched(tmp_path: Path) -> None:
    """The list, by phases; one ticket, whatever characters are in its name."""
    listed = IssueList(sequence=1, at_ms=2, issues=())
    with answering(200, msgspec.json.encode(listed), tmp_path) as (address, asked):
        assert fetch_issues(address, ["closed", "needs_person"]) == listed
        assert asked.pop()[0] == "/api/v1/issues?phase=closed&phase=needs_person"
    told = Desk().known["A-1"]
    with answering(200, msgspec.json.encode(told), tmp_path) as (address, asked):
        for name, path in [
            ("a/b c%?#", "a%2Fb%20c%25%3F%23"),
            ("..", "%2E%2E"),
            ("\udcff", "%EF%BF%BD"),
            ("A-1", "A-1"),
        ]:
            assert fetch_explanation(address, name) == told
            assert asked.pop()[0] == f"/api/v1/issues/{path}"


def test_the_past_is_fetched(tmp_path: Path) -> None:
    """Each at its own place, with what was asked for and no more."""
    for ask, kind, path in PAST:
        with answering(200, msgspec.json.encode(kind), tmp_path) as (address, asked):
            assert ask(address) == kind
        assert asked == [(path, "Bearer the-token")]


PAST: list[tuple[Callable[[Address], object], object, str]] = [
    (
        lambda address: fetch_transcript(address, "a/b."),
        TranscriptPage(conversation_id="c", entries=(TranscriptEntry(seq=1, kind="call", text="\x00"),), after=1),
        "/api/v1/issues/a%2Fb%2E/transcript?limit=200",
    ),
    (
        lambda address: fetch_transcript(address, "A-1", limit=5, after=-1),
        TranscriptPage(conversation_id="c", entries=()),
        "/api/v1/issues/A-1/transcript?limit=5&after=-1",
    ),
    (
        lambda address: fetch_timeline(address, "A-1", before=7),
        TimelinePage(entries=(), before=3),
        "/api/v1/issues/A-1/timeline?limit=200&before=7",
    ),
    (lambda address: fetch_changes(address, "A-1"), Changes(diff="+"), "/api/v1/issues/A-1/changes"),
    (
        lambda address: fetch_verifications(address, "A-1"),
        VerificationList(verifications=()),
        "/api/v1/issues/A-1/verifications",
    ),
    (lambda address: fetch_statistics(address, days=7), Statistics(days=(), runs=()), "/api/v1/statistics?days=7"),
]


@pytest.mark.parametrize("code", ["no_conversation", "no_transcript", "no_workspace", "workspace_unreadable"])
def test_what_a_ticket_does_not_have_is_told_apart(code: str, tmp_path: Path) -> None:
    body = msgspec.json.encode({"error": {"code": code, "message": "not here"}})
    with (
        answering(409 if code == "workspace_unreadable" else 404, body, tmp_path) as (address, _),
        pytest.raises(NotThere, match="not here"),
    ):
        fetch_changes(address, "A-1")


def test_an_action_is_asked_for_and_answered(tmp_path: Path) -> None:
    """Accepted or refused, the answer is an answer; what cannot be written as text does not keep it from being sent."""
    for status, accepted in [(200, True), (409, False)]:
        answer = ActionAnswer(request_id="k", accepted=accepted, answer="so be it")
        with answering(status, msgspec.json.encode(answer), tmp_path) as (address, asked):
            assert request_action(address, "message", "A/1", request_id="k", text="\ud800", author="ana") == answer
            body = {"request_id": "k", "text": "\ufffd", "author": "ana", "finish": False}
            assert asked.pop() == ("/api/v1/issues/A%2F1/actions/message", body)
            assert request_action(address, "pause", None, request_id="k", finish=True) == answer
            assert asked.pop() == ("/api/v1/actions/pause", {**body, "text": "", "author": "", "finish": True})


def test_an_unknown_ticket_is_told_apart(tmp_path: Path) -> None:
    """So that a door can say which names are like it; another 404 is another program, or an older daemon."""
    with answering(404, UNKNOWN, tmp_path) as (address, _):
        with pytest.raises(UnknownIssue, match="A-77"):
            fetch_explanation(address, "A-77")
        with pytest.raises(UnknownIssue):
            request_action(address, "stop", "A-77", request_id="k")
    with (
        answering(404, b"<html>", tmp_path) as (address, _),
        pytest.raises(InstanceError, match="status 404") as refused,
    ):
        fetch_explanation(address, "A-77")
    assert not isinstance(refused.value, UnknownIssue)


@pytest.mark.parametrize("status", [400, 413, 503])
def test_what_the_daemon_says_is_wrong_is_told(status: int, tmp_path: Path) -> None:
    """Its own words, as they are."""
    body = b'{"error": {"code": "any", "message": "the disk is full"}}'
    with answering(status, body, tmp_path) as (address, _), pytest.raises(InstanceError) as refused:
        request_action(address, "stop", "A-1", request_id="k")
    assert str(refused.value) == "the disk is full"
    assert isinstance(refused.value, Rejected) == (status != 503)


def test_a_refresh_and_a_shutdown_are_asked_for(tmp_path: Path) -> None:
    """Neither waits for what it asks for."""
    with answering(202, b"{}", tmp_path) as (address, asked):
        request_refresh(address)
        request_shutdown(address)
        assert asked == [("/api/v1/refresh", None), ("/api/v1/shutdown", {"detach": False})]


def test_readiness_is_told(tmp_path: Path) -> None:
    """None, or why not."""
    with answering(200, b'{"status": "ready"}', tmp_path) as (address, _):
        assert fetch_unreadiness(address) is None
    with answering(503, b'{"error": {"code": "not_ready", "message": "why"}}', tmp_path) as (address, _):
        assert fetch_unreadiness(address) == "why"


def test_a_request_that_was_sent_in_vain_is_told_apart(tmp_path: Path) -> None:
    """A daemon that ends over a request may have carried it out; one that nobody could reach has not."""
    token = tmp_path / "token"
    token.write_text("the-token")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(pid=1, host="127.0.0.1", port=listener.getsockname()[1], token_file=str(token))

        def hang_up() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(NoAnswer, match="does not answer"):
            request_action(address, "stop", "A-1", request_id="k")
        thread.join()
    with pytest.raises(InstanceError) as refused:
        request_action(address, "stop", "A-1", request_id="k")
    assert not isinstance(refused.value, NoAnswer)


def test_what_sends_without_end_is_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read no further than an answer of ours can be."""
    monkeypatch.setattr("opensymphony.api.client._ANSWER_BYTES_MAX", 1_000)
    with answering(200, b" " * 2_000, tmp_path) as (address, _), pytest.raises(InstanceError, match="without end"):
        fetch_snapshot(address)


def test_a_name_that_is_too_long_for_an_address_is_one_line(tmp_path: Path) -> None:
    """Nonsense on the command line is no traceback."""
    with answering(404, UNKNOWN, tmp_path) as (address, _), pytest.raises(InstanceError, match="too long"):
        fetch_explanation(address, "x" * 70_000)
