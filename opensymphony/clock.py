"""The only module that reads time, draws random numbers and makes new ids."""

from __future__ import annotations

import random
import secrets
import time
import uuid
from datetime import UTC, datetime
from zoneinfo import ZoneInfo


class Clock:
    """Milliseconds since the epoch that never run backwards, whatever is done to the machine's clock.

    Wall time is read once and monotonic time added to it. `not_before_ms` continues a journal whose last record is younger
    than this machine's present wall time.
    """

    def __init__(self, not_before_ms: int = 0) -> None:
        self._offset_ms = max(int(time.time() * 1000), not_before_ms) - int(time.monotonic() * 1000)

    def now_ms(self) -> int:
        return self._offset_ms + int(time.monotonic() * 1000)

    def wall_ms(self) -> int:
        """What the machine's clock says right now, which may jump: for calendars, not for durations or order."""
        return int(time.time() * 1000)

    def jitter(self) -> float:
        """A number in [0, 1)."""
        return random.random()


def iso(at_ms: int) -> str:
    """UTC, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_time_zone(name: str) -> bool:
    """Whether the time zone database of this machine, or the one that came with us, has it."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def new_id() -> str:
    return uuid.uuid4().hex


def new_secret() -> str:
    """256 bits, printable."""
    return secrets.token_urlsafe(32)
