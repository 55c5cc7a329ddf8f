"""Events of a log become entries for people."""

from __future__ import annotations

import json

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
