"""Lines that are made for a width."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from opensymphony.tui.written import Written
from tests.tui.screens import seated


async def test_lines_are_cut_at_the_width_and_read_as_they_are(tmp_path: Path) -> None:
    """Never wrapped, never as markup; without a line there is no place for them."""
    made = [Text("[red]x[/red] " + "long " * 40), Text("second")]
    async with seated(tmp_path, size=(50, 20)) as seat:
        written = Written(lambda width: made[:width], id="extra")
        await seat.app.screen.mount(written)
        await seat.pilot.pause()
        written.write()
        await seat.pilot.pause()
        assert written.size.height == 2
        assert any("[red]x[/red] long" in line and "…" in line for line in seat.lines) and "second" in seat.text
        made.clear()
        written.write()
        assert not written.display
