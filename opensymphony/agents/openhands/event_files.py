"""The log of a conversation as the agent-server has it on disk: read without a server, also while one writes it.

An agent may be able to write there: the directory is held open and no link is followed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from heapq import nlargest
from pathlib import Path

_FILE = re.compile(r"event-\d{1,15}-[0-9a-f-]+\.json")
_EVENT_BYTES_MAX = 64 * 1024 * 1024


class EventFiles:
    """One conversation's directory."""

    def __init__(self, conversation: Path) -> None:
        self._events = conversation / "events"

    def numbers(self, after: int = -1) -> list[tuple[int, str]]:
        """Number and name of every event behind one, in order. Empty when the directory is gone."""
        return behind(self.listed(), after)

    def listed(self) -> list[tuple[int, str]]:
        """What looks like an event, in any order: of a hundred thousand most are never looked at more closely."""
        try:
            with self._opened() as directory:
                names = os.listdir(directory)
        except OSError:
            return []
        return [
            (int(digits), name)
            for name in names
            if name.startswith("event-") and (digits := name[6 : name.find("-", 6)]).isdecimal() and len(digits) < 16
        ]

    def read(self, found: list[tuple[int, str]]) -> Iterator[tuple[int, bytes]]:
        """Number and content of each. One that is only begun ends the list: the next look reads it whole."""
        for number, name in found:
            content = self.content(name)
            if content is None:
                continue
            if not is_whole(content):
                return
            yield number, content

    def content(self, name: str) -> bytes | None:
        """What stands in one of them, the first 64 MB; None for one that is gone, or is no ordinary file."""
        try:
            with self._opened() as directory:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(name, flags, dir_fd=directory)
            with os.fdopen(descriptor, "rb") as file:
                return file.read(_EVENT_BYTES_MAX) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
        except OSError:
            return None

    @contextmanager
    def _opened(self) -> Generator[int]:
        directory = os.open(self._events, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield directory
        finally:
            os.close(directory)


def behind(listed: list[tuple[int, str]], after: int) -> list[tuple[int, str]]:
    """The events with a larger number, in order."""
    return sorted(one for one in listed if one[0] > after and _FILE.fullmatch(one[1]))


def newest(listed: list[tuple[int, str]], count: int, before: int | None) -> list[tuple[int, str]]:
    """The last events before one, newest first."""
    wanted = listed if before is None else [one for one in listed if one[0] < before]
    return [one for one in nlargest(count, wanted) if _FILE.fullmatch(one[1])]


def is_whole(content: bytes) -> bool:
    """Whether the server has written it to its end."""
    return content.rstrip().endswith(b"}")
