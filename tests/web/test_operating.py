"""What a person does in the dashboard, and what the daemon is asked then."""

from __future__ import annotations

import anyio
import msgspec
import pytest
from msgspec.structs import replace
from playwright.async_api import Page, expect

from opensymphony.model import SHORTENED
from opensymphony.views import AskView
from tests.web.browser import Complaints
from tests.web.conftest import Open
from tests.web.picture import APPROVAL, QUESTION, ago
from tests.web.stand_in import Post, StandIn


def asked(desk: StandIn) -> list[tuple[str, str | None, dict[str, object]]]:
    """Without the request's id and its author."""
    return [
        (action, who, {k: v for k, v in given.items() if v and k not in ("request_id", "author")})
        for action, who, given in desk.asked
    ]


async def told(page: Page, text: str) -> None:
    await expect(page.locator("#toasts")).to_contain_text(text)


async def test_an_approval_is_given_for_exactly_what_was_shown(desk: StandIn, open_tab: Open) -> None:
    """It is confirmed first, with the exact actions; the request names them by their whole digest."""
    page = await open_tab("#/waiting")
    card = page.get_by_role("article").filter(has_text="SHOP-377")
    await expect(card).to_contain_text(f"digest {APPROVAL.digest[:12]}")
    await card.get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("ALTER TABLE invoices ADD COLUMN rounding text")
    assert asked(desk) == []
    await dialog.get_by_role("button", name="Approve exactly this").click()
    await told(page, "SHOP-377: so be it")
    assert asked(desk) == [("approve", "SHOP-377", {"digest": APPROVAL.digest})]
    assert desk.asked[0][2]["author"] == "dashboard"


async def test_of_an_approval_that_is_shortened_only_the_beginning_is_shown(desk: StandIn, open_tab: Open) -> None:
    """And that is said: nobody approves what they believe to have seen whole."""
    desk.change("SHOP-377", asked=replace(APPROVAL, text=f"terminal: rm {SHORTENED}"))
    page = await open_tab("#/waiting")
    card = page.get_by_role("article").filter(has_text="SHOP-377")
    await expect(card).to_contain_text("only the beginning is shown; digest")
    await card.get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Only the beginning is shown")
    await expect(dialog).not_to_contain_text("Exactly this")
    await dialog.get_by_role("button", name="Approve all of it").click()
    await told(page, "SHOP-377: so be it")
    assert asked(desk) == [("approve", "SHOP-377", {"digest": APPROVAL.digest})]


async def test_an_approval_is_refused_with_a_reason(desk: StandIn, open_tab: Open) -> None:
    """Esc refuses nothing."""
    page = await open_tab("#/waiting")
    reject = page.get_by_role("article").filter(has_text="SHOP-377").get_by_role("button", name="Refuse")
    await reject.click()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(reject).to_be_focused()
    assert asked(desk) == []
    await reject.click()
    await page.get_by_label("Why").fill("not on staging")
    await page.get_by_role("dialog").get_by_role("button", name="Refuse").click()
    await told(page, "so be it")
    assert asked(desk) == [("reject", "SHOP-377", {"digest": APPROVAL.digest, "text": "not on staging"})]


async def test_a_question_is_answered(desk: StandIn, open_tab: Open) -> None:
    """The answer is a message; nothing empty is sent, and the field is empty once it was taken."""
    page = await open_tab("#/waiting")
    card = page.get_by_role("article").filter(has_text="SHOP-385")
    field, send = card.get_by_label("Your answer"), card.get_by_role("button", name="Send the answer")
    await field.fill("   ")
    await expect(send).to_be_disabled()
    await field.fill("To the product.")
    await send.click()
    await told(page, "SHOP-385: so be it")
    await expect(field).to_have_value("")
    assert asked(desk) == [("message", "SHOP-385", {"text": "To the product."})]
    desk.change("SHOP-385", asked=None, phase="waiting_to_start", reason="answered")
    await expect(card).to_have_count(0)


async def test_a_half_written_answer_outlives_a_new_picture(desk: StandIn, open_tab: Open) -> None:
    """Rows are updated in place: what a person writes, and where the cursor is, stays."""
    page = await open_tab("#/waiting")
    field = page.get_by_role("textbox", name="Your answer")
    await field.fill("To the")
    desk.change("SHOP-412", reason="something else", title="Another title")
    desk.change("SHOP-377", asked=None, phase="running")
    await expect(page.get_by_role("article")).to_have_count(2)
    await expect(field).to_have_value("To the")
    await expect(field).to_be_focused()


