"""Writes tests/tui/snapshots/*.txt and docs/images/tui-*.svg anew: `python -m tests.tui.record`."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import anyio
from msgspec import structs

from opensymphony.views import Snapshot
from tests.tui import scenes
from tests.tui.screens import Seat, seated

SNAPSHOTS = Path(__file__).with_name("snapshots")
IMAGES = Path(__file__).parents[2] / "docs" / "images"


class Shot(NamedTuple):
    """One screen."""

    picture: Snapshot
    size: tuple[int, int] = (100, 30)
    go: Callable[[Seat], Awaitable[None]] | None = None
    image: bool = False


def keys(*pressed: str, sees: str = "") -> Callable[[Seat], Awaitable[None]]:
    async def go(seat: Seat) -> None:
        for key in pressed:
            await seat.press(key)
        await seat.sees(*([sees] if sees else []))

    return go


async def _end(seat: Seat) -> None:
    await seat.house.close()
    await seat.sees("disconnected since 22:13:20", "retrying in")


SHOTS = {
    "idle": Shot(scenes.IDLE),
    "busy": Shot(scenes.BUSY, (120, 30), image=True),
    "waiting": Shot(scenes.WAITING),
    "disconnected": Shot(scenes.BUSY, (100, 24), _end, image=True),
    "hostile": Shot(scenes.HOSTILE),
    "narrow-80": Shot(scenes.BUSY, (80, 24)),
    "narrow-60": Shot(scenes.BUSY, (60, 20)),
    "narrow-40": Shot(scenes.BUSY, (40, 16), image=True),
    "low-10": Shot(scenes.BUSY, (60, 10)),
    "filtered": Shot(scenes.BUSY, go=keys("slash", *"phase:running -zürich", "enter")),
    "overview": Shot(scenes.BUSY, (100, 34), keys("enter", sees="conditions on starting it"), image=True),
    "transcript": Shot(scenes.BUSY, (100, 34), keys("j", "j", "enter", "2", sees="I look at them next"), image=True),
    "timeline": Shot(scenes.BUSY, go=keys("j", "j", "enter", "3", sees="run 1 started")),
    "changes": Shot(scenes.BUSY, go=keys("j", "j", "enter", "4", sees="notes.txt"), image=True),
    "checks": Shot(scenes.BUSY, (100, 40), keys("j", "j", "enter", "5", sees="41 passed")),
    "cost": Shot(scenes.BUSY, go=keys("j", "j", "enter", "6", sees="model calls")),
    "ticket-40": Shot(scenes.BUSY, (40, 12), keys("enter", sees="the agent asks")),
    "approve": Shot(scenes.BUSY, (90, 24), keys("j", "a", sees="exactly this, once"), image=True),
    "message": Shot(scenes.BUSY, (90, 24), keys("m", *"Read it.", sees="Send (Ctrl+S)")),
    "stop": Shot(scenes.BUSY, (60, 16), keys("j", "j", "x", sees="Stop SHOP-118?")),
    "help": Shot(scenes.BUSY, (90, 40), keys("question_mark", sees="On the board")),
    "problems": Shot(structs.replace(scenes.WAITING, storage_error="the disk is full"), go=keys("e", sees="What is")),
}


async def lines_of(name: str, store: Path, image: Path | None = None) -> list[str]:
    """What is on that screen."""
    shot = SHOTS[name]
    async with seated(store, shot.picture, size=shot.size, pauses_s=(60.0,)) as seat:
        if shot.go is not None:
            await shot.go(seat)
        if image is not None:
            image.write_text(_picture(seat))
        return seat.lines


def _picture(seat: Seat) -> str:
    """As SVG, without the fonts that would be fetched from elsewhere."""
    return re.sub(r"@font-face \{.*?\}\s*", "", seat.app.export_screenshot(title="opensymphony tui"), flags=re.DOTALL)


async def _record() -> None:
    IMAGES.mkdir(exist_ok=True)
    SNAPSHOTS.mkdir(exist_ok=True)
    for old in [*SNAPSHOTS.glob("*.txt"), *IMAGES.glob("tui-*.svg")]:
        old.unlink()
    for name, shot in SHOTS.items():
        with tempfile.TemporaryDirectory() as directory:
            image = IMAGES / f"tui-{name}.svg" if shot.image else None
            lines = await lines_of(name, Path(directory), image)
            (SNAPSHOTS / f"{name}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    time.tzset()
    anyio.run(_record)
