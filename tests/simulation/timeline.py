"""Virtual time: what happens when, in order."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

START_MS = 1_800_000_000_000


class Timeline:
    """A heap of calls. Nothing waits: time jumps to the next one."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self._serial = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []

    def after(self, delay_ms: float, call: Callable[..., None], *args: Any) -> None:
        self._serial += 1
        heappush(self._heap, (self.now_ms + max(0, int(delay_ms)), self._serial, call, args))

    def run_one(self, until_ms: int) -> bool:
        """Do the next thing that is due until then; False when there is none, and time stands at `until_ms`."""
        if not self._heap or self._heap[0][0] > until_ms:
            self.now_ms = max(self.now_ms, until_ms)
            return False
        self.now_ms, _, call, args = heappop(self._heap)
        call(*args)
        return True
