"""What axe-core finds: nothing serious, on each view, light and dark, wide and on a phone."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.web.browser import PHONE, WIDE
from tests.web.conftest import Open

VIEWS = (
    ("#/board", "a.row"),
    ("#/waiting", ".card"),
    ("#/figures", ".chart svg"),
    ("#/deliveries", "details.delivery"),
    ("#/health", ".checks li"),
    ("#/tickets/SHOP-377", ".timeline li"),
    ("#/tickets/SHOP-412/transcript", ".entry.call"),
    ("#/tickets/SHOP-412/changes", "details.file"),
    ("#/tickets/SHOP-412/checks", "details.check"),
)
SERIOUS = ("serious", "critical")


async def violations(page: Page) -> list[str]:
    found: dict[str, Any] = (await Axe().run(page)).response
    assert found["passes"], "nothing was looked at"
    return [
        f"{one['id']} ({one['impact']}): {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
    ]


LOOKS = pytest.mark.parametrize(
    "look",
    [{"color_scheme": scheme, "viewport": size} for scheme in ("light", "dark") for size in (WIDE, PHONE)],
    ids=["light-wide", "light-phone", "dark-wide", "dark-phone"],
)


@LOOKS
@pytest.mark.parametrize("views", [VIEWS[:3], VIEWS[3:6], VIEWS[6:]], ids=["whole", "health", "ticket"])
async def test_no_view_has_a_serious_problem(
    open_tab: Open, look: dict[str, Any], views: tuple[tuple[str, str], ...]
) -> None:
    """Names, contrast, roles, and what scrolls can be reached."""
    page = await open_tab("#/board", **look)
    found: list[str] = []
    for hash, place in views:
        await page.evaluate("hash => location.hash = hash", hash)
        await expect(page.locator(place).first).to_be_visible()
        found += [f"{hash}: {one}" for one in await violations(page)]
    assert found == []


@LOOKS
async def test_no_dialog_has_a_serious_problem(open_tab: Open, look: dict[str, Any]) -> None:
    """One that asks, the keys, and what is said afterwards."""
    page = await open_tab("#/tickets/SHOP-412", **look)
    await page.keyboard.press("m")
    await expect(page.get_by_role("dialog")).to_be_visible()
    found = [f"dialog: {one}" for one in await violations(page)]
    await page.keyboard.press("Escape")
    await page.keyboard.press("r")
    await expect(page.locator(".toast")).to_be_visible()
    await page.keyboard.press("?")
    found += [f"help: {one}" for one in await violations(page)]
    assert found == []


async def test_it_would_find_one(open_tab: Open) -> None:
    """The check itself works: a button without a name is seen."""
    page = await open_tab("#/board")
    await page.evaluate("document.getElementById('main').append(document.createElement('button'))")
    assert any("button-name" in one for one in await violations(page))


async def test_motion_is_only_for_those_who_like_it(open_tab: Open) -> None:
    """Who asks for less sees none."""
    running = "() => document.getAnimations().length"
    still = await open_tab("#/board", reduced_motion="reduce")
    assert await still.evaluate(running) == 0
    moving = await open_tab("#/board", reduced_motion="no-preference")
    assert await moving.evaluate(running) > 0
