"""The log of a server, under its writer."""

from __future__ import annotations

from pathlib import Path

from opensymphony.agents.openhands.server_log import last_lines, limit_log


def test_the_log_is_emptied_under_its_writer(tmp_path: Path) -> None:
    """A writer that appends goes on at the beginning; what was there is kept once."""
    log = tmp_path / "agent-server.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        limit_log(log, bytes_max=20)
        writer.write(b"new\n")
    assert log.read_text() == "new\n"
    assert log.with_suffix(".log.1").read_text() == "old\n" * 10
    assert last_lines(log) == "new"
    limit_log(tmp_path / "absent.log")
    assert last_lines(tmp_path / "absent.log") == "no log"


def test_a_log_without_room_for_a_copy_is_emptied(tmp_path: Path) -> None:
    """Whatever stands in the way of the copy ends neither the daemon nor the limit."""
    log = tmp_path / "agent-server.log"
    log.write_text("old\n" * 10)
    log.with_suffix(".log.1").mkdir()
    limit_log(log, bytes_max=20)
    assert log.read_text() == ""
    log.unlink()
    log.mkdir()
    limit_log(log, bytes_max=0)
    assert last_lines(log) == "no log"
