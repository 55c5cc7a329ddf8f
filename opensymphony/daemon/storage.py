"""Looks at the free space of the disks that the daemon needs, and says when one is nearly full.

Below the limit nothing new starts, so that what runs has room to end. A disk that is full all the same is seen to by
`daemon/loop.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.to_thread

from opensymphony.clock import Clock
from opensymphony.daemon.loop import Post
from opensymphony.logs import get_logger
from opensymphony.scheduler.events import StorageNoted

_LOOK_EVERY_S = 30

_FREE_BYTES_MIN = 512 * 1024 * 1024
"""Room for the clones, builds and records of what runs already."""
_FREE_SHARE_MIN = 20
"""On a small disk a twentieth of it is enough."""
_WELL_AGAIN = 1.25
"""So far above the limit it must be to be called well: work that uses and frees space would start and stop it for ever."""

log = get_logger(__name__)


class StorageWatch:
    """Posts `StorageNoted` whenever what there is to say about the disks has changed."""

    def __init__(self, places: Mapping[str, Path], post: Post, clock: Clock) -> None:
        """`places`: directories by what they are called in a sentence."""
        self._places = dict(places)
        self._post = post
        self._clock = clock
        self._short: set[str] = set()
        self._error: str | None = None

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await self.look()
            await anyio.sleep(_LOOK_EVERY_S)

    async def look(self) -> None:
        """Look once."""
        error = await anyio.to_thread.run_sync(self._trouble)
        if bool(error) == bool(self._error):
            return  # other figures are no news
        self._error = error
        if error is None:
            log.info("there is enough free space again")
        else:
            log.warning("nothing new starts, what runs goes on", error=error)
        await self._post(StorageNoted(at_ms=self._clock.now_ms(), error=error))

    def _trouble(self) -> str | None:
        found: list[str] = []
        for name, place in self._places.items():
            try:
                free, needed = free_space(place)
            except OSError as error:
                found.append(f"the disk of {name} {place} cannot be looked at ({error.strerror}): mend it")
                continue
            if free < needed * (_WELL_AGAIN if name in self._short else 1):
                self._short.add(name)
                found.append(
                    f"the disk of {name} {place} has {_megabytes(free)} left of the {_megabytes(needed)} that must be free: "
                    "free space on it"
                )
            else:
                self._short.discard(name)
        return "; ".join(found) or None


def free_space(place: Path) -> tuple[int, int]:
    """Bytes that are free for us on the disk of the directory, and how many must be. Raises `OSError`."""
    disk = os.statvfs(place)
    return disk.f_bavail * disk.f_frsize, min(_FREE_BYTES_MIN, disk.f_blocks * disk.f_frsize // _FREE_SHARE_MIN)


def _megabytes(amount: int) -> str:
    return f"{amount / 1_000_000:,.1f} MB"
