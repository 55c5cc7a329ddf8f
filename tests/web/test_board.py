"""The board: groups, filter, order, what is shown of each ticket, and many of them."""

from __future__ import annotations

import re

import msgspec
from playwright.async_api import Page, expect

from opensymphony.model import TicketId
from tests.web.browser import row
from tests.web.conftest import Open
from tests.web.picture import TICKETS
from tests.web.stand_in import StandIn


async def shown(page: Page) -> list[str]:
    """Identifiers in the order of the rows."""
    return await page.locator("a.row:visible .id").all_inner_texts()


async def test_tickets_stand_in_groups_with_what_matters(open_tab: Open) -> None:
    """Running first, closed ones folded; each says its stage, why, how long, review, tokens and cost."""
    page = await open_tab()
    groups = await page.locator(".group-head:visible").all_inner_texts()
    assert [text.split("\n")[0] for text in groups] == [
        "Running",
        "Waiting for you",
        "Trying again",
        "In review",
        "Waiting to start",
        "Closed and others",
    ]
    export = row(page, "SHOP-398")
    for text in ("Export orders as CSV", "the check runs: make check", "verifying", "34m", "711k", "2.41"):
        await expect(export).to_contain_text(text)
    await expect(row(page, "SHOP-395")).to_contain_text("PR open · 2")
    await expect(row(page, "SHOP-409")).to_contain_text("in 4")
    assert "SHOP-360" not in await shown(page)
    await page.get_by_role("button", name="Closed and others").click()
    await expect(row(page, "SHOP-360")).to_be_visible()


async def test_the_filter_looks_everywhere_and_survives_a_new_picture(desk: StandIn, open_tab: Open) -> None:
    """All words must be found; folded groups open for it; Esc takes it away."""
    page = await open_tab()
    await page.keyboard.press("/")
    await page.keyboard.type("done gift")
    assert await shown(page) == ["SHOP-360"]
    await expect(page.locator(".summary")).to_have_text("1 ticket of 17")
    desk.change("SHOP-412", state="Done", title="Gift wrap")
    await expect(page.locator("a.row:visible")).to_have_count(2)
    await page.keyboard.press("Escape")
    await expect(page.locator(".summary")).to_have_text("17 tickets")
    await page.get_by_role("searchbox").fill("no such")
    await expect(page.locator(".empty")).to_have_text("No ticket matches the filter.")


async def test_the_order_can_be_chosen(open_tab: Open) -> None:
    """Within each group."""
    page = await open_tab()
    await page.get_by_label("Order of tickets").select_option("cost")
    assert (await shown(page))[:6] == ["SHOP-398", "SHOP-412", "SHOP-420", "SHOP-351", "SHOP-377", "SHOP-385"]
    await page.get_by_label("Order of tickets").select_option("name")
    assert (await shown(page))[:3] == ["SHOP-398", "SHOP-412", "SHOP-420"]


async def test_a_change_moves_a_row_and_keeps_the_focus(desk: StandIn, open_tab: Open) -> None:
    """The element stays the same one: only what is different is touched."""
    page = await open_tab()
    mine = row(page, "SHOP-402")
    await mine.focus()
    await mine.evaluate("row => row.dataset.mine = 'yes'")
    desk.change("SHOP-395", title="Another title")
    await expect(row(page, "SHOP-395")).to_contain_text("Another title")
    await expect(mine).to_be_focused()
    await expect(mine).to_have_attribute("data-mine", "yes")
    desk.change("SHOP-395", phase="running")
    await expect(page.locator("section.group").filter(has_text="Running").first).to_contain_text("SHOP-395")


async def test_a_thousand_tickets_are_updated_in_place(desk: StandIn, open_tab: Open) -> None:
    """All are there, and one that changes touches only its own row."""
    many = tuple(
        msgspec.structs.replace(TICKETS[number % 11], id=TicketId(f"id-{number}"), identifier=f"MANY-{number}")
        for number in range(1000)
    )
    desk.show_with(tickets=many)
    page = await open_tab()
    await expect(page.locator(".summary")).to_have_text("1,000 tickets")
    assert await page.locator("a.row").count() == 1000
    await page.evaluate(
        """() => {
            window.touched = new Set();
            new MutationObserver((all) => all.forEach((one) => {
                const place = one.target.nodeType === 1 ? one.target : one.target.parentElement;
                touched.add(place?.closest("a.row:not(.row-head)")?.querySelector(".id").textContent ?? "elsewhere");
            })).observe(
                document.querySelector(".board"),
                {subtree: true, childList: true, attributes: true, characterData: true},
            );
        }"""
    )
    desk.change("MANY-502", title="The only one that changes")
    await expect(page.locator("a.row").filter(has_text="The only one that changes")).to_have_count(1)
    touched = set(await page.evaluate("[...touched]"))
    # Times that pass touch rows too, a few of them; a row that is made again would be among "elsewhere".
    assert "MANY-502" in touched
    assert "elsewhere" not in touched


async def test_an_empty_board_says_so(desk: StandIn, open_tab: Open) -> None:
    """Instead of showing nothing."""
    desk.show_with(tickets=())
    page = await open_tab()
    await expect(page.locator(".empty")).to_contain_text("No ticket is known")
    await page.goto(page.url.replace("#/board", "#/waiting"))
    await expect(page.locator(".empty")).to_contain_text("Nothing waits for you")


async def test_health_knows_when_the_tracker_was_read_though_nothing_has_changed(desk: StandIn, open_tab: Open) -> None:
    """That is not told by the stream: the view asks for it."""
    page = await open_tab("#/health")
    tracker = page.locator(".checks li").filter(has_text="Tracker")
    await expect(tracker).to_contain_text("read 2")
    desk.picture = msgspec.structs.replace(desk.picture, polled_ms=desk.picture.at_ms)
    await page.get_by_role("link", name="Board").click()
    await page.get_by_role("link", name="Health").click()
    await expect(tracker).to_contain_text(re.compile("read [0-9]s ago"))


async def test_what_is_wrong_is_said_on_every_view(desk: StandIn, open_tab: Open) -> None:
    """What keeps work from going on as a banner; all of it under Health."""
    desk.show_with(storage_error="the disk is full", poll_error="the tracker is away")
    page = await open_tab()
    await expect(page.locator("#banners")).to_have_text("Nothing new starts: the disk is full")
    await page.get_by_role("link", name="Health").click()
    await expect(page.locator(".checks")).to_contain_text("cannot be read: the tracker is away")
    await expect(page.locator(".summary")).to_have_text("3 things need a look")
