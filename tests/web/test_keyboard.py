"""Everything by keys alone."""

from __future__ import annotations

from playwright.async_api import expect

from tests.web.conftest import Open
from tests.web.stand_in import StandIn


async def test_a_walk_without_a_mouse(desk: StandIn, open_tab: Open) -> None:
    """From the board to a ticket and its parts, back, to the other views, into a dialog and out of it."""
    page = await open_tab("#/board")
    keys = page.keyboard
    focused = page.locator(":focus")
    for key in ("j", "j", "j"):  # the group's own row, then two tickets
        await keys.press(key)
    await expect(focused).to_contain_text("SHOP-398")
    await keys.press("k")
    await expect(focused).to_contain_text("SHOP-412")
    outline = await focused.evaluate("one => getComputedStyle(one).outlineStyle")
    assert outline == "solid"
    await keys.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Cart total")
    await keys.press("2")
    await expect(page.get_by_role("tab", name="Transcript")).to_have_attribute("aria-selected", "true")
    await page.get_by_role("tab", name="Transcript").focus()
    await keys.press("ArrowRight")
    await expect(page.get_by_role("tab", name="Changes")).to_be_focused()
    await expect(page.get_by_role("tabpanel", name="Changes")).to_be_visible()
    await keys.press("Escape")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Board")
    for key, title in {
        "w": "Waiting for you",
        "f": "Figures",
        "e": "Incoming events",
        "h": "Health",
        "b": "Board",
    }.items():
        await keys.press("g")
        await keys.press(key)
        await expect(page.get_by_role("heading", level=1)).to_have_text(title)
    await keys.press("?")
    await expect(page.get_by_role("dialog")).to_contain_text("next, previous")
    await keys.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert desk.asked == []


async def test_keys_mean_nothing_while_one_writes(desk: StandIn, open_tab: Open) -> None:
    """Nor with Ctrl, Alt or the like, nor in a dialog."""
    page = await open_tab("#/board")
    await page.keyboard.press("/")
    await page.keyboard.type("gwrt?jk")
    await expect(page.get_by_role("searchbox")).to_have_value("gwrt?jk")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Board")
    assert desk.refreshed == 0
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Alt+r")
    assert desk.refreshed == 0


async def test_tab_reaches_everything_in_order(open_tab: Open) -> None:
    """First the way past the navigation, then the views, then what is on the page; nothing traps the focus."""
    page = await open_tab("#/board")
    names: list[str] = []
    for _ in range(18):
        await page.keyboard.press("Tab")
        names.append(
            await page.evaluate(
                "(document.activeElement.ariaLabel ?? document.activeElement.innerText).split('\\n')[0].trim()"
            )
        )
    assert names[0] == "Skip to the content"
    assert names[1:6] == ["Board", "Waiting for you", "Figures", "Incoming events", "Health"]
    assert names[6:10] == ["Pause everything", "Look at the tracker now", "Light or dark", "Keys"]
    assert names[10:12] == ["Filter tickets", "Order of tickets"]
    assert names[12:14] == ["Running", "SHOP-412"]
