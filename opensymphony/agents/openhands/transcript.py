"""What was said and done in a conversation, for people: events of its log go in, entries come out.

An event that has no entry of its own becomes one line with its kind, so that nothing is passed over in silence; bookkeeping (
figures, ids) has none. Pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct, field

from opensymphony.agents.openhands.messages import Event, arguments, finish_text, message_text, read, read_answer
from opensymphony.agents.openhands.mirror import key_of, marker
from opensymphony.views import TranscriptEntry

_ASK_PERSON = "ask_person"
_DIFF_BYTES_MAX = 1_000_000
_COMPARED_LINES_MAX = 400
"""Of both together, between what is equal at their beginning and end: comparing takes the square of it at worst."""
_CONTEXT = 3


class _Text(Struct, frozen=True, kw_only=True):
    text: str = ""


class LoggedEvent(Event, frozen=True, kw_only=True):
    """An event with what only its readers look at."""

    timestamp: str = ""
    thought: Raw = field(default=Raw(b"null"))
    reasoning_content: Raw = field(default=Raw(b"null"))
    forgotten_event_ids: Raw = field(default=Raw(b"null"))


class _Command(Struct, frozen=True, kw_only=True):
    kind: str = ""
    command: str = ""


class _Task(Struct, frozen=True, kw_only=True):
    title: str = ""
    status: str = ""


_SAYING = ("finish", "think")
_STILL_RUNNING = -1
"""The exit code of a command that has not ended when the tool answers."""
_TASK_MARKS = {"done": "x", "in_progress": "~"}


def entries(seq: int, raw: bytes) -> tuple[TranscriptEntry, ...]:
    """What one event tells, in order; nothing for bookkeeping. Never raises."""
    event = read(raw, LoggedEvent)
    if event is None:
        return (TranscriptEntry(seq=seq, kind="other", text="an event that cannot be read"),)
    return tuple(msgspec.structs.replace(entry, at=event.timestamp) for entry in _entries(seq, event))


def _entries(seq: int, event: LoggedEvent) -> list[TranscriptEntry]:
    match event.kind:
        case "MessageEvent":
            return [_message(seq, event)]
        case "ActionEvent":
            return [*_thoughts(seq, event), _call(seq, event)]
        case "ObservationEvent" | "AgentErrorEvent" | "UserRejectObservation":
            # What these tools answer is what the agent said itself.
            return [] if event.tool_name in _SAYING else [_result(seq, event)]
        case "ConversationErrorEvent":
            text = f"{event.code or 'unknown'}: {event.detail or ''}"
            return [TranscriptEntry(seq=seq, kind="error", text=text, failed=True)]
        case "ConversationStateUpdateEvent":
            status = read(event.value, str) if event.key == "execution_status" else None
            return [TranscriptEntry(seq=seq, kind="status", text=status)] if status else []
        case "Condensation" | "CondensationEvent":
            count = len(read(event.forgotten_event_ids, list[str]) or ())
            text = f"{count} events summed up" + (f": {event.summary}" if event.summary else "")
            return [TranscriptEntry(seq=seq, kind="condensation", text=text)]
        case "PauseEvent" | "InterruptEvent":
            return [TranscriptEntry(seq=seq, kind="status", text="interrupted by a person or the daemon")]
        case "SystemPromptEvent":
            return []
        case _:
            return [TranscriptEntry(seq=seq, kind="other", text=event.kind)]


def _message(seq: int, event: LoggedEvent) -> TranscriptEntry:
    text = message_text(event)
    if event.source != "user":
        return TranscriptEntry(seq=seq, kind="message", text=text)
    key = key_of(text)
    if key:
        text = text.replace(marker(key), "").rstrip()
    return TranscriptEntry(seq=seq, kind="prompt", text=text, key=key or "")


def _thoughts(seq: int, event: LoggedEvent) -> list[TranscriptEntry]:
    said = [part.text for part in read(event.thought, list[_Text]) or ()]
    said.append(read(event.reasoning_content, str) or "")
    text = "\n".join(part for part in said if part.strip())
    return [TranscriptEntry(seq=seq, kind="thought", text=text)] if text else []


def _call(seq: int, event: LoggedEvent) -> TranscriptEntry:
    tool, call_id, asked = event.tool_name or "", event.tool_call_id or "", arguments(event)
    final = finish_text(event)
    if final is not None:
        return TranscriptEntry(seq=seq, kind="message", text=final, tool=tool, call_id=call_id)
    if tool == _ASK_PERSON:
        return TranscriptEntry(seq=seq, kind="question", text=_shown(asked), tool=tool, call_id=call_id)
    command = read(asked, _Command)
    if command is not None and command.kind in ("TerminalAction", "ExecuteBashAction"):
        return TranscriptEntry(seq=seq, kind="call", tool=tool, call_id=call_id, command=command.command)
    text = event.summary or ""
    return TranscriptEntry(seq=seq, kind="call", tool=tool, call_id=call_id, text=text, arguments=_shown(asked))


def _shown(encoded: bytes) -> str:
    """Without what is null, and without the class of the action, which the tool's name tells."""
    value = read(encoded, dict[str, object])
    if value is None:
        return encoded.decode(errors="replace")
    told = {name: part for name, part in value.items() if part is not None and name != "kind"}
    try:
        return msgspec.json.format(msgspec.json.encode(told), indent=2).decode()
    except (msgspec.MsgspecError, RecursionError):
        return encoded.decode(errors="replace")


def _result(seq: int, event: LoggedEvent) -> TranscriptEntry:
    answer = read_answer(event)
    plan = read(answer.plan, list[_Task]) if answer.plan else None
    if plan:
        text = "\n".join(f"[{_TASK_MARKS.get(task.status, ' ')}] {task.title}" for task in plan)
        return TranscriptEntry(seq=seq, kind="plan", text=text, call_id=event.tool_call_id or "")
    return TranscriptEntry(
        seq=seq,
        kind="result",
        text=answer.text,
        tool=event.tool_name or "",
        call_id=event.tool_call_id or "",
        exit_code=answer.exit_code,
        failed=answer.failed or answer.exit_code not in (None, 0, _STILL_RUNNING),
        path=answer.path,
        diff=_diff(answer.before, answer.after, answer.path),
    )


def _diff(before: bytes, after: bytes, path: str) -> str:
    """As a unified diff; empty where the contents are not told, are equal, or are too long to compare."""
    if not after or len(before) + len(after) > _DIFF_BYTES_MAX:
        return ""
    old, new = read(before, str) if before else "", read(after, str)
    if old is None or new is None or old == new:
        return ""
    return "\n".join(_unified(old.splitlines(), new.splitlines(), path))


def _unified(old: list[str], new: list[str], path: str) -> Iterable[str]:
    """Where too much differs to be compared line by line, all of it as one hunk."""
    shortest = min(len(old), len(new))
    head = next((at for at in range(shortest) if old[at] != new[at]), shortest)
    rest = shortest - head
    tail = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
    gone, come = old[head : len(old) - tail], new[head : len(new) - tail]
    if len(gone) + len(come) <= _COMPARED_LINES_MAX:
        return difflib.unified_diff(old, new, path, path, lineterm="")
    start = max(0, head - _CONTEXT)
    above, below = old[start:head], old[len(old) - tail :][:_CONTEXT]
    around = len(above) + len(below)
    return (
        f"--- {path}",
        f"+++ {path}",
        f"@@ -{start + 1},{around + len(gone)} +{start + 1},{around + len(come)} @@",
        *(f" {line}" for line in above),
        *(f"-{line}" for line in gone),
        *(f"+{line}" for line in come),
        *(f" {line}" for line in below),
    )
