"""What the demo shows while it runs: snapshots in, a live table on standard error out.

Where standard error is not a terminal (CI, a file), one plain line for each change. Standard output stays free for data.
"""

from __future__ import annotations

import shlex
from collections import deque
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from opensymphony.demo.board import DemoFiles
from opensymphony.demo.words import clean, clock_text, server_line, spent_ms, standing, tokens_text
from opensymphony.model import Phase, TicketId
from opensymphony.views import Snapshot, TicketView

_RECENT_MAX = 5
_NARROW = 64
"""Columns below which only what matters most is shown."""
_WIDE = 110
_STYLES: dict[Phase, str] = {
    "waiting_to_start": "dim",
    "running": "cyan",
    "retrying": "yellow",
    "needs_person": "bold red",
    "in_review": "green",
    "stopping": "yellow",
    "closed": "dim",
}


class Screen:
    """Shows snapshots; a context manager, so that a terminal is left as it was found."""

    def __init__(self, console: Console | None = None, *, live: bool | None = None) -> None:
        """`live` forces the table or the plain lines; otherwise the table is for terminals that can move the cursor."""
        self._console = console or Console(stderr=True, highlight=False)
        # Not `is_terminal` alone: FORCE_COLOR makes that true for a log file too.
        able = self._console.is_terminal and not self._console.is_dumb_terminal and self._console.file.isatty()
        self._live: Live | None = None
        if able if live is None else live:
            # Standard output is data and stays untouched; without a refresh thread there is nothing to wait for at the end.
            self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._said: dict[TicketId, str] = {}
        self._notices: tuple[str, ...] = ()
        self._recent: deque[str] = deque(maxlen=_RECENT_MAX)
        self._began_ms: int | None = None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Bring what is seen up to date; call it on every change, and once a second for the times."""
        if self._began_ms is None:
            self._began_ms = snapshot.at_ms
        news = self._news(snapshot)
        if self._live is None:
            for line in news:
                self.say(line)
        else:
            self._recent.extend(news)
            self._live.update(self._picture(snapshot), refresh=True)

    def say(self, line: str) -> None:
        """One line of narration, above the table where there is one."""
        self._console.print(Text(clean(line)), soft_wrap=True)

    def conclude(self, snapshot: Snapshot, files: DemoFiles, seconds: float, *, kept: bool, command: str) -> None:
        """The last table, and what to do next. `command` is how this program is called; `kept`: the files stay."""
        if self._live is not None:
            self._live.stop()
        done = sum(1 for view in snapshot.tickets if view.phase == "in_review")
        print_text = self._console.print
        print_text()
        print_text(result_table(snapshot, self._console.width))
        print_text()
        print_text(
            Text(f"{done} of {len(snapshot.tickets)} tickets are in review after {clock_text(int(seconds * 1000))}.")
        )
        for view in snapshot.tickets:
            if view.phase != "in_review":
                print_text(Text(f"{clean(view.identifier)} is {clean(view.state)}: {standing(view)}"), soft_wrap=True)
        for line in next_steps(snapshot, files, kept=kept, command=command):
            print_text(Text(line), soft_wrap=True)

    def _news(self, snapshot: Snapshot) -> list[str]:
        """What the last snapshot did not say yet."""
        notices = (server_line(snapshot.server), *_troubles(snapshot))
        news = [notice for notice in notices if notice not in self._notices]
        self._notices = notices
        for view in snapshot.tickets:
            line = standing(view)
            if self._said.get(view.id) != line:
                self._said[view.id] = line
                news.append(f"{clean(view.identifier)} {line}")
        return news

    def _picture(self, snapshot: Snapshot) -> Group:
        running = clock_text(snapshot.at_ms - (self._began_ms or snapshot.at_ms))
        head = _line(f"{running}  {server_line(snapshot.server)}", "dim")
        lines = [head, Text(), progress_table(snapshot, self._console.width), Text()]
        lines += [_line(line, "dim") for line in self._recent]
        lines += [_line(line, "red") for line in _troubles(snapshot)[:_RECENT_MAX]]
        return Group(*lines)


def _line(text: str, style: str = "") -> Text:
    # The text says that it is cut, not its column: rich narrows first the columns that say nothing.
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _troubles(snapshot: Snapshot) -> list[str]:
    named = [("tracker", snapshot.poll_error), ("WORKFLOW.md", snapshot.policy_error)]
    return [clean(f"{name}: {text}") for name, text in named if text] + [clean(text) for text in snapshot.problems]


def progress_table(snapshot: Snapshot, width: int) -> Table:
    """Every ticket and what happens with it, in the columns for which there is room."""
    table = _table()
    table.add_column("ticket", no_wrap=True, style="bold")
    if width >= _NARROW:
        table.add_column("title", max_width=max(16, width // 4))
        table.add_column("state", no_wrap=True)
    table.add_column("now")
    if width >= _WIDE:
        table.add_column("turns", justify="right", no_wrap=True)
        table.add_column("tries", justify="right", no_wrap=True)
    if width >= _NARROW:
        table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for view in snapshot.tickets:
        cells = [_name(view)]
        cells += [_line(clean(view.title)), _state(view)] if width >= _NARROW else []
        cells += [_line(standing(view), _STYLES[view.phase])]
        cells += [Text(str(view.turns)), Text(str(view.attempts))] if width >= _WIDE else []
        cells += [_tokens(view)] if width >= _NARROW else []
        table.add_row(*cells, _time(view, snapshot.at_ms))
    return table


def result_table(snapshot: Snapshot, width: int) -> Table:
    """How every ticket ended, in the columns for which there is room."""
    table = _table()
    table.add_column("ticket", no_wrap=True, style="bold")
    table.add_column("state", no_wrap=True)
    if width >= _NARROW:
        table.add_column("branch", overflow="fold")
    table.add_column("commit", no_wrap=True)
    if width >= _NARROW:
        table.add_column("tries", justify="right", no_wrap=True)
    table.add_column("verified", no_wrap=True)
    if width >= _NARROW:
        table.add_column("tokens", justify="right", no_wrap=True)
        table.add_column("time", justify="right", no_wrap=True)
    for view in snapshot.tickets:
        cells = [_name(view), _state(view)]
        cells += [Text(clean(view.branch or "-"))] if width >= _NARROW else []
        cells += [Text(clean(view.commit or "-")[:7])]
        cells += [Text(str(view.attempts))] if width >= _NARROW else []
        cells += [Text({None: "-", True: "yes", False: "no"}[view.verified])]
        cells += [_tokens(view), _time(view, snapshot.at_ms)] if width >= _NARROW else []
        table.add_row(*cells)
    return table


def next_steps(snapshot: Snapshot, files: DemoFiles, *, kept: bool, command: str) -> list[str]:
    """What can be done from here: commands that exist, with the paths they need."""
    steps: list[tuple[str, str]] = []
    branch = next((view.branch for view in snapshot.tickets if view.verified and view.branch), None)
    if kept:
        if branch is not None:
            steps.append(("see a change", f"git -C {_quoted(files.repository)} log -p main..{_quoted(branch)}"))
        steps.append(("read the tickets and what was written on them", f"more {_quoted(files.board)}/*.md"))
    else:
        steps.append(("keep repository, board and workspaces to look at them", f"{command} demo --keep DIRECTORY"))
    steps.append(("use a real model", f"LLM_API_KEY=... {command} demo --model PROVIDER/NAME"))
    steps.append(
        (
            "use it on your own repository, as docs/quickstart.md shows",
            f"{command} doctor",
        )
    )
    return ["", "What to do next:", *(line for what, how in steps for line in (f"  {what}:", f"    {how}"))]


def _quoted(value: object) -> str:
    return shlex.quote(clean(str(value), 4096))


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")


def _name(view: TicketView) -> Text:
    return Text(clean(view.identifier, 24))


def _state(view: TicketView) -> Text:
    return Text(clean(view.state, 16), style=_STYLES[view.phase])


def _tokens(view: TicketView) -> Text:
    return Text(tokens_text(view.usage.total_tokens))


def _time(view: TicketView, now_ms: int) -> Text:
    spent = spent_ms(view, now_ms)
    return Text("-" if spent is None else clock_text(spent))
