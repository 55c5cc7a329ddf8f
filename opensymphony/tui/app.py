"""The application: holds the connection, and shows the board."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Literal

from rich.text import Text
from textual.app import App
from textual.binding import Binding, BindingType

from opensymphony.api.client import NoAnswer, request_refresh
from opensymphony.clock import Clock
from opensymphony.errors import InstanceError
from opensymphony.tui import grouping
from opensymphony.tui.actions import Asking, Request, Wish, outdated, wish, wish_for_all
from opensymphony.tui.blocks import BlockView
from opensymphony.tui.board import BoardScreen
from opensymphony.tui.connection import PAUSES_S, Connection, Link, Source, in_thread
from opensymphony.tui.dialogs import Dialog, Page, Said
from opensymphony.tui.header import problems
from opensymphony.tui.hints import help_lines
from opensymphony.tui.palette import DARK, LIGHT, THEMES
from opensymphony.tui.table import TicketTable
from opensymphony.tui.text import one_line, styled
from opensymphony.tui.ticket import TicketScreen
from opensymphony.views import Snapshot, TicketView

_DRAFTS_MAX = 50


_TICKET_KEYS: list[BindingType] = [
    Binding("a", "act('approve')", "approve what the agent asks for", show=False),
    Binding("d", "act('reject')", "reject it", show=False),
    Binding("m", "act('message')", "answer the agent, or tell it something", show=False),
    Binding("x", "act('stop')", "stop", show=False),
    Binding("R", "act('retry')", "retry", show=False),
    Binding("p", "act('pause')", "pause or resume it", show=False),
    Binding("o", "open('ticket')", "open it in a browser", show=False),
    Binding("O", "open('pull request')", "open its pull request in a browser", show=False),
    Binding("y", "copy", "copy its identifier", show=False),
]
_GENERAL_KEYS: list[BindingType] = [
    Binding("P", "pause_all", "pause or resume everything", show=False),
    Binding("r", "refresh", "look at the tracker now, and read everything anew", show=False),
    Binding("e", "problems", "show everything that is wrong", show=False),
    Binding("T", "theme", "dark or light", show=False),
    Binding("question_mark", "help", "these keys", show=False),
    Binding("q", "quit", "quit", show=False),
    Binding("ctrl+c", "quit", "quit, whatever is open", show=False, priority=True),
]


class OpenSymphony(App[None]):
    """The terminal interface to one daemon."""

    CSS_PATH = "app.tcss"
    TITLE = "OpenSymphony"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [*_TICKET_KEYS, *_GENERAL_KEYS]

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
        self.animation_level = "none"
        self.clock = clock or Clock()
        self.author = author
        self.connection = Connection(source, self._link_changed, self.clock, pauses_s=pauses_s, first=first)
        self._exit_after_s = exit_after_s
        self._told = False
        self._drafts: dict[str, str] = {}
        self.asking = Asking(source, author, self.clock)
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
        with suppress(NotImplementedError, RuntimeError, ValueError):  # another thread, or another system
            # Not SIGHUP: there is no terminal to be restored then, and none to write the last words to.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)

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
            if isinstance(screen, BoardScreen | TicketScreen):
                screen.refresh_picture()

    def tick(self) -> None:
        """What lasts has lasted a second longer."""
        for screen in self.screen_stack:
            if isinstance(screen, BoardScreen | TicketScreen):
                screen.tick()

    def open_ticket(self, view: TicketView) -> None:
        """Its page, over the board."""
        self.push_screen(TicketScreen(view))

    @property
    def chosen(self) -> TicketView | None:
        """The ticket that an action is about."""
        screen = self.screen
        return screen.ticket if isinstance(screen, BoardScreen | TicketScreen) else None

    def action_act(self, action: str) -> None:
        view = self.chosen
        wanted = wish(action, view)
        if isinstance(wanted, str):
            self.tell(wanted, "warning")
        else:
            self._confirm(wanted)

    def action_pause_all(self) -> None:
        snapshot = self.link.snapshot
        self._confirm(wish_for_all(self.paused, (snapshot and snapshot.paused_since_ms) or 0))

    def _confirm(self, wanted: Wish) -> None:
        place = f"{wanted.action} {wanted.identifier}"

        def answered(said: Said | str | None) -> None:
            if isinstance(said, Said):
                self.run_worker(self._carry_out(wanted, said, place))
            elif said is not None:
                self._keep_draft(place, said)

        self.push_screen(Dialog(wanted, draft=self._drafts.get(place, "")), answered)

    async def _carry_out(self, wanted: Wish, said: Said, place: str) -> None:
        request = Request(
            action=wanted.action,
            identifier=wanted.identifier,
            situation=wanted.situation,
            text=said.text,
            digest=wanted.digest,
            finish=said.choice.finish,
        )
        name = f"{wanted.identifier}: " if wanted.identifier is not None else ""
        self._keep_draft(place, said.text)
        why_not = outdated(wanted, self._newest(wanted))
        if why_not is not None:
            self.tell(f"{name}{why_not}", "error")
            return
        try:
            answer = await self.asking.ask(
                request, lambda: self.tell(f"{name}the answer was lost, asking again…", "warning")
            )
        except NoAnswer as error:
            self.tell(f"{name}{error}; it may have been done: look before you ask again", "error")
        except InstanceError as error:
            self.tell(f"{name}{error}", "error")
        else:
            if answer.accepted:
                self._drafts.pop(place, None)
            self.tell(f"{name}{answer.answer}", "information" if answer.accepted else "error")

    def _newest(self, wanted: Wish) -> TicketView | None:
        """The ticket as it is in the newest picture."""
        ticket_id, snapshot = wanted.situation.ticket_id, self.link.snapshot
        return grouping.find(snapshot.tickets, ticket_id) if snapshot is not None and ticket_id is not None else None

    def _keep_draft(self, place: str, text: str) -> None:
        self._drafts.pop(place, None)
        if text.strip():
            self._drafts[place] = text
            while len(self._drafts) > _DRAFTS_MAX:
                self._drafts.pop(next(iter(self._drafts)))

    def tell(self, text: str, severity: Literal["information", "warning", "error"] = "information") -> None:
        """Say something for a few seconds."""
        self.notify(one_line(text, 600), severity=severity, markup=False, timeout=8 if severity == "error" else 5)

    async def action_refresh(self) -> None:
        self.connection.retry()
        if isinstance(self.screen, TicketScreen):
            self.screen.reload()
        self.run_worker(self._refresh(), group="refresh", exclusive=True)

    async def _refresh(self) -> None:
        source = self.connection.source
        try:
            await in_thread(lambda: request_refresh(source.find()))
        except InstanceError as error:
            self.tell(str(error), "error")
        else:
            self.tell("the tracker is looked at now")

    def action_open(self, what: str) -> None:
        view = self.chosen
        if view is None:
            self.tell("no ticket is chosen", "warning")
            return
        url = view.url if what == "ticket" else view.pull_request.url if view.pull_request is not None else None
        if not url or not url.startswith(("https://", "http://")) or one_line(url) != url:
            self.tell(f"{view.identifier} has no address of a {what}", "warning")
        elif has_browser(os.environ, sys.platform):
            self.open_url(url)
        else:
            self.copy_to_clipboard(url)
            self.tell(f"there is no browser here: {url} is copied")

    def action_copy(self) -> None:
        view = self.chosen
        if view is not None:
            name = one_line(view.identifier)
            self.copy_to_clipboard(name)
            self.tell(f"copied {name}")

    def action_problems(self) -> None:
        found = problems(self.link, self.clock_ms)
        shown = [styled(f"✗ {one_line(problem)}", "bad") for problem in found] or [Text("nothing is wrong")]
        self.push_screen(Page("What is wrong", shown))

    def action_help(self) -> None:
        self.push_screen(Page("Keys", help_lines(KEYS)))

    def action_theme(self) -> None:
        self.theme = LIGHT if self.theme == DARK else DARK
        self._look()
        if isinstance(self.screen, TicketScreen):
            self.screen.relay()

    def _fatal_error(self) -> None:
        """Textual would print a page of locals, the token's among them."""
        error = sys.exc_info()[1]
        told = one_line(f"opensymphony: the terminal interface has a defect: {error!r}")
        self._exit_renderables.append(Text(told))
        self._close_messages_no_wait()


def has_browser(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a page can be opened beside the terminal; a browser of text in it would take the screen away."""
    return platform == "darwin" or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


KEYS: Sequence[tuple[str, Sequence[BindingType]]] = (
    ("On the board", [*TicketTable.BINDINGS, *BoardScreen.BINDINGS]),
    ("On a ticket's page", [*TicketScreen.BINDINGS, *BlockView.BINDINGS]),
    ("About the ticket", _TICKET_KEYS),
    ("Everywhere", _GENERAL_KEYS),
)
"""Every key with its meaning, for the help page and docs/tui.md."""
