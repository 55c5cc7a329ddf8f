"""The dashboard in a real browser, in front of a real daemon and a real agent-server: a ticket on its way into review."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from opensymphony.api.client import ADDRESS_FILE, find_daemon
from tests.live.daemon_under_test import DaemonUnderTest
from tests.live.test_demo import conversations_of
from tests.web.browser import MISSING, Complaints, context_of, launched, row

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

PATIENCE_MS = 180_000


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Where CI is set it has to be there."""
    if MISSING:
        assert not os.environ.get("CI"), MISSING
        pytest.skip(MISSING)
    async with launched() as found:
        yield found


async def opened_by_the_command(demo: DaemonUnderTest, kept: Path, browser: Browser, complaints: Complaints) -> Page:
    """As a person opens it: the command writes the page, the browser is given its path."""
    context = await context_of(browser, complaints)
    which = ("-w", str(kept / "WORKFLOW.md"), "--config", str(kept / "o.toml"))
    code, out, err = await demo.command("dashboard", "--no-open", *which)
    assert code == 0, err
    page = await context.new_page()
    await page.goto(out.strip())
    await page.locator("html[data-connection=live]").wait_for()
    return page


async def test_a_demo_is_watched_from_its_start_into_review(daemon: DaemonUnderTest, browser: Browser) -> None:
    """The board follows it live; its page shows the conversation, the changes and the check; nothing is complained about."""
    for name in [name for name in daemon.environment if name.startswith("LLM_")]:
        del daemon.environment[name]
    kept = daemon.root / "kept"
    await daemon.start("demo", "--json", "--keep", str(kept))
    daemon.conversations = conversations_of(daemon, kept)
    await daemon.wait_for("the daemon listens", (kept / "state" / ADDRESS_FILE).exists)
    (kept / "o.toml").write_text(f'[store]\ndirectory = "{kept / "state"}"\n')
    complaints = Complaints()
    complaints.expected = ("404", "net::ERR_")  # no conversation yet, and at its end the demo is gone
    page = await opened_by_the_command(daemon, kept, browser, complaints)
    seen: list[str] = []
    await page.expose_function("saw", lambda text: seen.append(text))
    await page.evaluate(
        """() => new MutationObserver(() => {
            const one = document.querySelector('a.row[href="#/tickets/DEMO-2"]');
            const group = one?.closest(".group").getAttribute("aria-label");
            const text = one && `${group}: ${one.querySelector(".stage").textContent}`;
            if (text && text !== window.last) saw(window.last = text);
        }).observe(document.getElementById("main"), {subtree: true, childList: true, characterData: true, attributes: true})"""
    )
    running = page.locator("section.group[aria-label=Running]")
    await expect(running.locator('a[href="#/tickets/DEMO-2"]')).to_be_visible(timeout=PATIENCE_MS)
    await expect(page.locator("section.group[aria-label='Waiting to start']")).to_contain_text("DEMO-4")
    talk = await page.context.new_page()
    await talk.add_init_script(f"sessionStorage.setItem('opensymphony.token', '{token_of(kept)}')")
    await talk.goto(re.sub(r"/(#.*)?$", "/#/tickets/DEMO-2/transcript", page.url))
    calls = talk.locator(".entry.call")
    await expect(calls.filter(has_text="unittest").first).to_be_visible(timeout=PATIENCE_MS)
    await expect(talk.locator(".entry.call .exit.good").first).to_be_visible(timeout=PATIENCE_MS)
    review = page.locator("section.group[aria-label='In review']")
    await expect(review.locator('a[href="#/tickets/DEMO-2"]')).to_be_visible(timeout=PATIENCE_MS)
    await expect(row(page, "DEMO-2")).to_contain_text("verified")
    await look_back(talk)
    stages = [text for text in seen if text.startswith("Running: ")]
    assert {"Running: working", "Running: verifying"} <= set(stages), seen
    assert seen[-1].startswith("In review: ")
    assert complaints.left() == []
    assert await daemon.ended(300) == 0, daemon.told()[-3000:]
    await expect(page.locator("#banners")).to_contain_text("Disconnected since", timeout=30_000)
    await expect(row(page, "DEMO-2")).to_be_visible()


async def look_back(page: Page) -> None:
    """The other parts of the ticket's page, once it is in review."""
    await page.keyboard.press("1")
    await expect(page.locator(".timeline li").first).to_be_visible()
    await page.keyboard.press("3")
    await expect(page.locator("details.file").first).to_be_visible()
    await page.keyboard.press("4")
    await expect(page.locator("details.check")).to_have_count(2)
    await expect(page.locator("details.check .exit")).to_have_text(["passed", "failed"])


def token_of(kept: Path) -> str:
    return Path(find_daemon(str(kept / "state")).token_file).read_text()


async def test_a_code_of_a_real_daemon_opens_once(daemon: DaemonUnderTest) -> None:
    """The daemon gives it out, and the token for it; a second time it does not."""
    await daemon.lay_out()
    await daemon.start("run")
    await daemon.until("it runs", lambda snapshot: snapshot.status == "running")
    code, out, err = await daemon.command("dashboard", "--page")
    assert code == 0, err
    found = re.search(r'action="([^"]+)".*name="code" value="([^"]+)"', out, re.DOTALL)
    assert found is not None
    async with httpx.AsyncClient() as client:
        answers = [await client.post(found[1], data={"code": found[2]}, headers={"Origin": "null"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]
    token = Path(find_daemon(str(daemon.store)).token_file).read_text()
    assert token in answers[0].text
    assert await anyio.Path(daemon.store / "dashboard").exists() is False
