"""The table of tickets, under hands."""

from __future__ import annotations

from pathlib import Path

from opensymphony.tui.grouping import GroupRow
from opensymphony.tui.table import TicketTable
from tests.tui import scenes
from tests.tui.screens import Seat, seated


def table(seat: Seat) -> TicketTable:
    return seat.app.screen.query_one(TicketTable)


def chosen(seat: Seat) -> str:
    row = table(seat).current
    assert row is not None
    return row.name if isinstance(row, GroupRow) else row.identifier


async def test_the_cursor_goes_from_ticket_to_ticket(tmp_path: Path) -> None:
    """Headings are passed over, unless their group is folded; ends are ends."""
    async with seated(tmp_path, size=(90, 12)) as seat:
        walked = [chosen(seat)]
        for _ in range(10):
            await seat.press("down")
            walked.append(chosen(seat))
        assert walked == [view.identifier for view in scenes.TICKETS[:9]] + ["closed", "closed"]
        await seat.press("home")
        assert chosen(seat) == "SHOP-131" and "waiting for you" in seat.text
        await seat.press("k")
        assert chosen(seat) == "SHOP-131"
        await seat.press("G")
        assert chosen(seat) == "closed"
        await seat.press("pageup")
        assert chosen(seat) not in ("closed", "SHOP-131")
        await seat.press("pagedown", "pagedown")
        assert chosen(seat) == "closed"


async def test_groups_fold(tmp_path: Path) -> None:
    """With space, arrows and Enter; the cursor is on the heading of what is folded."""
    async with seated(tmp_path) as seat:
        await seat.press("G", "enter")
        assert "SHOP-88" in seat.text
        await seat.press("down", "left")
        assert "SHOP-88" not in seat.text and chosen(seat) == "closed"
        await seat.press("right")
        assert "SHOP-88" in seat.text
        await seat.press("home", "space")
        assert "SHOP-131" not in seat.text and chosen(seat) == "waiting for you"


async def test_cursor_and_scroll_stay_with_their_ticket(tmp_path: Path) -> None:
    """Whatever comes before it or goes; where it is gone, the place stays."""
    async with seated(tmp_path, scenes.many(200), size=(90, 20)) as seat:
        for _ in range(40):
            await seat.press("down")
        name = chosen(seat)
        line = next(at for at, line in enumerate(seat.lines) if name in line)
        new = tuple(scenes.ticket(f"NEW-{at}", "new", "needs_person") for at in range(7))
        seat.show(tickets=(*new, *seat.desk.picture.tickets))
        await seat.until(lambda: table(seat).virtual_size.height == 167 + 7 + 7)
        assert chosen(seat) == name
        assert next(at for at, line in enumerate(seat.lines) if name in line) == line
        seat.show(tickets=tuple(view for view in seat.desk.picture.tickets if view.identifier != name))
        await seat.until(lambda: chosen(seat) != name)
        assert chosen(seat).startswith("BIG-")


async def test_a_thousand_tickets_are_drawn_no_slower_than_fifty(tmp_path: Path) -> None:
    """Only the lines that are seen are made: the cost of a picture's drawing is that of its screen."""
    drawn: list[int] = []
    for number in (50, 1_000):
        async with seated(tmp_path / str(number), scenes.many(number), size=(100, 30)) as seat:
            made = 0
            real = TicketTable._ticket

            def counted(self: TicketTable, view: object, real: object = real) -> object:
                nonlocal made
                made += 1
                return real(self, view)  # type: ignore[operator]

            TicketTable._ticket = counted  # type: ignore[method-assign,assignment]
            try:
                seat.show(instance="another")
                await seat.sees("another")
            finally:
                TicketTable._ticket = real  # type: ignore[method-assign]
            drawn.append(made)
    assert 0 < drawn[1] <= 3 * drawn[0]


async def test_a_mouse_works_too(tmp_path: Path) -> None:
    """A click chooses, another opens; a heading folds."""
    async with seated(tmp_path) as seat:
        at = next(number for number, line in enumerate(seat.lines) if "SHOP-118" in line)
        offset = (10, at - table(seat).region.y)
        await seat.pilot.click(TicketTable, offset=offset)
        await seat.pilot.pause()
        assert chosen(seat) == "SHOP-118"
        await seat.pilot.click(TicketTable, offset=offset, times=2)
        await seat.sees("1 overview")


async def test_what_is_not_fresh_is_dim(tmp_path: Path) -> None:
    """And what is chosen has its ground; what waits for a person its colour."""
    async with seated(tmp_path, pauses_s=(60.0,)) as seat:
        assert not seat.style_of("Discounts").dim
        live = seat.style_of("Discounts").color
        assert seat.style_of("SHOP-131").bgcolor != seat.style_of("SHOP-127").bgcolor
        assert seat.style_of("question").color != seat.style_of("working").color
        await seat.house.close()
        await seat.sees("disconnected")
        stale = seat.style_of("Discounts")
        assert stale.dim or stale.color != live


async def test_an_empty_board_says_so(tmp_path: Path) -> None:
    """And why: there is nothing, or nothing matches. Its keys do nothing."""
    async with seated(tmp_path, scenes.IDLE) as seat:
        await seat.sees("no ticket is known yet")
        await seat.press("down", "enter", "space", "left", "x", "y", "o")
        assert table(seat).current is None
        seat.show(tickets=scenes.TICKETS)
        await seat.sees("SHOP-131")
        await seat.press("slash", *"nothing-like-it")
        await seat.sees("nothing matches the filter: Esc clears it")
