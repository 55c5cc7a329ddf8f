"""What is shown while the daemon is away, and how the page comes back; and the way in."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
import msgspec
import pytest
from playwright.async_api import Browser, expect

from opensymphony.cli.dashboard import _PAGE
from tests.api.desk import BEARER, TOKEN
from tests.web.browser import Complaints, context_of, enter, row
from tests.web.conftest import Open
from tests.web.stand_in import StandIn, serving

AWAY = ("net::ERR_",)


async def test_a_break_is_said_and_the_last_picture_is_kept_until_it_is_over(
    desk: StandIn, browser: Browser, complaints: Complaints
) -> None:
    """Marked as old; times do not go on as if it were new; afterwards what has changed meanwhile is there."""
    complaints.expected = AWAY
    context = await context_of(browser, complaints)
    async with serving(desk) as address:
        page = await enter(context, address, TOKEN)
        port = httpx.URL(address).port or 0
    await expect(page.locator("#banners")).to_contain_text("Disconnected since")
    await expect(page.locator("#banners")).to_contain_text("What you see is from")
    await expect(page.locator("#connection")).not_to_have_text("Live")
    await expect(row(page, "SHOP-412")).to_be_visible()
    young = row(page, "SHOP-420").locator(".time")
    before = await young.inner_text()
    await anyio.sleep(2.2)
    assert await young.inner_text() == before
    desk.change("SHOP-412", title="Changed in the meantime")
    async with serving(desk, port):
        await expect(page.locator("a.row").filter(has_text="Changed in the meantime")).to_be_visible(timeout=20_000)
        await expect(page.locator("#banners")).to_be_empty()
        await expect(page.locator("#connection")).to_have_text("Live")
    await context.close()
    assert complaints.left() == []


async def test_it_goes_on_where_it_was(desk: StandIn, browser: Browser, complaints: Complaints) -> None:
    """A picture that is still the newest is not sent again, and is shown as live."""
    complaints.expected = AWAY
    context = await context_of(browser, complaints)
    sent: list[str | None] = []
    async with serving(desk) as address:
        page = await enter(context, address, TOKEN)
        page.on("request", lambda one: one.url.endswith("/events") and sent.append(one.headers.get("last-event-id")))
        port = httpx.URL(address).port or 0
    async with serving(desk, port):
        await expect(page.locator("#connection")).to_have_text("Live", timeout=20_000)
    assert len(set(sent)) == 1
    assert str(sent[0]).startswith(str(desk.picture.sequence))
    await context.close()
    assert complaints.left() == []


STREAMS = """() => {
    const real = window.fetch;
    [window.streams, window.had] = [[], []];
    window.fetch = (path, options) => {
        if (path !== "/api/v1/events") return real(path, options);
        window.had.push(options.headers["Last-Event-ID"] ?? null);
        return Promise.resolve(new Response(new ReadableStream({ start: (stream) => window.streams.push(stream) })));
    };
    window.tell = (at, text) => window.streams[at].enqueue(new TextEncoder().encode(text));
}"""


async def test_it_is_live_when_the_daemon_has_said_something(
    desk: StandIn, address: str, browser: Browser, complaints: Complaints
) -> None:
    """Not before, however long it takes. What an event is called goes back as it came."""
    picture = msgspec.json.encode(desk.picture).decode()
    context = await context_of(browser, complaints)
    await context.clock.install()
    page = await context.new_page()
    await page.add_init_script(f"sessionStorage.setItem('opensymphony.token', '{TOKEN}')")
    await page.add_init_script(f"({STREAMS})()")
    await page.goto(address)
    await page.wait_for_function("window.streams.length === 1")
    state = page.locator("#connection")
    await page.evaluate("text => window.tell(0, text)", f"event: snapshot\nid: 7-1a2b3c4d\ndata: {picture}\n\n")
    await expect(state).to_have_text("Live")
    await page.evaluate("window.streams[0].close()")
    await expect(state).to_have_text("Disconnected")
    await context.clock.run_for(2000)
    await page.wait_for_function("window.streams.length === 2")
    assert await page.evaluate("window.had") == [None, "7-1a2b3c4d"]
    await context.clock.run_for(10_000)
    await expect(state).to_have_text("Connecting")
    await page.evaluate("window.tell(1, ': \\n\\n')")
    await expect(state).to_have_text("Live")
    await context.close()
    assert complaints.left() == []


async def test_after_a_restart_of_the_daemon_it_says_what_to_do(
    desk: StandIn, browser: Browser, complaints: Complaints
) -> None:
    """The token is another one: the last picture stays, marked as old, and nothing is tried for ever."""
    complaints.expected = (*AWAY, "401")
    context = await context_of(browser, complaints)
    async with serving(desk) as address:
        page = await enter(context, address, TOKEN)
        port = httpx.URL(address).port or 0
    async with serving(desk, port, token="another"):
        banner = page.locator("#banners")
        await expect(banner).to_contain_text("The daemon was restarted", timeout=20_000)
        await expect(banner).to_contain_text("opensymphony dashboard")
        await expect(row(page, "SHOP-412")).to_be_visible()
        await expect(page.locator("#connection")).to_have_text("Access ended")
    await context.close()
    assert complaints.left() == []


async def test_a_tab_in_the_background_rests(desk: StandIn, browser: Browser, complaints: Complaints) -> None:
    """After a minute it lets go of its connection; when it is looked at again it has the newest picture."""
    hide = """hidden => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    context = await context_of(browser, complaints)
    await context.clock.install()
    async with serving(desk) as address:
        page = await enter(context, address, TOKEN)
        assert desk.feed is not None
        assert desk.feed.readers == 1
        await page.evaluate(hide, True)
        desk.change("SHOP-412", title="Changed behind its back")
        await anyio.sleep(0.3)
        await expect(row(page, "SHOP-412")).to_contain_text("Cart total")
        await context.clock.fast_forward(61_000)
        with anyio.fail_after(20):
            while desk.feed.readers:
                await anyio.sleep(0.05)
        await page.evaluate(hide, False)
        await expect(row(page, "SHOP-412")).to_contain_text("Changed behind its back")
        await expect(page.locator("#connection")).to_have_text("Live")
    await context.close()


