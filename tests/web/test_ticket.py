"""The page of one ticket."""

from __future__ import annotations

import msgspec
from playwright.async_api import expect

from opensymphony.views import Changes, TimelineEntry, TimelinePage, TranscriptEntry, VerificationList
from tests.web.browser import Complaints
from tests.web.conftest import Open
from tests.web.past import TRANSCRIPT
from tests.web.stand_in import StandIn


async def test_it_shows_where_it_stands_and_why(open_tab: Open) -> None:
    """Facts, links, what happened, conditions and budgets."""
    page = await open_tab("#/tickets/SHOP-395")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Addresses without a house number")
    await expect(page.get_by_role("link", name="Ticket")).to_have_attribute(
        "href", "https://shop.example/browse/SHOP-395"
    )
    pull = page.get_by_role("link", name="Pull request")
    await expect(pull).to_have_attribute("href", "https://code.example/shop/pull-requests/118")
    await expect(pull).to_have_attribute("rel", "noopener noreferrer")
    await expect(page.locator(".timeline li")).to_have_count(8)
    side = page.get_by_label("Facts")
    for text in ("opensymphony/SHOP-395", "0.71", "nothing blocks it", "1.38 of 5.00", "await turn", "run 1: stopped"):
        await expect(side).to_contain_text(text)


async def test_the_transcript_has_readable_calls_and_goes_on(desk: StandIn, open_tab: Open) -> None:
    """Command, exit code and output in one card; a result that comes later goes into its call's card."""
    page = await open_tab("#/tickets/SHOP-412/transcript")
    cards = page.locator(".entry.call")
    await expect(cards).to_have_count(5)
    await expect(cards.nth(2)).to_contain_text("$ python -m pytest tests/cart -q")
    await expect(cards.nth(2).locator(".exit")).to_have_text("exit 1")
    await expect(cards.nth(2).locator(".output")).to_contain_text("1 failed, 13 passed")
    assert "\x1b" not in await cards.nth(2).inner_text()
    await expect(cards.nth(1).locator("tr.added")).to_have_count(7)
    await expect(cards.nth(4).locator(".exit")).to_have_text("running")
    desk.past.said = (
        *TRANSCRIPT,
        TranscriptEntry(seq=13, kind="result", call_id="c5", exit_code=0, text="committed"),
        TranscriptEntry(seq=14, kind="message", text="It is done."),
    )
    await expect(cards.nth(4).locator(".exit")).to_have_text("exit 0")
    await expect(page.locator(".entry.message").last).to_contain_text("It is done.")
    await expect(cards).to_have_count(5)


async def test_what_answers_a_call_stands_with_it(desk: StandIn, open_tab: Open) -> None:
    """Also a plan and an error; a thought that the call repeats is shown once."""
    desk.past.said = (
        TranscriptEntry(seq=1, kind="thought", text="I plan the work."),
        TranscriptEntry(
            seq=2, kind="call", tool="task_tracker", call_id="a", arguments='{"a": 1}', text="I plan the work."
        ),
        TranscriptEntry(seq=3, kind="plan", call_id="a", text="[ ] first"),
        TranscriptEntry(seq=4, kind="call", tool="browser", call_id="b"),
        TranscriptEntry(seq=5, kind="error", call_id="b", text="there is no such tool"),
        TranscriptEntry(seq=6, kind="plan", text="[x] first"),
    )
    page = await open_tab("#/tickets/SHOP-412/transcript")
    cards = page.locator(".entry.call")
    await expect(cards).to_have_count(2)
    assert await cards.locator(".exit").all_inner_texts() == ["done", "failed"]
    await expect(cards.first).to_contain_text("[ ] first")
    await expect(cards.first).not_to_contain_text("{")
    await expect(page.get_by_text("I plan the work.")).to_have_count(1)
    await expect(cards.last).to_contain_text("there is no such tool")
    await expect(page.locator(".entry.plan")).to_have_count(1)


async def test_long_outputs_are_folded(open_tab: Open) -> None:
    """Ten lines, and all of them when they are wanted."""
    page = await open_tab("#/tickets/SHOP-412/transcript")
    card = page.locator(".entry.call").nth(3)
    await expect(card).not_to_contain_text("14 passed")
    unfold = card.get_by_role("button", name="Output: show all 15 lines")
    await unfold.click()
    await expect(card).to_contain_text("14 passed")
    await expect(unfold).to_have_attribute("aria-expanded", "true")


async def test_older_entries_are_loaded_in_pages(desk: StandIn, open_tab: Open) -> None:
    """The newest first; what came before on demand, in its place."""
    desk.past.said = tuple(TranscriptEntry(seq=number, kind="message", text=f"word {number}") for number in range(450))
    page = await open_tab("#/tickets/SHOP-412/transcript")
    entries = page.locator(".entry.message")
    await expect(entries).to_have_count(200)
    more = page.get_by_role("button", name="Show what came before")
    await more.click()
    await expect(entries).to_have_count(400)
    await more.click()
    await expect(entries).to_have_count(450)
    await expect(more).to_be_hidden()
    await expect(entries.first).to_contain_text("word 0")
    await expect(entries.last).to_contain_text("word 449")


