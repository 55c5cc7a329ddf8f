"""The log of a conversation as the agent-server has it on disk: read without a server, also while one writes it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_FILE = re.compile(r"event-(\d+)-[0-9a-f-]+\.json")
_EVENT_BYTES_MAX = 64 * 1024 * 1024


class EventFiles:
    """One conversation's directory."""

    def __init__(self, conversation: Path) -> None:
        self._events = conversation / "events"

    def numbers(self, after: int = -1) -> list[tuple[int, str]]:
        """Number and name of every event behind one, in order. Empty when the directory is gone."""
        try:
            names = os.listdir(self._events)
        except OSError:
            return []
        found = [(int(match[1]), name) for name in names if (match := _FILE.fullmatch(name))]
        return sorted(one for one in found if one[0] > after)

    def read(self, found: list[tuple[int, str]]) -> Iterator[tuple[int, bytes]]:
        """Number and content of each. One that is only begun ends the list: the next look reads it whole."""
        for number, name in found:
            try:
                descriptor = os.open(self._events / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError:
                continue
            with os.fdopen(descriptor, "rb") as file:
                content = file.read(_EVENT_BYTES_MAX)
            if not content.rstrip().endswith(b"}"):
                return
            yield number, content