async def test_a_half_written_answer_keeps_the_focus_when_cards_go_or_change_places(
    desk: StandIn, open_tab: Open
) -> None:
    """A card before it goes, and then it is moved itself: what is typed next goes on being the answer."""
    desk.change("SHOP-377", since_ms=ago(200))
    desk.change("SHOP-351", asked=msgspec.structs.replace(APPROVAL, digest="another"), since_ms=ago(100))
    page = await open_tab("#/waiting")
    cards = page.get_by_role("article")
    await expect(cards.last).to_contain_text("SHOP-385")
    field = page.get_by_role("textbox", name="Your answer")
    await field.fill("To ")
    desk.change("SHOP-377", asked=None, phase="running")
    await expect(cards).to_have_count(2)
    await page.keyboard.type("the t")
    desk.change("SHOP-385", since_ms=ago(300))
    await expect(cards.first).to_contain_text("SHOP-385")
    await page.keyboard.type("right")
    await expect(field).to_have_value("To the tright")
    await expect(field).to_be_focused()


async def test_an_answer_sent_again_after_silence_is_given_once(
    desk: StandIn, open_tab: Open, complaints: Complaints
) -> None:
    """The same text has the same id; another text, or the same once it was taken or refused, another one."""
    complaints.expected = ("503", "409")
    desk.silent = True
    page = await open_tab("#/waiting")
    field, send = page.get_by_role("textbox", name="Your answer"), page.get_by_role("button", name="Send the answer")
    again = page.get_by_role("button", name="Try again")
    await field.fill("To the product.")
    await send.click()
    await expect(again).to_have_count(1)
    await expect(send).to_be_enabled()
    await send.click()
    await expect(send).to_be_enabled()
    await expect(again).to_have_count(1)
    desk.silent = False
    await again.click()
    await told(page, "so be it")
    await expect(field).to_have_value("")
    await expect(send).to_be_disabled()
    for text in ("To the product.", "To the page."):
        await field.fill(text)
        await send.click()
        await expect(field).to_have_value("")
    desk.accepts = False
    for _ in range(2):
        await field.fill("Neither.")
        await send.click()
        await expect(send).to_be_enabled()
    ids = [given["request_id"] for _, _, given in desk.asked]
    assert len(ids) == 7
    assert len(set(ids[:3])) == 1
    assert len(set(ids[2:])) == 5, "after an answer it is another request"


async def test_what_can_be_tried_again_is_not_pushed_away(
    desk: StandIn, open_tab: Open, complaints: Complaints
) -> None:
    """By any number of later lines."""
    complaints.expected = ("503",)
    desk.silent = True
    page = await open_tab("#/waiting")
    await page.get_by_role("textbox", name="Your answer").fill("x")
    await page.keyboard.press("Control+Enter")
    again = page.get_by_role("button", name="Try again")
    await expect(again).to_be_visible()
    await page.keyboard.press("Escape")
    for number in range(6):
        desk.waits = f"pause {number}"
        await page.keyboard.press("r")
        await told(page, f"pause {number}")
    await expect(page.locator(".toast")).to_have_count(4)
    await expect(again).to_be_visible()


@pytest.mark.parametrize("now", [None, msgspec.structs.replace(QUESTION, text="And the images?", digest="another")])
async def test_an_answer_is_given_to_the_question_that_was_shown(
    desk: StandIn, open_tab: Open, now: AskView | None
) -> None:
    """In a dialog that is open while the question changes: nothing is sent, and the text is there at the next opening."""
    page = await open_tab("#/tickets/SHOP-385")
    await page.keyboard.press("m")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Your answer").fill("To the product.")
    desk.change("SHOP-385", asked=now, phase="running" if now is None else "needs_person")
    await expect(page.locator(".need .quote")).to_have_text([now.text] if now is not None else [])
    await dialog.get_by_role("button", name="Send the answer").click()
    await expect(page.locator(".toast.failed")).to_contain_text("your text was not sent, and is kept")
    await page.locator(".ticket-head").get_by_role("button", name="Message" if now is None else "Answer").click()
    await expect(dialog.get_by_role("textbox")).to_have_value("To the product.")
    assert desk.asked == []
    await dialog.get_by_role("button", name="Send").click()
    await told(page, "so be it")
    assert asked(desk) == [("message", "SHOP-385", {"text": "To the product."})]


