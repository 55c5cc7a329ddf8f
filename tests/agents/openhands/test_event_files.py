"""A conversation's log on disk."""

from __future__ import annotations

from pathlib import Path

from opensymphony.agents import read_transcript
from opensymphony.agents.openhands.event_files import EventFiles
from tests.debug.conftest import EVENTS, write


def test_only_what_is_behind_a_number_is_read(tmp_path: Path) -> None:
    """And of the last entries no more files than needed."""
    write(tmp_path, EVENTS)
    assert [number for number, _ in EventFiles(tmp_path).numbers(9)] == [10, 11]
    assert [entry.kind for entry in read_transcript(tmp_path, last=2)] == ["message", "status"]
    assert len(read_transcript(tmp_path, last=1_000)) == len(read_transcript(tmp_path))


def test_one_that_is_being_written_waits(tmp_path: Path) -> None:
    """It and what is behind it come with the next look; links are not followed."""
    write(tmp_path, EVENTS[:3])
    half = tmp_path / "events" / "event-00001-00000001-0000-0000-0000-000000000000.json"
    half.write_text('{"kind": "Mess')
    assert [number for number, _ in EventFiles(tmp_path).read(EventFiles(tmp_path).numbers())] == [0]
    half.unlink()
    half.symlink_to("/etc/passwd")
    assert [number for number, _ in EventFiles(tmp_path).read(EventFiles(tmp_path).numbers())] == [0, 2]
