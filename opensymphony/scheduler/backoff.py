"""When to try again."""

from __future__ import annotations


def retry_delay_ms(failures: int, jitter: float, *, first_ms: int, max_ms: int) -> int:
    """Exponential, capped, with full jitter over its upper half.

    `failures` counts from 1; `jitter` lies in [0, 1). The lower half is kept so that a delay is never next to nothing.
    """
    ceiling = min(first_ms * 2 ** min(max(failures, 1) - 1, 20), max_ms)
    return int(ceiling / 2 + ceiling / 2 * jitter)
