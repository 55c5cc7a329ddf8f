"""The system's Chromium, driven by Playwright, and pages that fail a test for what they complain about."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Letters look alike on each machine, as far as its fonts do.
    "--font-render-hinting=none",
    "--disable-font-subpixel-positioning",
    "--disable-lcd-text",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
TIMEOUT_MS = 15_000
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def find() -> str | None:
    """Chromium of this machine; never a downloaded one."""
    named = os.environ.get("CHROMIUM")
    return named or next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


MISSING = (
    "" if find() else "no Chromium here: install it (on Debian: apt-get install chromium), or name one in CHROMIUM"
)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


class Complaints:
    """What the pages of a context had to complain about."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.expected: tuple[str, ...] = ()
        """Parts of complaints that belong to what a test does: a server that is away cannot be reached."""

    def watch(self, page: Page) -> None:
        page.on("console", lambda message: message.type in ("error", "warning") and self.found.append(message.text))
        page.on("pageerror", lambda error: self.found.append(f"{error.name}: {error.message}\n{error.stack}"))

    def left(self) -> list[str]:
        return [one for one in self.found if not any(part in one for part in self.expected)]


async def context_of(browser: Browser, complaints: Complaints, **options: object) -> BrowserContext:
    """A browser profile of its own; every page in it is watched."""
    settings: dict[str, object] = {
        "viewport": WIDE,
        "locale": "en-GB",
        "timezone_id": "UTC",
        "color_scheme": "light",
        "reduced_motion": "reduce",
        **options,
    }
    context = await browser.new_context(**settings)  # pyright: ignore[reportArgumentType]
    context.set_default_timeout(TIMEOUT_MS)
    context.on("page", complaints.watch)
    return context


async def enter(context: BrowserContext, address: str, token: str, hash: str = "#/board") -> Page:
    """A tab that has the token already."""
    page = await context.new_page()
    await page.add_init_script(f"sessionStorage.setItem('opensymphony.token', '{token}')")
    await page.goto(f"{address}/{hash}")
    await page.locator("html[data-connection=live]").wait_for()
    return page


def row(page: Page, identifier: str) -> Locator:
    """A ticket's row on the board."""
    return page.locator(f'a.row[href="#/tickets/{identifier}"]')
