"""Makes the pictures of docs/dashboard.md again: `python -m tests.web.screenshots`.

From the stand-in's picture at a clock that stands still, so that they are the same each time, as far as fonts are. Beside each
picture goes its layout: every visible text with its place, size and colours, a line for each.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
from msgspec import Struct
from playwright.async_api import Browser, Page

from tests.api.desk import TOKEN
from tests.web.browser import PHONE, Complaints, context_of, enter, launched
from tests.web.picture import NOW_MS
from tests.web.stand_in import StandIn, serving

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGES = ROOT / "docs" / "images"
LAYOUTS = Path(__file__).with_name("layouts")
WINDOW = {"width": 1120, "height": 690}


class Shot(Struct, frozen=True):
    """One picture: its name, the view, and what has to be there before it is taken."""

    name: str
    hash: str
    ready: tuple[str, ...]
    options: dict[str, Any] = {}


SHOTS = (
    Shot("board", "#/board", ("a.row",)),
    Shot("board-dark", "#/board", ("a.row",), {"color_scheme": "dark"}),
    Shot("ticket", "#/tickets/SHOP-412/changes", ("details.file", ".rules li")),
    Shot("transcript", "#/tickets/SHOP-412/transcript", (".entry.call", ".rules li"), {"color_scheme": "dark"}),
    Shot("waiting", "#/waiting", (".card",)),
    Shot("figures", "#/figures", (".charts .chart:last-child svg",)),
    Shot("phone", "#/board", ("a.row",), {"viewport": PHONE}),
)

LAYOUT = """() => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const text = node.textContent.replace(/\\s+/g, " ").trim();
        const parent = node.parentElement;
        if (!text || !parent.checkVisibility({ visibilityProperty: true })) continue;
        range.selectNodeContents(node);
        const box = range.getBoundingClientRect();
        if (!box.width || box.bottom < 0 || box.right < 0 || box.top > innerHeight || box.left > innerWidth) continue;
        const style = getComputedStyle(parent);
        let ground = parent;
        while (ground && getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
        const below = ground ? getComputedStyle(ground).backgroundColor : "none";
        const colours = [style.color, below].map((one) => one.replaceAll(" ", ""));
        const place = [box.left, box.top, box.width, box.height].map(Math.round);
        const fill = style.fill === "rgb(0, 0, 0)" ? "" : style.fill.replaceAll(" ", "");
        const type = `${style.fontSize}/${style.fontWeight}`;
        found.push([...place, type, ...colours, fill, text].filter((one) => one !== "").join(" "));
    }
    return found;
}"""

FONTS = """() => ["system-ui, 'DejaVu Sans'", "monospace"].map((family) => {
    const brush = document.createElement("canvas").getContext("2d");
    brush.font = `100px ${family}`;
    return Math.round(brush.measureText("Sphinx of black quartz, judge my vow 0123456789").width);
}).join(" ")"""
"""How wide a sentence is: the same number stands for the same fonts."""


async def take(browser: Browser, address: str, shot: Shot, directory: Path) -> Page:
    """The picture and its layout, as `NAME.png` and `NAME.txt`."""
    context = await context_of(browser, Complaints(), **{"viewport": WINDOW, **shot.options})
    await context.clock.set_fixed_time(NOW_MS)
    page = await enter(context, address, TOKEN, shot.hash)
    for place in shot.ready:
        await page.locator(place).first.wait_for()
    await page.evaluate("window.scrollTo(0, 0); document.fonts.ready")
    await page.screenshot(path=directory / f"{shot.name}.png")
    lines = [await page.evaluate(FONTS), *await page.evaluate(LAYOUT)]
    (directory / f"{shot.name}.txt").write_text("\n".join([*lines, ""]))
    return page


async def main(names: list[str]) -> None:
    for directory in (IMAGES, LAYOUTS):
        directory.mkdir(exist_ok=True)
    async with serving(StandIn()) as address, launched() as browser:
        for shot in SHOTS:
            if names and shot.name not in names:
                continue
            page = await take(browser, address, shot, LAYOUTS)
            await page.context.close()
            place = IMAGES / f"dashboard-{shot.name}.png"
            (LAYOUTS / f"{shot.name}.png").replace(place)
            print(f"{place.relative_to(ROOT)}: {place.stat().st_size:,} bytes")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:])
