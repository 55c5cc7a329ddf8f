"""The board."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Input

from opensymphony.tui.table import TicketTable
from tests.tui import scenes
from tests.tui.screens import seated


async def test_pictures_are_shown_as_they_come(tmp_path: Path) -> None:
    """Without a key."""
    async with seated(tmp_path) as seat:
        assert "ran the tests of the basket" in seat.text
        changed = scenes.ticket(
            "SHOP-118", "Discounts are rounded twice", "needs_person", reason="its check has no end"
        )
        seat.show(tickets=(changed, *scenes.TICKETS[3:]))
        await seat.sees("its check has no end")
        assert "ran the tests of the basket" not in seat.text


async def test_a_filter_narrows_while_it_is_written(tmp_path: Path) -> None:
    """Enter keeps it, Esc takes it away; folded groups are looked into."""
    async with seated(tmp_path) as seat:
        await seat.press("slash", *"imprint")
        assert "SHOP-88" in seat.text and "SHOP-118" not in seat.text
        await seat.press("enter")
        assert seat.app.focused is seat.app.screen.query_one(TicketTable) and "SHOP-118" not in seat.text
        await seat.press("escape")
        assert "SHOP-118" in seat.text and "SHOP-88" not in seat.text
        await seat.press("slash", *"qx")
        assert seat.app.screen.query_one(Input).value == "qx"  # letters, not keys
        await seat.press("escape")
        assert not seat.app.screen.query_one(Input).has_class("-open") and "SHOP-118" in seat.text
        await seat.press("slash", "enter")
        assert not seat.app.screen.query_one(Input).has_class("-open")


async def test_the_order_can_be_changed(tmp_path: Path) -> None:
    """One after the other, said at the bottom, and reversed."""
    async with seated(tmp_path) as seat:

        def running() -> list[str]:
            return [line.split()[1] for line in seat.lines if line.startswith(" ●")]

        assert running() == ["SHOP-118", "SHOP-120", "SHOP-122"]
        await seat.press("S")
        assert running() == ["SHOP-122", "SHOP-120", "SHOP-118"] and "as they start, reversed" in seat.text
        await seat.press("s", "S")
        assert running() == ["SHOP-118", "SHOP-120", "SHOP-122"] and "longest first" in seat.lines[-1]
        for name in ("most spent first", "by name", "by priority"):
            await seat.press("s")
            assert seat.lines[-1].endswith(name)
        await seat.press("s")
        assert "by priority" not in seat.text


async def test_the_row_under_the_cursor_is_told_in_full(tmp_path: Path) -> None:
    """Columns cut it; on a low screen there is no room."""
    async with seated(tmp_path, size=(60, 24)) as seat:
        assert "asks: Shall the old format still be read" in seat.text
        await seat.pilot.resize_terminal(60, 11)
        await seat.pilot.pause()
        assert "asks: Shall" not in seat.text and "SHOP-131" in seat.text


async def test_it_fits_every_size(tmp_path: Path) -> None:
    """From forty columns and ten lines on, the header, a ticket and the keys are seen, and nothing is wider."""
    async with seated(tmp_path) as seat:
        for width, height in ((40, 10), (40, 30), (60, 10), (80, 24), (100, 12), (200, 60), (41, 11)):
            await seat.pilot.resize_terminal(width, height)
            await seat.pilot.pause()
            assert "● live" in seat.lines[0] and "SHOP-131" in seat.text and seat.lines[-1].startswith(" ? help")
