"""The terminal interface before a stand-in of the daemon: keys in, what is on the screen out."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup
from rich.console import Console
from textual.pilot import Pilot

from opensymphony.clock import Clock
from opensymphony.tui.app import OpenSymphony
from opensymphony.tui.connection import StoreSource
from opensymphony.views import Snapshot
from tests.tui import scenes
from tests.tui.stand_in import House, StandIn, served


class Still(Clock):
    """Time stands still until it is told to go on."""

    def __init__(self, ms: int = scenes.NOW_MS) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms


class Seat:
    """Somebody who sits before it."""

    def __init__(self, app: OpenSymphony, pilot: Pilot[Any], house: House, tasks: TaskGroup, clock: Still) -> None:
        self.app = app
        self.pilot = pilot
        self.house = house
        self.desk: StandIn = house.desk
        self.tasks = tasks
        self.clock = clock

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, holds: Callable[[], object]) -> None:
        """Until it holds; the test fails with what is on the screen when it never does."""
        try:
            with anyio.fail_after(25):
                while not holds():
                    await self.pilot.pause(0.02)
        except TimeoutError:
            raise AssertionError("never came to hold on this screen:\n" + "\n".join(self.lines)) from None
        await self.pilot.pause()

    async def sees(self, *texts: str) -> None:
        await self.until(lambda: all(text in self.text for text in texts))

    def show(self, **changes: Any) -> None:
        """The daemon shows another picture."""
        from msgspec import structs

        picture = self.desk.picture
        self.desk.show(structs.replace(picture, sequence=picture.sequence + 1, **changes))

    @property
    def lines(self) -> list[str]:
        """What is on the screen, without blanks at the ends of lines."""
        width, height = self.app.size
        console = Console(width=width, height=height, file=io.StringIO(), record=True, legacy_windows=False)
        console.print(self.app.screen._compositor.render_update(full=True, screen_stack=self.app._background_screens))
        return [line.rstrip() for line in console.export_text(styles=False).split("\n")][:height]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def told(self) -> list[str]:
        """Notifications, the oldest first."""
        return [one.message for one in self.app._notifications]

    def style_of(self, text: str) -> Any:
        """The style of the first place where this text stands."""
        for strip in self.app.screen._compositor.render_strips(self.app.size):
            for segment in strip:
                if text in segment.text:
                    return segment.style
        raise AssertionError(f"{text!r} is not on the screen")


@asynccontextmanager
async def seated(
    store: Path,
    picture: Snapshot = scenes.BUSY,
    *,
    size: tuple[int, int] = (100, 30),
    pauses_s: tuple[float, ...] = (0.05,),
) -> AsyncIterator[Seat]:
    """The application, connected, with the board on the screen."""
    clock = Still()
    async with served(StandIn(picture), store) as (house, tasks):
        app = OpenSymphony(StoreSource(str(store)), clock=clock, author="ana", pauses_s=pauses_s)
        async with app.run_test(size=size, notifications=True) as pilot:
            seat = Seat(app, pilot, house, tasks, clock)
            await seat.until(lambda: app.link.snapshot is not None)
            await seat.until(lambda: "live" in seat.text)
            yield seat
