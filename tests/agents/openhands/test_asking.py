"""Questions and approvals as the server tells them."""

from __future__ import annotations

from typing import Any

import msgspec

from opensymphony.agents.openhands.asking import ASK_PERSON, approval_of, question_of
from opensymphony.agents.openhands.messages import Event
from opensymphony.model import SHORTENED


def action(tool: str, event_id: str = "e1", **fields: Any) -> Event:
    told = {"kind": "ActionEvent", "id": event_id, "tool_name": tool, "tool_call_id": "c1", "action": fields}
    return msgspec.json.decode(msgspec.json.encode(told), type=Event)


def test_a_question_comes_with_its_options() -> None:
    """Another time the same question is another one."""
    asked = question_of(
        action("ask_person", question=" Which? ", options=["red", "blue"], kind="ClientAction_ask_person")
    )
    assert asked is not None
    assert (asked.kind, asked.text) == ("question", "Which?\n\n- red\n- blue")
    again = question_of(action("ask_person", "e2", question=" Which? ", options=["red", "blue"]))
    assert again is not None
    assert again.digest != asked.digest


def test_an_odd_question_is_a_question_all_the_same() -> None:
    """The agent stands still either way."""
    for fields in ({}, {"question": 7}, {"question": "x" * 100_000}):
        asked = question_of(action("ask_person", **fields))
        assert asked is not None
        assert 0 < len(asked.text) <= 4_000
    assert question_of(action("terminal", command="ls")) is None


def test_the_same_actions_have_the_same_digest() -> None:
    """Whatever their ids and the order of their arguments; any other argument makes another one."""
    one = approval_of([action("terminal", "e1", command="ls", reset=False)])
    same = approval_of([action("terminal", "e2", reset=False, command="ls")])
    others = [
        approval_of([action("terminal", command="ls ", reset=False)]),
        approval_of([action("other", command="ls", reset=False)]),
        approval_of([action("terminal", command="ls", reset=False)] * 2),
        approval_of([]),
    ]
    assert one.digest == same.digest
    assert len({one.digest, *(other.digest for other in others)}) == 5
    assert one.text == 'terminal {"command":"ls","reset":false}'


def test_what_is_long_is_shortened_and_still_told_apart() -> None:
    """The digest is over all of it."""
    long = [approval_of([action("terminal", command="x" * 10_000 + end)]) for end in "ab"]
    assert long[0].digest != long[1].digest
    assert all(len(one.text) < 4_200 and "shortened" in one.text for one in long)
    many = approval_of([action("terminal", command="ls")] * 25)
    question = question_of(action("ask_person", question="x" * 10_000))
    assert question is not None and "and 5 more" in many.text
    untold = approval_of([])
    assert all(one.text.endswith(SHORTENED) for one in (*long, many, question, untold))


def test_the_tool_says_what_it_needs() -> None:
    """Its schema is one that the server takes."""
    assert ASK_PERSON["parameters"]["required"] == ["question"]
