"""A store with one conversation, as an agent-server leaves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ID = "96be7799-5bdf-5b38-b6a8-631b45701041"

EVENTS: list[dict[str, Any]] = [
    {"kind": "SystemPromptEvent"},
    {
        "kind": "MessageEvent",
        "source": "user",
        "timestamp": "2026-11-26T10:49:44.5",
        "llm_message": {"content": [{"type": "text", "text": "Do it.\n\n<!-- opensymphony:A-1#1/7/send-message -->"}]},
    },
    {"kind": "ConversationStateUpdateEvent", "key": "execution_status", "value": "running"},
    {
        "kind": "ActionEvent",
        "source": "agent",
        "tool_name": "terminal",
        "tool_call_id": "c1",
        "thought": [{"type": "text", "text": "Let me look."}],
        "action": {"kind": "TerminalAction", "command": "seq 40"},
    },
    {
        "kind": "ObservationEvent",
        "tool_name": "terminal",
        "tool_call_id": "c1",
        "observation": {
            "content": [{"type": "text", "text": "\n".join(f"line {n}" for n in range(1, 41)) + "\x1b[31m"}],
            "exit_code": 3,
        },
    },
    {
        "kind": "ObservationEvent",
        "tool_name": "file_editor",
        "tool_call_id": "c2",
        "observation": {"path": "/w/a.py", "old_content": "x = 1\ny = 2\n", "new_content": "x = 1\ny = 3\n"},
    },
    {
        "kind": "ObservationEvent",
        "tool_name": "task_tracker",
        "observation": {"task_list": [{"title": "first", "status": "done"}, {"title": "second", "status": "todo"}]},
    },
    {"kind": "ConversationStateUpdateEvent", "key": "stats", "value": {}},
    {"kind": "ConversationErrorEvent", "code": "LLMError", "detail": "no answer"},
    {"kind": "BrandNewEvent"},
    {"kind": "ActionEvent", "tool_name": "finish", "action": {"kind": "FinishAction", "message": "**Done.**"}},
    {"kind": "ConversationStateUpdateEvent", "key": "execution_status", "value": "finished"},
]


def write(conversation: Path, events: list[dict[str, Any]], first: int = 0) -> None:
    """Files as the server names them."""
    (conversation / "events").mkdir(parents=True, exist_ok=True)
    for seq, event in enumerate(events, first):
        name = f"event-{seq:05}-{seq:08x}-0000-0000-0000-000000000000.json"
        (conversation / "events" / name).write_text(json.dumps({"id": f"e{seq}", **event}))


@pytest.fixture
def conversation(tmp_path: Path) -> Path:
    place = tmp_path / ID.replace("-", "")
    write(place, EVENTS)
    return place
