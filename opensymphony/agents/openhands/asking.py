"""What an agent wants from a person: questions by a tool of ours, and actions that wait for a confirmation.

In: events of a conversation's log. Out: the question, or the exact actions with a digest that only the same ones have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from opensymphony.agents.openhands.messages import Event, arguments, read
from opensymphony.model import SHORTENED, Asked

TOOL = "ask_person"
ASK_PERSON: Mapping[str, Any] = {
    "name": TOOL,
    "description": (
        "Ask the person responsible for this ticket a question that you cannot answer yourself and cannot go on without. "
        "Your work pauses until they have answered, which may take days; the answer comes as the next message. Ask about what "
        "was left open or contradicts itself, everything at once; never for permission to do what the ticket says."
    ),
    "parameters": {
        "type": "object",
        "properties": {
            "question": {"type": "string", "description": "The question, with all that is needed to answer it."},
            "options": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Answers to choose from, where there are some.",
            },
        },
        "required": ["question"],
    },
}
"""The server knows a tool by its name for good: another schema needs another name."""

_TEXT_MAX = 4_000
_CALLS_MAX = 20


class _Question(Struct, frozen=True, kw_only=True):
    question: str = ""
    options: list[str] = field(default_factory=list[str])


def question_of(event: Event) -> Asked | None:
    """The question that an action asks; None for every other action."""
    if event.kind != "ActionEvent" or event.tool_name != TOOL:
        return None
    asked = read(arguments(event), _Question) or _Question()
    text = asked.question.strip() or "(the agent asked nothing)"
    if asked.options:
        text += "\n\n" + "\n".join(f"- {option}" for option in asked.options)
    digest = hashlib.sha256(event.id.encode() + arguments(event)).hexdigest()
    return Asked(kind="question", text=_shortened(text), digest=digest)


def approval_of(calls: Sequence[Event]) -> Asked:
    """What waits for a confirmation, all of it at once."""
    made = hashlib.sha256()
    told: list[str] = []
    for call in calls:
        action = _canonical(arguments(call))
        made.update(msgspec.json.encode([call.tool_name, action.decode(errors="replace")]))
        if len(told) < _CALLS_MAX:
            told.append(f"{call.tool_name or 'unknown tool'} {action.decode(errors='replace')}")
    if len(calls) > _CALLS_MAX:
        told.append(f"and {len(calls) - _CALLS_MAX} more {SHORTENED}")
    text = _shortened("\n".join(told))
    return Asked(
        kind="approval", text=text or f"(the server does not tell what it is) {SHORTENED}", digest=made.hexdigest()
    )


def _shortened(text: str) -> str:
    mark = f"... {SHORTENED}"
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - len(mark)] + mark


def _canonical(raw: bytes) -> bytes:
    """The same arguments in the same order, whatever the order they came in."""
    try:
        return msgspec.json.encode(msgspec.json.decode(raw), order="sorted")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw
