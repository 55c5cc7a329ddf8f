"""The board: every ticket in its group, the daemon's own state over it, what can be done below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from opensymphony.tui import grouping
from opensymphony.tui.blocks import wrapped
from opensymphony.tui.columns import MARKS, stage, why
from opensymphony.tui.grouping import FOLDED, ORDER_NAMES, ORDERS, Order, Row
from opensymphony.tui.header import header_lines
from opensymphony.tui.hints import board_hints
from opensymphony.tui.owner import owner
from opensymphony.tui.table import TicketTable
from opensymphony.tui.text import one_line, styled
from opensymphony.tui.written import Written
from opensymphony.views import TicketView


class BoardScreen(Screen[None]):
    """All tickets."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", show=False),
        Binding("s", "sort", "next order", show=False),
        Binding("S", "reverse", "reverse the order", show=False),
        Binding("escape", "clear", "clear the filter", show=False),
    ]
    AUTO_FOCUS = "TicketTable"

    def __init__(self) -> None:
        super().__init__()
        self._query = ""
        self._order: Order = "start"
        self._reverse = False
        self._folded = FOLDED

    def compose(self) -> ComposeResult:
        yield Written(self._header, id="header")
        yield TicketTable(id="table")
        yield Written(self._preview, id="preview")
        yield Input(placeholder="text, phase:running, label:x, is:asked, -word", id="filter", select_on_focus=False)
        yield Written(self._hints, id="hints")

    def on_mount(self) -> None:
        self.refresh_picture()

    def on_screen_resume(self) -> None:
        self.refresh_picture()

    def refresh_picture(self) -> None:
        """Another picture, or none any more."""
        if not self.query(TicketTable):  # not there yet, or not any more
            return
        link = owner(self).link
        tickets = link.snapshot.tickets if link.snapshot is not None else ()
        folded = frozenset[str]() if self._query else self._folded
        wanted = grouping.matcher(self._query)
        rows = grouping.rows(tickets, wanted=wanted, order=self._order, reverse=self._reverse, folded=folded)
        empty = "nothing matches the filter: Esc clears it" if tickets else "no ticket is known yet"
        empty = empty if link.snapshot is not None else "nothing has come from the daemon yet"
        self._table.show(rows, owner(self).now_ms, stale=link.lost_ms is not None, empty=empty)
        self.tick()

    def tick(self) -> None:
        """A second has gone by."""
        if not self.query(TicketTable):
            return
        self._table.tick(owner(self).now_ms)
        self.query("#header").set_class(owner(self).link.lost_ms is not None, "-stale")
        for written in self.query(Written):
            written.write()

    @property
    def ticket(self) -> TicketView | None:
        """What an action is about."""
        row = self._row
        return row if isinstance(row, TicketView) else None

    @property
    def _row(self) -> Row | None:
        """The one under the cursor; at the end of everything the table goes before the lines that tell of it."""
        table = self.query(TicketTable)
        return table.first().current if table else None

    @property
    def _table(self) -> TicketTable:
        return self.query_one(TicketTable)

    def on_ticket_table_moved(self) -> None:
        for written in self.query("#preview, #hints").results(Written):
            written.write()

    def on_ticket_table_chosen(self, message: TicketTable.Chosen) -> None:
        owner(self).open_ticket(message.view)

    def on_ticket_table_toggled(self, message: TicketTable.Toggled) -> None:
        self._folded = self._folded | {message.group} if message.fold else self._folded - {message.group}
        self.refresh_picture()

    def action_filter(self) -> None:
        field = self.query_one(Input)
        field.add_class("-open")
        field.focus()

    def action_clear(self) -> None:
        field = self.query_one(Input)
        field.value = ""
        field.remove_class("-open")
        self._table.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._query = event.value
        self.refresh_picture()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not event.value.strip():
            self.action_clear()
        self._table.focus()

    def action_sort(self) -> None:
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self.refresh_picture()

    def action_reverse(self) -> None:
        self._reverse = not self._reverse
        self.refresh_picture()

    def _header(self, width: int) -> Sequence[Text]:
        return header_lines(owner(self).link, owner(self).clock_ms, width, height=self.size.height)

    def _preview(self, width: int) -> Sequence[Text]:
        """The row under the cursor in full, since columns cut it."""
        view = self.ticket
        if view is None or self.size.height < 14:
            return ()
        first = styled(f"{MARKS[view.phase]} ", view.phase)
        first.append(f"{one_line(view.identifier)} ", "strong").append(one_line(view.title))
        first.append(f"  {one_line(view.state, 40)}", "quiet")
        second = styled(f"  {one_line(stage(view), 40)}", view.phase)
        sentence = one_line(why(view))
        second.append(f"  {sentence}" if sentence else "")
        tall = self.size.height >= 20
        return (first, *wrapped(second, width, owner(self).console)[:2]) if tall else (first, second)

    def _hints(self, width: int) -> Sequence[Text]:
        order = ORDER_NAMES[self._order] + (", reversed" if self._reverse else "")
        said = order if self._order != "start" or self._reverse else ""
        return (board_hints(self._row, width, said),)
