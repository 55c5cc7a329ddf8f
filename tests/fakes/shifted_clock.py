"""A clock that a test puts forward."""

from __future__ import annotations

from opensymphony.clock import Clock


class Shifted(Clock):
    """Runs as always, ahead of it by what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.shift_ms = 0
        self.step_ms = 0
        """How much each look at the clock takes."""

    def now_ms(self) -> int:
        self.shift_ms += self.step_ms
        return super().now_ms() + self.shift_ms

    def wall_ms(self) -> int:
        return super().wall_ms() + self.shift_ms
