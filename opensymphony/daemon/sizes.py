"""How much is on the disk: walks that follow no link, leave no file system, and end after a time or a number of entries."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from opensymphony.clock import Clock

ENTRIES_MAX = 500_000
SECONDS_MAX = 10.0
_LOOK_EVERY = 256


class Size(Struct, frozen=True, kw_only=True):
    """What a walk saw of a file or a directory."""

    bytes: int = 0
    entries: int = 0
    newest_ms: int = 0
    """When something in it last changed."""
    whole: bool = True
    """False when the walk was cut short, so that the figures are the least that it can be."""

    def __add__(self, other: Size) -> Size:
        return Size(
            bytes=self.bytes + other.bytes,
            entries=self.entries + other.entries,
            newest_ms=max(self.newest_ms, other.newest_ms),
            whole=self.whole and other.whole,
        )


def measure(
    path: Path | str, clock: Clock, *, entries_max: int = ENTRIES_MAX, seconds_max: float = SECONDS_MAX
) -> Size:
    """Add up a file or a directory with all that is in it; what is not there has no size. Blocking; never raises."""
    ends_ms = clock.now_ms() + round(seconds_max * 1000)
    try:
        top = os.lstat(path)
    except OSError:
        return Size()
    total, entries, newest_ns, whole = top.st_size, 1, top.st_mtime_ns, True
    pending = [os.fspath(path)] if os.path.isdir(path) and not os.path.islink(path) else []
    while pending and whole:
        try:
            with os.scandir(pending.pop()) as found:
                for entry in found:
                    about = entry.stat(follow_symlinks=False)
                    total += about.st_size
                    newest_ns = max(newest_ns, about.st_mtime_ns)
                    entries += 1
                    if entry.is_dir(follow_symlinks=False) and about.st_dev == top.st_dev:
                        pending.append(entry.path)
                    if entries >= entries_max or (entries % _LOOK_EVERY == 0 and clock.now_ms() >= ends_ms):
                        whole = False
                        break
        except OSError:  # it went away under us, or is not ours to read
            continue
    return Size(bytes=total, entries=entries, newest_ms=newest_ns // 1_000_000, whole=whole)


def shown(size: Size | int) -> str:
    """For people: `1.2 GB`, and `at least` where the walk was cut short."""
    number = float(size if isinstance(size, int) else size.bytes)
    unit = "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            break
        number /= 1000
    text = f"{number:.0f} {unit}" if unit in ("B", "kB") else f"{number:.1f} {unit}"
    return text if isinstance(size, int) or size.whole else f"at least {text}"