async def test_an_answer_in_a_card_is_given_to_the_question_that_was_shown(desk: StandIn, open_tab: Open) -> None:
    """Also in the moment before the new question is drawn."""
    page = await open_tab("#/waiting")
    field = page.get_by_role("textbox", name="Your answer")
    await field.fill("To the product.")
    await page.evaluate("() => { window.held = []; window.requestAnimationFrame = (draw) => window.held.push(draw); }")
    desk.show_with(
        paused=True,  # the banner comes with the clock's tick, and says that the picture is there
        tickets=tuple(
            msgspec.structs.replace(
                one, asked=msgspec.structs.replace(QUESTION, text="And the images?", digest="another")
            )
            if one.identifier == "SHOP-385"
            else one
            for one in desk.picture.tickets
        ),
    )
    await expect(page.locator("#banners")).to_contain_text("Everything is paused")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".toast.failed")).to_contain_text("it asks something else by now")
    assert desk.asked == []
    await page.evaluate("() => window.held.forEach((draw) => draw())")
    await expect(page.get_by_role("article").filter(has_text="And the images?")).to_be_visible()
    await expect(field).to_have_value("To the product.")


@pytest.mark.parametrize("trouble", ["refused", "silent"])
async def test_a_message_that_was_not_taken_is_kept(
    desk: StandIn, open_tab: Open, trouble: str, complaints: Complaints
) -> None:
    """By ticket, until it is taken."""
    complaints.expected = ("409", "503")
    desk.accepts, desk.silent = trouble != "refused", trouble == "silent"
    page = await open_tab("#/tickets/SHOP-412")
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_label("Message", exact=True)
    await page.keyboard.press("m")
    await field.fill("keep the rounding")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".toast.failed")).to_be_visible()
    await page.goto(page.url.replace("SHOP-412", "SHOP-398"))
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Export orders")
    await page.keyboard.press("m")
    await expect(field).to_have_value("")
    await page.keyboard.press("Escape")
    await page.goto(page.url.replace("SHOP-398", "SHOP-412"))
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Cart total")
    desk.accepts, desk.silent = True, False
    await page.keyboard.press("m")
    await expect(field).to_have_value("keep the rounding")
    await page.keyboard.press("Control+Enter")
    await told(page, "so be it")
    await page.keyboard.press("m")
    await expect(field).to_have_value("")
    assert len({given["request_id"] for _, _, given in desk.asked}) == (1 if trouble == "silent" else 2)


async def test_a_run_is_stopped_after_a_confirmation(desk: StandIn, open_tab: Open) -> None:
    """From the ticket's page; the reason goes along."""
    page = await open_tab("#/tickets/SHOP-412")
    await page.get_by_role("button", name="Stop").click()
    assert asked(desk) == []
    await page.get_by_label("Why").fill("wrong branch")
    await page.get_by_role("button", name="Stop the run").click()
    await told(page, "SHOP-412: so be it")
    assert asked(desk) == [("stop", "SHOP-412", {"text": "wrong branch"})]


async def test_a_message_is_sent(desk: StandIn, open_tab: Open) -> None:
    """By its key, and with Ctrl+Enter; an empty one is not sent."""
    page = await open_tab("#/tickets/SHOP-412")
    await page.keyboard.press("m")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Send").click()
    await expect(dialog).to_be_visible()
    await dialog.get_by_label("Message", exact=True).fill("keep the rounding\nas it is")
    await page.keyboard.press("Control+Enter")
    await told(page, "so be it")
    assert asked(desk) == [("message", "SHOP-412", {"text": "keep the rounding\nas it is"})]


