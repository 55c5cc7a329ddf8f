"""One ticket as a file: what it says, and how its state and its claim are changed.

In: the bytes of `<id>.md`. Out: a `TicketFile`, or the same bytes with another state or claim and nothing else changed.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from msgspec import Struct

from opensymphony.model import Claim, encodable
from opensymphony.services.files import front_matter
from opensymphony.services.files.front_matter import FrontMatter, Malformed
from opensymphony.services.files.yaml_values import Entry, Value

IDENTIFIER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\Z")
UNREADABLE = "(unreadable)"
"""Stands for a blocker that we cannot make out; no ticket can have this name, so it blocks."""

_STATE_CHARACTERS_MAX = 100
_PLAIN = re.compile(r"[^\W\d_][\w/ -]*\Z")
_PLAIN_BUT_NULL = frozenset({"null", "Null", "NULL"})


class Note(Struct, frozen=True, kw_only=True):
    """Something wrong with a ticket that can be worked on all the same."""

    line: int
    message: str


class TicketFile(Struct, frozen=True, kw_only=True):
    """What one file says about its ticket; other tickets are named, not resolved."""

    identifier: str
    title: str
    state: str
    description: str | None
    priority: int | None
    labels: tuple[str, ...]
    assignee: str | None
    blocked_by: tuple[str, ...]
    parent: str | None
    created_at: str | None
    created_ms: int | None
    claim: Claim | None
    notes: tuple[Note, ...]
    lines: dict[str, int]
    """Where each key stands."""


def parse(identifier: str, data: bytes) -> TicketFile:
    """Understand a file. Raises `Malformed` when it has no usable title or state; other faults become notes."""
    return _Reading(front_matter.read(data)).ticket(identifier)


def with_state(data: bytes, state: str) -> bytes:
    """The same file in another state. Raises `Malformed`."""
    front = front_matter.read(data)
    entry = front.entries.get("state")
    if entry is None:
        raise Malformed(1, "'state' is missing")
    if "\n" in front.text[entry.value.start : entry.value.end]:
        raise Malformed(entry.line, "'state' must stand on one line")
    gap = "" if front.text[entry.value.start - 1].isspace() else " "  # `state:` without a value
    text = front.text[: entry.value.start] + gap + _scalar(state) + front.text[entry.value.end :]
    return _checked(front, text, changed="state")


def with_claim(data: bytes, claim: Claim | None) -> bytes:
    """The same file with this claim, or without one. A new claim becomes the last line of the head. Raises `Malformed`."""
    front = front_matter.read(data)
    entry = front.entries.get("claim")
    line = "" if claim is None else f"{front.indent}claim: {_flow(claim)}{front.newline}"
    if entry is None:
        start = end = front.closing
    else:
        start, end = _lines_of(front, entry)
    return _checked(front, front.text[:start] + line + front.text[end:], changed="claim")


def _lines_of(front: FrontMatter, entry: Entry) -> tuple[int, int]:
    start = front.text.rfind("\n", 0, entry.start) + 1
    end = front.text.find("\n", max(entry.value.end, entry.start)) + 1
    return start, min(end or front.closing, front.closing)


def _flow(claim: Claim) -> str:
    instance = json.dumps(claim.instance, ensure_ascii=False)
    return f"{{instance: {instance}, generation: {claim.generation}, heartbeat_ms: {claim.heartbeat_ms}}}"


def _scalar(text: str) -> str:
    """As YAML, in quotes only where it would be read as something else without them."""
    if _PLAIN.match(text) and not text.endswith(" ") and text not in _PLAIN_BUT_NULL:
        return text
    return json.dumps(text, ensure_ascii=False)


def _checked(before: FrontMatter, text: str, *, changed: str) -> bytes:
    """Never write a file in which our edit changed what another key says, however strange the YAML is."""
    data = before.encode(text)
    after = front_matter.read(data)
    mine = {name: _meaning(entry.value) for name, entry in after.entries.items() if name != changed}
    theirs = {name: _meaning(entry.value) for name, entry in before.entries.items() if name != changed}
    if mine != theirs or before.text[before.body :] != after.text[after.body :]:
        entry = before.entries.get(changed)
        raise Malformed(
            entry.line if entry else 1, f"'{changed}' cannot be changed safely; write it as '{changed}: word'"
        )
    return data


def _meaning(value: Value) -> object:
    items = tuple(_meaning(item) for item in value.items)
    return value.kind, value.text, value.empty, items, {name: _meaning(part) for name, part in value.entries.items()}


class _Reading:
    """Takes the values out of one head and collects what is wrong with them."""

    def __init__(self, front: FrontMatter) -> None:
        self._front = front
        self._notes: list[Note] = []

    def ticket(self, identifier: str) -> TicketFile:
        title, state = self._required("title"), self._required("state")
        created = self._created()
        body = self._front.text[self._front.body :].replace("\r\n", "\n").strip()
        return TicketFile(
            identifier=identifier,
            title=title,
            state=self._state(state),
            description=body or None,
            priority=self._priority(),
            labels=self._labels(),
            assignee=self._text("assignee"),
            blocked_by=self._blocked_by(),
            parent=self._parent(),
            created_at=created.isoformat() if created else None,
            created_ms=int(created.timestamp() * 1000) if created else None,
            claim=self._claim(),
            notes=tuple(self._notes),
            lines={name: entry.line for name, entry in self._front.entries.items()},
        )

    def _value(self, key: str) -> Value | None:
        """None when the key is missing or has no value."""
        entry = self._front.entries.get(key)
        return None if entry is None or entry.value.empty else entry.value

    def _note(self, line: int, message: str) -> None:
        self._notes.append(Note(line=line, message=message))

    def _required(self, key: str) -> str:
        entry, value = self._front.entries.get(key), self._value(key)
        if entry is None or value is None:
            raise Malformed(entry.line if entry else 1, f"'{key}' is missing; add a line '{key}: ...'")
        if value.kind != "text" or not value.text.strip():
            raise Malformed(value.line, f"'{key}' must be text")
        text = encodable(value.text)
        if text.count("\ufffd") > value.text.count("\ufffd"):
            raise Malformed(
                value.line, f"'{key}' holds half a character (an escape such as \\ud83d); write the character"
            )
        return " ".join(text.split())

    def _state(self, state: str) -> str:
        entry = self._front.entries["state"]
        if "\n" in self._front.text[entry.value.start : entry.value.end] or len(state) > _STATE_CHARACTERS_MAX:
            raise Malformed(entry.line, f"'state' must stand on one line, at most {_STATE_CHARACTERS_MAX} characters")
        return state

    def _text(self, key: str) -> str | None:
        value = self._value(key)
        if value is None:
            return None
        if value.kind != "text":
            self._note(value.line, f"'{key}' must be text; it is taken as empty")
            return None
        return " ".join(encodable(value.text).split()) or None

    def _priority(self) -> int | None:
        text = self._text("priority")
        if text is None or text in {"1", "2", "3", "4"}:
            return None if text is None else int(text)
        self._note(self._front.entries["priority"].line, "'priority' must be 1 (most urgent) to 4; it is taken as none")
        return None

    def _words(self, key: str) -> tuple[list[str], bool]:
        """A list, or text with commas; and whether all of it could be read."""
        value = self._value(key)
        if value is None:
            return [], True
        if value.kind == "text":
            parts, good = value.text.split(","), True
        else:
            parts = [item.text for item in value.items if item.kind == "text" and not item.empty]
            good = value.kind == "list" and all(item.kind == "text" for item in value.items)
        words = [" ".join(encodable(part).split()) for part in parts]
        return list(dict.fromkeys(word for word in words if word)), good

    def _labels(self) -> tuple[str, ...]:
        words, good = self._words("labels")
        if not good:
            self._note(self._front.entries["labels"].line, "'labels' must be a list of words; the others are left out")
        return tuple(dict.fromkeys(word.lower() for word in words))

    def _blocked_by(self) -> tuple[str, ...]:
        words, good = self._words("blocked_by")
        if good:
            return tuple(words)
        # A blocker that we cannot read is still a blocker: dropping it would start work too early.
        self._note(
            self._front.entries["blocked_by"].line,
            "'blocked_by' must be a list of ticket names; the ticket waits until that is corrected",
        )
        return (*words, UNREADABLE)

    def _parent(self) -> str | None:
        return self._text("parent")

    def _created(self) -> datetime | None:
        text = self._text("created")
        if text is None:
            return None
        try:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
            at.timestamp()
        except (ValueError, OverflowError):
            self._note(
                self._front.entries["created"].line,
                "'created' must be a date such as 2026-01-31 or 2026-01-31T09:00:00Z; it is taken as none",
            )
            return None
        return at

    def _claim(self) -> Claim | None:
        value = self._value("claim")
        if value is None:
            return None
        parts = {
            name: encodable(part.text) for name, part in value.entries.items() if part.kind == "text" and not part.empty
        }
        numbers = [parts.get("generation", ""), parts.get("heartbeat_ms", "")]
        if not parts.get("instance") or not all(re.fullmatch(r"[0-9]{1,15}", number, re.ASCII) for number in numbers):
            self._note(value.line, "'claim' is written by OpenSymphony and cannot be read; it counts as no claim")
            return None
        return Claim(instance=parts["instance"], generation=int(numbers[0]), heartbeat_ms=int(numbers[1]))
