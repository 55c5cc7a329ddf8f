"""The application: holds the connection, and shows the board."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from typing import ClassVar

from rich.text import Text
from textual.app import App
from textual.binding import Binding, BindingType

from opensymphony.clock import Clock
from opensymphony.tui.board import BoardScreen
from opensymphony.tui.connection import PAUSES_S, Connection, Link, Source
from opensymphony.tui.palette import DARK, LIGHT, THEMES
from opensymphony.views import Snapshot, TicketView


class OpenSymphony(App[None]):
    """The terminal interface to one daemon."""

    CSS_PATH = "app.tcss"
    TITLE = "OpenSymphony"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit", show=False),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
        Binding("T", "theme", "dark or light", show=False),
    ]

    def __init__(
        self,
        source: Source,
        *,
        clock: Clock | None = None,
        first: Snapshot | None = None,
        exit_after_s: float | None = None,
        author: str = "",
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        """`first`: the picture that was fetched already. `author`: who asks, as the daemon writes it down."""
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK
        self.clock = clock or Clock()
        self.author = author
        self.connection = Connection(source, self._link_changed, self.clock, pauses_s=pauses_s, first=first)
        self._exit_after_s = exit_after_s
        self._told = False
        self.board = BoardScreen()

    @property
    def link(self) -> Link:
        return self.connection.link

    @property
    def clock_ms(self) -> int:
        return self.clock.now_ms()

    @property
    def now_ms(self) -> int:
        """The daemon's time."""
        return self.link.now_ms(self.clock_ms)

    @property
    def paused(self) -> bool:
        """Whether everything is."""
        return self.link.snapshot is not None and self.link.snapshot.paused

    def on_mount(self) -> None:
        self.push_screen(self.board)
        self.connection.start()
        self.set_interval(1, self.tick)
        if self._exit_after_s is not None:
            self.set_timer(self._exit_after_s, self.exit)
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError, RuntimeError, ValueError):  # another thread, or another system
                asyncio.get_running_loop().add_signal_handler(number, self.exit)

    def on_unmount(self) -> None:
        self.connection.stop()

    def _link_changed(self) -> None:
        """In the thread of the connection; however many pictures come, one look is due."""
        if not self._told:
            self._told = True
            with suppress(Exception):  # it is just ending
                self.call_later(self._look)

    def _look(self) -> None:
        self._told = False
        for screen in self.screen_stack:
            if isinstance(screen, BoardScreen):
                screen.refresh_picture()

    def tick(self) -> None:
        """What lasts has lasted a second longer."""
        for screen in self.screen_stack:
            if isinstance(screen, BoardScreen):
                screen.tick()

    def open_ticket(self, view: TicketView) -> None:
        pass

    def action_theme(self) -> None:
        self.theme = LIGHT if self.theme == DARK else DARK
        self._look()

    def _fatal_error(self) -> None:
        """Textual would print a page of locals, the token's among them."""
        error = sys.exc_info()[1]
        self._exit_renderables.append(Text(f"opensymphony: the terminal interface has a defect: {error!r}"))
        self._close_messages_no_wait()