async def test_pause_retry_and_resume_of_a_ticket(desk: StandIn, open_tab: Open) -> None:
    """Each where it applies; the agent may be left to finish."""
    page = await open_tab("#/tickets/SHOP-412")
    await expect(page.get_by_role("button", name="Retry")).to_be_hidden()
    await page.get_by_role("button", name="Pause", exact=True).click()
    await page.get_by_label("Let the agent finish").check()
    await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    await told(page, "so be it")
    desk.change("SHOP-412", paused=True, phase="needs_person", reason="paused")
    await page.get_by_role("button", name="Resume", exact=True).click()
    await page.get_by_role("button", name="Resume it").click()
    await expect(page.locator(".toast")).to_have_count(2)
    await page.locator(".ticket-head").get_by_role("button", name="Retry").click()
    await page.get_by_role("button", name="Try again now").click()
    await expect(page.locator(".toast")).to_have_count(3)
    assert asked(desk) == [
        ("pause", "SHOP-412", {"finish": True}),
        ("resume", "SHOP-412", {}),
        ("retry", "SHOP-412", {}),
    ]


async def test_a_ticket_goes_on_in_another_conversation_or_with_more_money(desk: StandIn, open_tab: Open) -> None:
    """Both after a confirmation; more money only where its own budget is what keeps it."""
    page = await open_tab("#/tickets/SHOP-412")
    head = page.locator(".ticket-head")
    await expect(head.get_by_role("button", name="Spend more")).to_be_hidden()
    await head.get_by_role("button", name="New conversation").click()
    await page.get_by_role("button", name="Begin another conversation").click()
    await told(page, "so be it")
    desk.change("SHOP-412", phase="needs_person", reason="the budget of the ticket is used up")
    await head.get_by_role("button", name="Spend more").click()
    await page.get_by_role("button", name="Let it spend").click()
    await expect(page.locator(".toast")).to_have_count(2)
    assert asked(desk) == [("rehydrate", "SHOP-412", {}), ("budget", "SHOP-412", {})]


async def test_everything_is_paused_and_resumed(desk: StandIn, open_tab: Open) -> None:
    """After a confirmation; while it is paused every view says so."""
    page = await open_tab("#/health")
    await page.get_by_role("button", name="Pause everything").click()
    await page.get_by_role("dialog").get_by_role("button", name="Pause everything").click()
    await told(page, "so be it")
    desk.show_with(paused=True)
    await expect(page.locator("#banners")).to_contain_text("Everything is paused")
    await page.get_by_role("button", name="Resume everything").click()
    await page.get_by_role("dialog").get_by_role("button", name="Resume everything").click()
    await expect(page.locator(".toast")).to_have_count(2)
    assert asked(desk) == [("pause", None, {}), ("resume", None, {})]


async def test_nothing_goes_on_without_a_confirmation(desk: StandIn, open_tab: Open) -> None:
    """A button can become another one under the pointer: what it does then is asked first."""
    desk.change("SHOP-412", paused=True, phase="needs_person", reason="paused")
    desk.show_with(paused=True)
    page = await open_tab("#/tickets/SHOP-412")
    for name in ("Resume everything", "Resume", "Retry"):
        await page.get_by_role("button", name=name, exact=True).first.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
    assert desk.asked == []


async def test_the_tracker_is_looked_at_now(desk: StandIn, open_tab: Open) -> None:
    """And when that has to wait, it says why."""
    page = await open_tab("#/board")
    await page.get_by_role("button", name="Look at the tracker now").click()
    await told(page, "The tracker is looked at now.")
    desk.waits = "it asked for a pause"
    await page.keyboard.press("r")
    await told(page, "it asked for a pause")
    assert desk.refreshed == 2


async def test_a_delivery_is_shown_and_replayed(desk: StandIn, open_tab: Open) -> None:
    """With its body; the new outcome stands there at once."""
    page = await open_tab("#/deliveries")
    failed = page.locator("details.delivery").filter(has_text="SHOP-351")
    await failed.locator("summary").click()
    await expect(failed).to_contain_text('"webhookEvent": "jira:issue_updated"')
    await expect(failed.locator(".outcome")).to_have_text("failed")
    await failed.get_by_role("button", name="Replay").click()
    await told(page, "Event 635 is looked at once more.")
    await expect(failed.locator(".outcome")).to_have_text("looked")
    post = desk.ingress
    assert isinstance(post, Post)
    assert post.replayed == [635]


async def test_the_newest_five_hundred_deliveries_are_kept(desk: StandIn, open_tab: Open) -> None:
    """More when they are asked for."""
    post = desk.ingress
    assert isinstance(post, Post)
    post.lying = [msgspec.structs.replace(post.lying[0], number=number) for number in range(620, 0, -1)]
    page = await open_tab("#/deliveries")
    rows = page.locator("details.delivery")
    await expect(rows).to_have_count(500)
    await page.get_by_role("button", name="Show earlier ones").click()
    await expect(rows).to_have_count(620)


