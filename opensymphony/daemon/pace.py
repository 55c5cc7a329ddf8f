"""When the tracker is looked at next: in what has happened and what time it is, out a time. Reads no clock itself.

- Two intervals long after something has happened, the shortest time that the policy allows: more will follow.
- While something is at work, and for twenty intervals after, the ordinary one.
- After that it grows with the quiet, up to the longest time that the policy allows.
- After a poll that failed, the ordinary one, doubled with each further failure, up to the longest; the first success ends that.
- A pause that the tracker asks for is kept to the end, whoever asks for a look meanwhile.
"""

from __future__ import annotations

from opensymphony.workflow.policy import PollingPolicy

_SOON = 2
_QUIET = 20
"""In ordinary intervals: at the default of half a minute, one minute and ten."""
_SHORTEST = 3
_LONGEST = 4
_JITTER = 0.1
PAUSE_MAX_MS = 24 * 60 * 60 * 1000
"""A tracker that asks for more than a day is mistaken."""


class Pace:
    """What one poller remembers between two looks."""

    def __init__(self, now_ms: int) -> None:
        self.due_ms = now_ms
        """When the next look is due."""
        self.held_until_ms = 0
        """Until then the tracker asked not to be asked."""
        self._stirred_ms = now_ms
        self._failures = 0

    def stirred(self, now_ms: int, polling: PollingPolicy, jitter: float) -> bool:
        """Something has happened. Whether the next look is sooner for it."""
        self._stirred_ms = now_ms
        sooner_ms = self._at(now_ms, shortest_ms(polling), polling, jitter)
        if self._failures or sooner_ms >= self.due_ms:
            return False
        self.due_ms = sooner_ms
        return True

    def succeeded(self, now_ms: int, polling: PollingPolicy, *, busy: bool, jitter: float) -> None:
        """A look came to its end. `busy`: something is at work or will go on by itself."""
        self._failures = 0
        quiet_ms = now_ms - self._stirred_ms
        if quiet_ms < _SOON * polling.interval_ms:
            wanted_ms = shortest_ms(polling)
        elif busy:
            wanted_ms = polling.interval_ms
        else:
            wanted_ms = max(polling.interval_ms, quiet_ms // _QUIET)
        self.due_ms = self._at(now_ms, wanted_ms, polling, jitter)

    def failed(self, now_ms: int, polling: PollingPolicy, *, pause_ms: int | None, jitter: float) -> None:
        """A look failed. `pause_ms` is what the tracker asked for."""
        wanted_ms = polling.interval_ms * 2 ** min(self._failures, 30)
        self._failures += 1
        if pause_ms is not None:
            self.hold(now_ms, pause_ms)
        self.due_ms = self._at(now_ms, wanted_ms, polling, jitter)

    def hold(self, now_ms: int, pause_ms: int) -> None:
        """The tracker asked for a pause; a shorter one does not end a longer one."""
        self.held_until_ms = max(self.held_until_ms, now_ms + min(max(pause_ms, 0), PAUSE_MAX_MS))
        self.due_ms = max(self.due_ms, self.held_until_ms)

    def asked(self, now_ms: int) -> int:
        """Somebody wants a look now. When it will be: now, or at the end of the pause."""
        self.due_ms = max(now_ms, self.held_until_ms)
        return self.due_ms

    def _at(self, now_ms: int, wanted_ms: int, polling: PollingPolicy, jitter: float) -> int:
        """Spread by a tenth, so that daemons on one tracker do not fall into step; within all bounds."""
        shortest, longest = shortest_ms(polling), longest_ms(polling)
        wanted_ms = min(max(wanted_ms, shortest), longest)
        low = max(shortest, round(wanted_ms * (1 - _JITTER)))
        high = min(longest, round(wanted_ms * (1 + _JITTER)))
        return max(now_ms + low + int((high - low) * jitter), self.held_until_ms)


def shortest_ms(polling: PollingPolicy) -> int:
    if polling.min_interval_ms is not None:
        return polling.min_interval_ms
    return max(1, polling.interval_ms // _SHORTEST)


def longest_ms(polling: PollingPolicy) -> int:
    if polling.max_interval_ms is not None:
        return polling.max_interval_ms
    return polling.interval_ms * _LONGEST
