"""The table of tickets: draws the lines that are seen, so that a thousand tickets cost no more than thirty.

A new picture changes rows under the cursor; cursor and scroll stay with the ticket on which they stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from opensymphony.tui import grouping
from opensymphony.tui.columns import MARKS, Column, cell, columns
from opensymphony.tui.grouping import GroupRow, Row
from opensymphony.tui.owner import owner
from opensymphony.tui.palette import styles
from opensymphony.tui.text import cells
from opensymphony.views import TicketView


class TicketTable(ScrollView, can_focus=True):
    """Rows of `grouping.rows`, with a cursor on one of them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "one up", show=False),
        Binding("down,j", "move(1)", "one down", show=False),
        Binding("pageup", "page(-1)", "a page up", show=False),
        Binding("pagedown", "page(1)", "a page down", show=False),
        Binding("home,g", "move(-1000000)", "to the first", show=False),
        Binding("end,G", "move(1000000)", "to the last", show=False),
        Binding("enter", "choose", "open the ticket", show=False),
        Binding("space", "turn", "fold or unfold a group", show=False),
        Binding("left,h", "fold(True)", "fold the group", show=False),
        Binding("right,l", "fold(False)", "unfold the group", show=False),
    ]

    class Chosen(Message):
        """A ticket is to be opened."""

        def __init__(self, view: TicketView) -> None:
            super().__init__()
            self.view = view

    class Moved(Message):
        """The cursor stands on another row, or its row looks different."""

    class Toggled(Message):
        """A group is to be folded or unfolded."""

        def __init__(self, group: str, fold: bool) -> None:
            super().__init__()
            self.group = group
            self.fold = fold

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: Sequence[Row] = ()
        self._cursor = 0
        self._now_ms = 0
        self._columns: list[Column] = []
        self._stale = False
        self._empty = ""

    def show(self, rows: Sequence[Row], now_ms: int, *, stale: bool = False, empty: str = "") -> None:
        """Bring what is seen up to date. `empty` stands there when there is no row."""
        before, above = self.current, self._cursor - self.scroll_offset.y
        self._rows, self._now_ms, self._stale, self._empty = rows, now_ms, stale, empty
        if before is None:
            self._cursor = grouping.first_ticket(rows)
        else:
            self._cursor = grouping.position(rows, grouping.key(before), self._cursor)
        self._fit()
        if self._cursor - self.scroll_offset.y != above and before is not None:
            self.scroll_to(y=max(0, self._cursor - above), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Moved())

    def tick(self, now_ms: int) -> None:
        """Time goes on; nothing else is another."""
        self._now_ms = now_ms
        self.refresh()

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    @property
    def ticket(self) -> TicketView | None:
        """The ticket under the cursor; None on the heading of a group."""
        row = self.current
        return row if isinstance(row, TicketView) else None

    def action_move(self, by: int) -> None:
        """To a ticket, or to the heading of a group that is folded: others are passed over."""
        step = 1 if by > 0 else -1
        at = max(-1, min(self._cursor + by, len(self._rows)))
        while 0 <= at < len(self._rows) and self._is_passed_over(at):
            at += step
        if not 0 <= at < len(self._rows):  # the last one on the way that can be stood on
            ends = range(len(self._rows)) if by < 0 else range(len(self._rows) - 1, -1, -1)
            at = next((one for one in ends if not self._is_passed_over(one)), self._cursor)
        self._cursor = at
        self._see()

    def _is_passed_over(self, at: int) -> bool:
        row = self._rows[at]
        return isinstance(row, GroupRow) and not row.folded

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self.size.height - 2))

    def action_choose(self) -> None:
        if self.ticket is not None:
            self.post_message(self.Chosen(self.ticket))
        else:
            self.action_turn()

    def action_turn(self) -> None:
        row = self._heading()
        if row is not None:
            self.post_message(self.Toggled(row.name, not row.folded))

    def action_fold(self, fold: bool) -> None:
        row = self._heading()
        if row is not None and row.folded != fold:
            self.post_message(self.Toggled(row.name, fold))

    def _heading(self) -> GroupRow | None:
        """The heading over the cursor; the cursor goes there, since its ticket may vanish."""
        for at in range(min(self._cursor, len(self._rows) - 1), -1, -1):
            row = self._rows[at]
            if isinstance(row, GroupRow):
                if not row.folded:
                    self._cursor = at
                return row
        return None

    def _see(self) -> None:
        top = self._cursor - 1 if self._cursor and self._is_passed_over(self._cursor - 1) else self._cursor
        self.scroll_to_region(Region(0, top, 1, self._cursor - top + 2), animate=False, immediate=True, x_axis=False)
        self.refresh()
        self.post_message(self.Moved())

    def _fit(self) -> None:
        width = self.scrollable_content_region.width or self.size.width
        views = [row for row in self._rows if isinstance(row, TicketView)]
        self._columns = columns(
            width,
            [view.identifier for view in views],
            money_spent=any(view.usage.cost_micros for view in views),
            reviews=any(view.pull_request for view in views),
        )
        self.virtual_size = Size(width, len(self._rows) + 1)

    def on_resize(self, event: Resize) -> None:
        self._fit()
        self.call_after_refresh(self._see)

    def on_click(self, event: Click) -> None:
        at = event.y - 1 + self.scroll_offset.y
        if event.y >= 1 and at < len(self._rows):
            self._cursor = at
            self._see()
            if event.chain == 2 or isinstance(self._rows[at], GroupRow):
                self.action_choose()

    def render_line(self, y: int) -> Strip:
        at = y - 1 + self.scroll_offset.y
        over = Style()
        if y == 0:
            segments = self._heads()
        elif not self._rows:
            segments = [Segment(f"  {self._empty}" if y == 2 else "", self._style("quiet"))]
        elif at >= len(self._rows):
            segments: list[Segment] = []
        else:
            row = self._rows[at]
            segments = self._group(row) if isinstance(row, GroupRow) else self._ticket(row)
            over = self._style("cursor") if at == self._cursor else over
        over += Style(dim=True) if self._stale else Style()
        ground = self.rich_style
        styled = [Segment(text, ground + (style or Style()) + over) for text, style, _ in segments]
        return Strip(styled).adjust_cell_length(self.size.width, ground + over)

    def _style(self, name: str) -> Style:
        return styles(owner(self).theme).get(name, Style())

    def _heads(self) -> list[Segment]:
        names = [cells(column.name, column.width, right=column.right) for column in self._columns if column.width]
        return [Segment("  " + " ".join(names), self._style("quiet"))]

    def _group(self, row: GroupRow) -> list[Segment]:
        return [
            Segment(f"{'▸' if row.folded else '▾'} {row.name}", self._style("strong")),
            Segment(f" {row.number}", self._style("quiet")),
        ]

    def _ticket(self, view: TicketView) -> list[Segment]:
        named = {"ticket": "strong", "title": "", "stage": view.phase}
        segments = [Segment(MARKS[view.phase], self._style(view.phase))]
        for column in self._columns:
            if column.width:
                style = self._style(named.get(column.name, "quiet"))
                segments.append(Segment(" " + cell(column, view, self._now_ms), style))
        return segments