async def test_who_follows_a_conversation_has_its_newest_two_thousand_entries(desk: StandIn, open_tab: Open) -> None:
    """A tab that stays open does not grow. A call and a result that came much later are forgotten, and loaded, together."""
    words = [TranscriptEntry(seq=number, kind="message", text=f"word {number}") for number in range(2400)]
    words[390] = TranscriptEntry(seq=390, kind="call", tool="browser", call_id="a")
    words[420] = TranscriptEntry(seq=420, kind="result", call_id="a", text="found")
    desk.past.said = tuple(words[:200])
    page = await open_tab("#/tickets/SHOP-412/transcript")
    entries = page.locator(".talk > li")
    await expect(entries).to_have_count(200)
    desk.past.said = tuple(words)
    await expect(entries.last).to_contain_text("word 2399", timeout=30_000)
    await expect(entries.first).to_contain_text("word 421")
    await expect(entries).to_have_count(1979)
    await page.get_by_role("button", name="Show what came before").click()
    await expect(entries.first).to_contain_text("word 221")
    await expect(page.locator(".entry.call .exit")).to_have_text(["done"])


async def test_a_timeline_keeps_its_newest_two_thousand_entries(desk: StandIn, open_tab: Open) -> None:
    """Those before are asked for from where it ends."""
    desk.past.happened = TimelinePage(
        entries=tuple(TimelineEntry(sequence=at, at_ms=at, kind="seen", text=f"word {at}") for at in range(2050, 0, -1))
    )
    page = await open_tab("#/tickets/SHOP-412")
    entries = page.locator(".timeline li")
    await expect(entries).to_have_count(2000)
    await expect(entries.last).to_contain_text("word 51")
    async with page.expect_request("**/timeline?*before=52"):
        await page.get_by_role("button", name="Show what came before").click()
    await expect(entries).to_have_count(2050)


async def test_changes_are_shown_as_files_with_numbered_lines(desk: StandIn, open_tab: Open) -> None:
    """Each file folds; what was cut off is said."""
    page = await open_tab("#/tickets/SHOP-412/changes")
    await expect(page.locator(".files-sum")).to_have_text("2 files changed +14 \N{MINUS SIGN}3")
    first = page.locator("details.file").first
    await expect(first.locator("summary")).to_contain_text("shop/cart/totals.py")
    cells = first.locator("tr.deleted").first.locator("td")
    assert await cells.all_inner_texts() == ["43", "", "\N{MINUS SIGN}", "        return lines - self.discount"]
    await first.locator("summary").click()
    await expect(first.locator("table")).to_be_hidden()
    desk.past.changed = msgspec.structs.replace(desk.past.changed, truncated=True)
    desk.change("SHOP-412", turns=3)
    await expect(page.get_by_text("There is more than can be shown here")).to_be_visible()


async def test_verifications_are_shown_with_their_output(desk: StandIn, open_tab: Open) -> None:
    """The newest is open."""
    page = await open_tab("#/tickets/SHOP-412/checks")
    await expect(page.locator("details.check").first).to_contain_text("exit code 1")
    await page.get_by_role("button", name="Output").click()
    await expect(page.locator("details.check").first).to_contain_text("1 failed, 811 passed")


async def test_what_is_not_there_yet_is_said(desk: StandIn, open_tab: Open, complaints: Complaints) -> None:
    """No conversation, no change, no check, no such ticket."""
    complaints.expected = ("404",)
    desk.past.changed, desk.past.verified = Changes(diff=""), VerificationList(verifications=())
    page = await open_tab("#/tickets/SHOP-421/transcript")
    await expect(page.get_by_text("No conversation yet")).to_be_visible()
    await page.keyboard.press("3")
    await expect(page.get_by_text("The agent has changed nothing yet.")).to_be_visible()
    await page.keyboard.press("4")
    await expect(page.get_by_text("Nothing was verified yet.")).to_be_visible()
    await page.goto(page.url.replace("SHOP-421/checks", "NONE-1"))
    await expect(page.get_by_text("The daemon knows no ticket NONE-1")).to_be_visible()


async def test_what_it_asks_stands_on_its_page_too(desk: StandIn, open_tab: Open) -> None:
    """A question is answered where one reads about it; when it is answered it goes away."""
    page = await open_tab("#/tickets/SHOP-385")
    await page.get_by_role("textbox", name="Your answer").fill("To the product.")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#toasts")).to_contain_text("so be it")
    desk.change("SHOP-385", asked=None, phase="running")
    await expect(page.locator(".need")).to_be_hidden()
