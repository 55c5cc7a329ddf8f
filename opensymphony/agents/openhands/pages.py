"""A conversation's transcript page by page: no more of its log is read than the page needs.

In: the conversation's directory, and where the page begins or ends. Out: entries, and the numbers with which to go on. An
event's entries stay together, so that a page can have one or two more than were asked for. Every text is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct, structs

from opensymphony.agents.openhands.event_files import EventFiles, behind, is_whole, newest
from opensymphony.agents.openhands.transcript import entries
from opensymphony.views import TranscriptEntry

FIELD_CHARS_MAX = 20_000
_PAGE_CHARS_MAX = 2_000_000
_READ_BYTES_MAX = 64 * 1024 * 1024
"""Of events that a page looks at; one at least is read."""
_EVENTS_MAX = 5_000
_TEXTS = tuple(one.name for one in structs.fields(TranscriptEntry) if one.default == "")


class Page(Struct, frozen=True, kw_only=True):
    """Entries, oldest first."""

    entries: tuple[TranscriptEntry, ...]
    before: int | None
    """What is older begins below it; None when nothing is."""
    after: int
    """What is newer begins above it."""


def read_page(
    conversation: Path,
    *,
    limit: int,
    before: int | None = None,
    after: int | None = None,
    clean: Callable[[str], str] = str,
) -> Page:
    """The newest entries, those before an event, or the first after one. `clean` takes out of a text what nobody may see.

    What is still being written is not in it, and comes with a later page. Blocking; never raises for what is in the log.
    """
    files = EventFiles(conversation)
    listed = files.listed()
    wanted = behind(listed, after) if after is not None else newest(listed, _EVENTS_MAX + 1, before)
    last = max(wanted, default=(-1, ""))[0] if before is None else -1
    taken: list[tuple[TranscriptEntry, ...]] = []
    lowest, highest = math.inf, -1
    left = _Left(limit)
    for number, told, size in _told(files, wanted, last, clean):
        if taken and not left.has_room(told, size):
            break
        left.take(told, size)
        taken.append(told)
        lowest, highest = min(lowest, number), max(highest, number)
    if after is None:
        taken.reverse()
    if not taken:  # what was asked for lies behind the end, or before the beginning
        highest = after if after is not None else (before or 0) - 1
        lowest = highest + 1
    first = min(listed, default=(lowest, ""))[0]
    return Page(
        entries=tuple(entry for told in taken for entry in told),
        before=int(lowest) if first < lowest else None,
        after=highest,
    )


class _Left:
    """What a page still has room for."""

    def __init__(self, limit: int) -> None:
        self._entries, self._chars, self._bytes, self._events = limit, _PAGE_CHARS_MAX, _READ_BYTES_MAX, _EVENTS_MAX

    def has_room(self, told: tuple[TranscriptEntry, ...], size: int) -> bool:
        return len(told) <= self._entries and _chars(told) <= self._chars and size <= self._bytes and self._events > 0

    def take(self, told: tuple[TranscriptEntry, ...], size: int) -> None:
        self._entries -= len(told)
        self._chars -= _chars(told)
        self._bytes -= size
        self._events -= 1


def _told(
    files: EventFiles, wanted: Sequence[tuple[int, str]], last: int, clean: Callable[[str], str]
) -> Iterator[tuple[int, tuple[TranscriptEntry, ...], int]]:
    for number, name in wanted:
        content = files.content(name)
        if content is not None and not is_whole(content) and number == last:
            continue  # it is being written
        raw = content if content is not None else b""
        yield number, tuple(_bounded(entry, clean) for entry in entries(number, raw)), len(raw)


def _bounded(entry: TranscriptEntry, clean: Callable[[str], str]) -> TranscriptEntry:
    changed: dict[str, str] = {}
    for name in _TEXTS:
        text: str = getattr(entry, name)
        if text:
            cleaned = clean(text)
            changed[name] = cleaned if len(cleaned) <= FIELD_CHARS_MAX else _cut(cleaned)
    return structs.replace(entry, **changed)


def _cut(text: str) -> str:
    """The beginning and the end of a long text, and how much is between them."""
    head, tail = FIELD_CHARS_MAX * 3 // 4, FIELD_CHARS_MAX // 4
    return f"{text[:head]}\n[... {len(text) - head - tail:,} characters left out ...]\n{text[-tail:]}"


def _chars(told: tuple[TranscriptEntry, ...]) -> int:
    return sum(len(getattr(entry, name)) for entry in told for name in _TEXTS)
