"""What one conversation leaves to the one that stands in for it: a summary of its log, made without a model.

In: the log, by REST. Out: a text of bounded length, the same for the same log: the server's own summary where it made one, what
people said, files and commands, and the last exchanges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from opensymphony.agents.openhands.client import Client
from opensymphony.agents.openhands.messages import Event, arguments, finish_text, message_text, read, read_answer
from opensymphony.agents.openhands.mirror import without_marker

_CHARS_MAX = 16_000
_SUMMARY_CHARS = 4_000
_SAID_MAX = 12
_SAID_CHARS = 600
_TAIL_EVENTS = 100
_STEPS_MAX = 40
_STEP_CHARS = 400
_FILES_MAX = 40


class _Arguments(Struct, frozen=True, kw_only=True):
    command: str = ""
    path: str = ""


async def hand_over(client: Client, conversation_id: str) -> str:
    """The summary of a conversation; empty for one that nothing was done in.

    Raises `AgentServerError` when the log cannot be read.
    """
    condensed = await client.newest_events(conversation_id, 1, kind="Condensation")
    said = await client.newest_events(conversation_id, _SAID_MAX, kind="MessageEvent", source="user")
    first = await client.events_from(conversation_id, None, limit=_TAIL_EVENTS)
    tail = await client.newest_events(conversation_id, _TAIL_EVENTS)
    opening = next((event.id for event in first.items if event.kind == "MessageEvent" and event.source == "user"), "")
    return summarise(
        summary=(condensed[-1].summary or "") if condensed else "",
        said=[event for event in said if event.id != opening],  # the new conversation gets the full prompt itself
        tail=[event for event in tail if event.id != opening],
    )


def summarise(*, summary: str, said: Iterable[Event], tail: Iterable[Event]) -> str:
    """Put together what `hand_over` has read; the newest is kept where not all of it has room."""
    events = list(tail)
    parts: list[str] = []
    if summary.strip():
        parts.append(f"A summary that was made earlier:\n{_clip(summary, _SUMMARY_CHARS)}")
    messages = [_clip(without_marker(message_text(event)), _SAID_CHARS) for event in said]
    if messages:
        parts.append("What you were told after the instructions, oldest first:\n" + _listed(messages))
    files = list(dict.fromkeys(_files(events)))[-_FILES_MAX:]
    if files:
        parts.append("Files you worked on last:\n" + _listed(files))
    steps = [line for event in events if (line := _step(event))][-_STEPS_MAX:]
    if steps:
        parts.append("Your last steps, oldest first:\n" + _listed(_newest(steps, _CHARS_MAX - sum(map(len, parts)))))
    return "\n\n".join(parts)


def _newest(lines: list[str], chars_max: int) -> list[str]:
    kept: list[str] = []
    for line in reversed(lines):
        chars_max -= len(line) + 3
        if chars_max < 0:
            break
        kept.append(line)
    return kept[::-1]


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _files(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        if event.kind == "ActionEvent" and (found := _asked(event).path):
            yield _clip(found, 300)


def _step(event: Event) -> str:
    """One line about an event; empty for one that says nothing."""
    match event.kind:
        case "ActionEvent":
            finished = finish_text(event)
            if finished is not None:
                return _clip(f"you closed with: {finished}", _STEP_CHARS)
            asked = _asked(event)
            what = " ".join(part for part in (asked.command, asked.path) if part) or event.summary or ""
            return _clip(f"{event.tool_name or 'tool'}: {what}", _STEP_CHARS)
        case "ObservationEvent" | "AgentErrorEvent" | "UserRejectObservation":
            answer = read_answer(event)
            code = f" (exit code {answer.exit_code})" if answer.exit_code is not None else ""
            failed = " failed" if answer.failed else ""
            last = " ".join(answer.text.split())[-(_STEP_CHARS // 2) :]
            return _clip(f"  answer{failed}{code}: {last}", _STEP_CHARS)
        case "MessageEvent" if event.source != "user":
            return _clip(f"you said: {message_text(event)}", _STEP_CHARS)
        case _:
            return ""


def _asked(event: Event) -> _Arguments:
    return read(msgspec.Raw(arguments(event)), _Arguments) or _Arguments()


def _clip(text: str, chars_max: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= chars_max else f"{line[: chars_max - 3]}..."