async def test_without_webhooks_it_says_how_to_have_them(desk: StandIn, open_tab: Open, complaints: Complaints) -> None:
    """Instead of an empty list."""
    complaints.expected = ("404",)
    desk.ingress = None
    page = await open_tab("#/deliveries")
    await expect(page.locator(".empty")).to_contain_text("public.port")


async def test_a_refusal_is_told_and_nothing_is_asked_twice(
    desk: StandIn, open_tab: Open, complaints: Complaints
) -> None:
    """What the daemon says stands in the answer; each request has an id of its own."""
    complaints.expected = ("409",)
    desk.accepts = False
    page = await open_tab("#/tickets/SHOP-351")
    retry = page.locator(".ticket-head").get_by_role("button", name="Retry")
    await retry.click()
    await page.get_by_role("button", name="Try again now").click()
    await expect(page.locator(".toast.failed")).to_contain_text("SHOP-351: so be it")
    await retry.click()
    await page.get_by_role("button", name="Try again now").click()
    await expect(page.locator(".toast.failed")).to_have_count(2)
    ids = [given["request_id"] for _, _, given in desk.asked]
    assert len(set(ids)) == 2


async def test_a_request_without_an_answer_is_asked_again_with_the_same_id(
    desk: StandIn, open_tab: Open, complaints: Complaints
) -> None:
    """Nobody knows whether it was done: the same id makes sure that it is done once."""
    complaints.expected = ("503",)
    desk.silent = True
    page = await open_tab("#/tickets/SHOP-351")
    await page.locator(".ticket-head").get_by_role("button", name="Retry").click()
    await page.get_by_role("button", name="Try again now").click()
    again = page.locator(".toast").get_by_role("button", name="Try again")
    await expect(again).to_be_visible()
    desk.silent = False
    await again.click()
    await told(page, "so be it")
    assert len(desk.asked) == 2
    assert desk.asked[0] == desk.asked[1]


@pytest.mark.parametrize("name", ["a/b c%&?#", "...", "ünï-1"])
async def test_odd_names_find_their_ticket(desk: StandIn, open_tab: Open, name: str) -> None:
    """Slashes, blanks and signs of addresses are part of a name."""
    desk.change("SHOP-412", identifier=name)
    page = await open_tab("#/board")
    await page.get_by_role("link").filter(has_text="Cart total").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Cart total")
    await page.get_by_role("button", name="Message").click()
    await page.get_by_role("dialog").get_by_label("Message", exact=True).fill("x")
    await page.get_by_role("dialog").get_by_role("button", name="Send").click()
    await told(page, "so be it")
    assert desk.asked[0][:2] == ("message", name)


@pytest.mark.parametrize("name", [".", ".."])
async def test_names_that_browsers_fold_are_never_asked_for(desk: StandIn, open_tab: Open, name: str) -> None:
    """To pause the ticket `..` would pause everything: nothing leaves the page, reads neither."""
    desk.change("SHOP-412", identifier=name)
    page = await open_tab("#/board")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    await page.get_by_role("link").filter(has_text="Cart total").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Cart total")
    await expect(page.get_by_role("tabpanel")).to_contain_text("A browser cannot ask for a ticket")
    await page.get_by_role("button", name="Pause", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    await expect(page.locator(".toast.failed")).to_contain_text(f"a ticket with the name “{name}”")
    await expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    assert desk.asked == []
    assert [url for url in sent if "/api/v1/" in url] == []


async def test_asked_in_the_middle_of_many_changes(desk: StandIn, open_tab: Open) -> None:
    """A busy daemon does not take a dialog away."""
    page = await open_tab("#/tickets/SHOP-412")
    await page.get_by_role("button", name="Stop").click()
    for number in range(10):
        desk.change("SHOP-412", activity=f"step {number}")
        await anyio.sleep(0.06)
    await expect(page.locator(".ticket-head .sentence")).to_have_text("step 9")
    await page.get_by_role("button", name="Stop the run").click()
    await told(page, "so be it")
    assert asked(desk) == [("stop", "SHOP-412", {})]