async def test_one_reader_too_many_is_told(desk: StandIn, browser: Browser, complaints: Complaints) -> None:
    """What to do, instead of an empty page."""
    complaints.expected = ("429",)
    context = await context_of(browser, complaints)
    async with serving(desk, readers_max=0) as address:
        page = await context.new_page()
        await page.add_init_script(f"sessionStorage.setItem('opensymphony.token', '{TOKEN}')")
        await page.goto(address)
        await expect(page.locator("#banners")).to_contain_text("Too many programs follow this daemon: close a tab.")
    await context.close()
    assert complaints.left() == []


async def test_the_page_of_the_command_opens_it_once(
    address: str, browser: Browser, complaints: Complaints, tmp_path: Path
) -> None:
    """A file posts the code; the token is in this tab's storage alone: in no address, no cookie, no history."""
    complaints.expected = ("401",)
    context = await context_of(browser, complaints)
    async with httpx.AsyncClient() as client:
        code = (await client.post(f"{address}/api/v1/dashboard-codes", headers=BEARER)).json()["code"]
    file = tmp_path / "page.html"
    file.write_text(_PAGE.format(url=address, code=code))
    page = await context.new_page()
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    await page.goto(file.as_uri())
    await page.locator("html[data-connection=live]").wait_for()
    assert page.url in (f"{address}/", f"{address}/#/board")
    assert await page.evaluate("sessionStorage.getItem('opensymphony.token')") == TOKEN
    assert await page.evaluate("localStorage.length") == 0
    assert await context.cookies() == []
    assert not [url for url in urls if TOKEN in url or code in url]
    await expect(row(page, "SHOP-412")).to_be_visible()
    again = await context.new_page()
    await again.goto(file.as_uri())
    await expect(again.get_by_role("heading")).to_have_text("This code does not open the dashboard any more")
    await expect(again.get_by_text("opensymphony dashboard")).to_be_visible()
    await context.close()
    assert complaints.left() == []


async def test_without_a_token_it_says_how_to_open_it(address: str, browser: Browser, complaints: Complaints) -> None:
    """Nothing is asked of the daemon then."""
    context = await context_of(browser, complaints)
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(address)
    await expect(page.get_by_role("heading")).to_have_text("Open the dashboard from a terminal")
    await expect(page.get_by_text("opensymphony dashboard", exact=True)).to_be_visible()
    assert not [url for url in asked if "/api/" in url]
    await context.close()
    assert complaints.left() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_light_and_dark_follow_the_system_until_chosen(open_tab: Open, scheme: str) -> None:
    """The choice is remembered, and there before anything is drawn."""
    page = await open_tab("#/board", color_scheme=scheme)
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    first = await page.evaluate(ground)
    await page.keyboard.press("t")
    other = await page.evaluate(ground)
    assert first != other
    await page.reload()
    assert await page.evaluate(ground) == other
    assert await page.evaluate("localStorage.getItem('opensymphony.theme')") == (
        "dark" if scheme == "light" else "light"
    )
