"""Events of a log become entries for people."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from opensymphony.agents.openhands.transcript import entries
from tests.debug.conftest import EVENTS


def test_each_kind_has_its_entry() -> None:
    """Bookkeeping has none, and what a thought led to stands behind it."""
    told = [entry for seq, event in enumerate(EVENTS) for entry in entries(seq, json.dumps(event).encode())]
    assert [(entry.seq, entry.kind) for entry in told] == [
        (1, "prompt"),
        (2, "status"),
        (3, "thought"),
        (3, "call"),
        (4, "result"),
        (5, "result"),
        (6, "plan"),
        (8, "error"),
        (9, "other"),
        (10, "message"),
        (11, "status"),
    ]
    assert told[5].diff.splitlines()[-3:] == [" x = 1", "-y = 2", "+y = 3"]


def test_a_question_and_a_condensation_are_told() -> None:
    """The first with what is asked, the second with how much is summed up."""
    ask = {"kind": "ActionEvent", "tool_name": "ask_person", "action": {"kind": "X", "question": "Which?"}}
    [question] = entries(1, json.dumps(ask).encode())
    assert question.kind == "question" and "Which?" in question.text
    [summed] = entries(2, b'{"kind": "Condensation", "forgotten_event_ids": ["a", "b"], "summary": "so far"}')
    assert summed.text == "2 events summed up: so far"


def test_a_command_that_goes_on_has_not_failed() -> None:
    """The server gives it the exit code -1."""
    event = {"kind": "ObservationEvent", "tool_name": "terminal", "observation": {"exit_code": -1}}
    [entry] = entries(1, json.dumps(event).encode())
    assert (entry.exit_code, entry.failed) == (-1, False)


def test_an_event_that_nobody_knows_is_told() -> None:
    """Also one that is no event at all."""
    assert [entry.text for entry in entries(1, b"[]")] == ["an event that cannot be read"]
    assert [entry.kind for entry in entries(1, b'{"kind": "ActionEvent", "thought": 7, "action": "odd"}')] == ["call"]


def test_a_file_that_was_written_anew_is_one_hunk(tmp_path: Path) -> None:
    """What differs in too many places is not compared line by line, and git can apply what is told all the same."""
    old = ["first", "second", "third", "fourth", *(f"old {number}" for number in range(900)), "last", "end"]
    new = ["first", "second", "third", "fourth", *(f"new {number}" for number in range(700)), "last", "end"]
    found = diff_of("\n".join(old) + "\n", "\n".join(new) + "\n")
    assert found.splitlines()[:5] == ["--- a.txt", "+++ a.txt", "@@ -2,905 +2,705 @@", " second", " third"]
    (tmp_path / "a.txt").write_text("\n".join(old) + "\n")
    (tmp_path / "patch").write_text(found + "\n")
    subprocess.run(["git", "apply", "-p0", "patch"], cwd=tmp_path, check=True)
    assert (tmp_path / "a.txt").read_text() == "\n".join(new) + "\n"


def test_one_line_of_a_long_file_is_found() -> None:
    """The length of what is equal does not matter."""
    lines = [f"line {number}" for number in range(9_000)]
    changed = [*lines[:4_000], "another", *lines[4_001:]]
    assert diff_of("\n".join(lines), "\n".join(changed)).splitlines()[2:] == [
        "@@ -3998,7 +3998,7 @@",
        " line 3997",
        " line 3998",
        " line 3999",
        "-line 4000",
        "+another",
        " line 4001",
        " line 4002",
        " line 4003",
    ]


def diff_of(before: str, after: str) -> str:
    answer = {"path": "a.txt", "old_content": before, "new_content": after}
    event = {"kind": "ObservationEvent", "tool_name": "file_editor", "observation": answer}
    [entry] = entries(1, json.dumps(event).encode())
    return entry.diff
