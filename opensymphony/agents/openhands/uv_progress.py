"""From uv's narration to a share of the work done.

In: uv's lines, and the growing environment. Out: an `InstallProgress` for each change.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import anyio
import anyio.to_thread
from msgspec import Struct

Phase = Literal["waiting", "preparing", "downloading", "installing", "compiling", "finishing"]

# Where each phase ends, as a share of the time of a first installation (25 s on two cores: 4 s to download, 1 s to
# copy, 19 s to compile). With everything in uv's cache the first is skipped.
_DOWNLOADED, _INSTALLED, _COMPILED = 0.25, 0.30, 0.97
_LOOK_SECONDS = 1.0
_UNITS = {"B": 1 / 1_048_576, "KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}


class InstallProgress(Struct, frozen=True, kw_only=True):
    """How far an installation is."""

    phase: Phase
    share: float | None = None
    """Of the whole installation, 0 to 1, never smaller than before; None while it waits for another one."""
    detail: str = ""
    """What, and how much of how much."""


class Narration:
    """Follows one `uv pip install`."""

    def __init__(self, environment: Path, report: Callable[[InstallProgress], None]) -> None:
        self._environment = environment
        self._report = report
        self._share = 0.0
        self._phase: Phase = "downloading"
        self._packages = 0
        self._sizes: dict[str, float] = {}
        self._arrived: set[str] = set()

    def hear(self, line: str) -> None:
        """Take in one line of uv's standard error; what it does not know changes nothing."""
        if match := re.match(r"Resolved (\d+) package", line):
            self._packages = int(match[1])
            self._tell("downloading", 0.02, f"{self._packages} packages")
        elif match := re.match(r"\s*Downloading (\S+) \(([\d.]+)(B|KiB|MiB|GiB)\)", line):
            self._sizes[match[1]] = float(match[2]) * _UNITS[match[3]]
            self._downloading()
        elif match := re.match(r"\s*Downloaded (\S+)", line):
            self._arrived.add(match[1])
            self._downloading()
        elif re.match(r"Prepared \d+ package", line):
            self._tell("installing", _DOWNLOADED, f"{self._packages} packages")
        elif re.match(r"Installed \d+ package", line):
            self._tell("compiling", _INSTALLED, "bytecode")

    def _downloading(self) -> None:
        """Only packages above a megabyte are announced, all of them at the beginning."""
        whole = sum(self._sizes.values())
        here = sum(size for name, size in self._sizes.items() if name in self._arrived)
        self._tell("downloading", 0.02 + (_DOWNLOADED - 0.02) * here / whole, f"{here:.0f} of {whole:.0f} MiB")

    async def watch(self) -> None:
        """Look at what has appeared while uv says nothing, until cancelled."""
        while True:
            await anyio.sleep(_LOOK_SECONDS)
            if self._phase == "compiling":
                sources, compiled = await anyio.to_thread.run_sync(_count, self._environment)
                part = min(1.0, compiled / sources) if sources else 0.0
                self._tell("compiling", _INSTALLED + (_COMPILED - _INSTALLED) * part, f"{compiled} of {sources} files")
            elif self._phase == "installing" and self._packages:
                done = len(list(self._environment.glob("lib/python*/site-packages/*.dist-info")))
                part = min(1.0, done / self._packages)
                detail = f"{done} of {self._packages} packages"
                self._tell("installing", _DOWNLOADED + (_INSTALLED - _DOWNLOADED) * part, detail)

    def _tell(self, phase: Phase, share: float, detail: str) -> None:
        self._phase = phase
        self._share = max(self._share, share)
        self._report(InstallProgress(phase=phase, share=self._share, detail=detail))


def _count(environment: Path) -> tuple[int, int]:
    """Python sources, and how many of them are compiled."""
    sources = compiled = 0
    for _, _, names in os.walk(environment):
        for name in names:
            sources += name.endswith(".py")
            compiled += name.endswith(".pyc")
    return sources, compiled
