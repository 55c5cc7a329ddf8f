"""From a widget to its application."""

from __future__ import annotations

from pathlib import Path

from opensymphony.tui.owner import owner
from opensymphony.tui.table import TicketTable
from tests.tui.screens import seated


async def test_a_widget_finds_its_application(tmp_path: Path) -> None:
    """And a screen too."""
    async with seated(tmp_path) as seat:
        assert owner(seat.app.screen.query_one(TicketTable)) is owner(seat.app.screen) is seat.app
