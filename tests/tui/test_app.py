"""The application as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from opensymphony.tui import app as application
from opensymphony.tui.app import OpenSymphony, has_browser
from opensymphony.tui.palette import DARK, LIGHT
from tests.tui import scenes
from tests.tui.screens import seated


async def test_a_daemon_that_was_started_again_is_found(tmp_path: Path) -> None:
    """At another port and with another token; until then the last picture stays, marked."""
    async with seated(tmp_path) as seat:
        await seat.house.close()
        await seat.sees("✗ disconnected since 22:13:20", "as of 22:13:20", "Discounts", "no daemon is running")
        seat.desk.picture = structs.replace(scenes.BUSY, sequence=1, instance="the next one")
        await seat.house.open(seat.tasks)
        await seat.sees("the next one", "● live")
        assert "disconnected" not in seat.text


@pytest.mark.parametrize(("key", "depth"), [("q", "q"), ("q", "enter q"), ("ctrl+c", "m ctrl+c"), ("q", "escape q")])
async def test_it_ends_from_everywhere(tmp_path: Path, key: str, depth: str) -> None:
    """With q on the board and on a ticket's page, with Ctrl+C also over a dialog."""
    async with seated(tmp_path) as seat:
        await seat.pilot.press(*depth.split())
        await seat.pilot.pause()
        assert not seat.app.is_running or seat.app._exit
        assert seat.app.return_code == 0


async def test_it_ends_by_itself_when_asked_to(tmp_path: Path) -> None:
    """After a time."""
    application_ = OpenSymphony(_nowhere(), exit_after_s=0.2, first=scenes.IDLE)
    async with application_.run_test() as pilot:
        for _ in range(500):
            if application_._exit:
                break
            await pilot.pause(0.02)
        assert application_._exit and application_.return_code == 0


async def test_addresses_open_where_there_is_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else they are copied, as a browser of text would take the screen away; nothing but a web address is opened."""
    opened: list[str] = []
    monkeypatch.setattr(OpenSymphony, "open_url", lambda self, url, **_: opened.append(url))
    async with seated(tmp_path) as seat:
        await seat.press("o")
        assert opened == [] and seat.app.clipboard == "https://tracker.example/browse/SHOP-131"
        monkeypatch.setattr(application, "has_browser", lambda *_: True)
        await seat.press("o")
        assert opened == ["https://tracker.example/browse/SHOP-131"]
        await seat.press("O")
        assert seat.told[-1] == "SHOP-131 has no address of a pull request"
        for url in ("javascript:alert(1)", "file:///etc/passwd", "https://x/\x1b[31m", None):
            seat.show(tickets=(structs.replace(scenes.TICKETS[0], url=url),))
            await seat.until(lambda url=url: seat.app.chosen is not None and seat.app.chosen.url == url)
            await seat.press("o")
        assert len(opened) == 1
        seat.show(tickets=scenes.TICKETS[6:7])
        await seat.until(lambda: seat.app.chosen is not None and seat.app.chosen.identifier == "SHOP-101")
        await seat.press("O")
        assert opened[1:] == ["https://code.example/shop/pull-requests/57"]


def test_a_browser_needs_a_desktop() -> None:
    """Or macOS."""
    assert has_browser({"DISPLAY": ":0"}, "linux") and has_browser({"WAYLAND_DISPLAY": "w"}, "linux")
    assert has_browser({}, "darwin") and not has_browser({"DISPLAY": ""}, "linux")


async def test_an_identifier_is_copied(tmp_path: Path) -> None:
    """Harmless, as it will be pasted into a shell."""
    async with seated(tmp_path, scenes.HOSTILE) as seat:
        await seat.press("y")
        assert seat.app.clipboard == "EVIL-1"
        await seat.press("down", "y")
        assert seat.app.clipboard.isprintable() and seat.app.clipboard.endswith("EVIL-2")


async def test_the_tracker_is_looked_at_on_demand(tmp_path: Path) -> None:
    """And a daemon that is not there is told."""
    async with seated(tmp_path) as seat:
        await seat.press("r")
        await seat.until(lambda: "the tracker is looked at now" in seat.told)
        assert seat.desk.refreshed == 1
        await seat.house.close()
        await seat.sees("disconnected")
        await seat.press("r")
        await seat.until(lambda: any("no daemon is running" in one for one in seat.told))


async def test_the_theme_can_be_changed(tmp_path: Path) -> None:
    """Dark to light and back."""
    async with seated(tmp_path) as seat:
        dark = seat.style_of("Discounts").bgcolor
        await seat.press("T")
        assert seat.app.theme == LIGHT
        await seat.until(lambda: seat.style_of("Discounts").bgcolor != dark)
        await seat.press("T")
        assert seat.app.theme == DARK


async def test_a_notification_is_no_markup(tmp_path: Path) -> None:
    """Whatever the daemon answers is read as a text."""
    async with seated(tmp_path) as seat:
        seat.app.tell(scenes.FORGED)
        await seat.sees("[red]red[/red]")
        assert all(line.isprintable() for line in seat.lines)


async def test_a_defect_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the page of local values that would be printed else, secrets among them."""

    def broken(self: OpenSymphony) -> None:
        secret = "a-secret-value"
        raise KeyError(len(secret))

    monkeypatch.setattr(OpenSymphony, "tick", broken)
    found = OpenSymphony(_nowhere(), first=scenes.IDLE)
    with pytest.raises(KeyError):
        async with found.run_test() as pilot:
            found.call_later(found.tick)
            await pilot.pause()
    assert capsys.readouterr().err.strip() == "opensymphony: the terminal interface has a defect: KeyError(14)"
    assert found.return_code == 1


def _nowhere() -> Any:
    from opensymphony.tui.connection import StoreSource

    return StoreSource("/nowhere")
