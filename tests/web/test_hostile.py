"""Text of tickets, agents and tools that would like to be more than text."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from playwright.async_api import Page, expect

from opensymphony.views import (
    AskView,
    Changes,
    DeliveryView,
    PullRequestView,
    TimelineEntry,
    TimelinePage,
    TranscriptEntry,
    VerificationList,
    VerificationView,
)
from tests.web.browser import PHONE, WIDE
from tests.web.conftest import Open
from tests.web.picture import NOW_MS, ticket
from tests.web.stand_in import Post, StandIn

MARKUP = '<img src=x onerror="window.owned=1"><script>window.owned=2</script></pre></textarea>\'"&amp;'
TURNED = "safe\u202egnp.exe\u2066 \u200f"
ESCAPES = "\x1b[2J\x1b[31mred\x1b]0;title\x07\x9b1m\x00\x08\x7f"
CLIMBING = "z" + "\u0336\u0310\u0353" * 60
HUGE = "W" * 60_000
ALL = f"{MARKUP} {TURNED} {ESCAPES} {CLIMBING} {HUGE}"


def fill(desk: StandIn) -> None:
    """Hostile text wherever a text can be."""
    asked = AskView(kind="approval", text=ALL, digest="<b>" + "0" * 61, asked_ms=NOW_MS, expires_ms=NOW_MS * 2)
    fields: dict[str, Any] = {
        "labels": (MARKUP, HUGE),
        "reason": ALL,
        "error": ALL,
        "activity": ALL,
        "branch": ALL,
        "workspace": ALL,
        "conversation_id": ALL,
        "outcome": ALL,
        "stage": ALL,
        "pull_request": PullRequestView(id="1", url="javascript:window.owned=3", state="open"),
    }
    evil = msgspec.structs.replace(
        ticket("EVIL-1", ALL, "running", ALL), url="data:text/html,<script>1</script>", **fields
    )
    wants = msgspec.structs.replace(ticket("EVIL-2", ALL, "needs_person", ALL), asked=asked)
    desk.show_with(
        tickets=(evil, wants), problems=(ALL,), poll_error=ALL, policy_error=ALL, storage_error=ALL, instance=ALL
    )
    kinds: tuple[Any, ...] = (
        "prompt",
        "message",
        "thought",
        "plan",
        "condensation",
        "error",
        "status",
        "question",
        "other",
    )
    desk.past.said = (
        *(TranscriptEntry(seq=at, kind=kind, text=ALL, at=ALL, tool=ALL) for at, kind in enumerate(kinds)),
        TranscriptEntry(seq=20, kind="call", command=ALL, call_id="a"),
        TranscriptEntry(seq=21, kind="result", text=ALL, call_id="a", exit_code=1),
        TranscriptEntry(seq=22, kind="call", tool=ALL, arguments=ALL, path=ALL, text=ALL),
        TranscriptEntry(seq=23, kind="result", tool=ALL, diff=f"+{ALL}\n-{ALL}\n@@ {ALL}\n{ALL}", path=ALL),
    )
    desk.past.happened = TimelinePage(entries=(TimelineEntry(sequence=1, at_ms=NOW_MS, kind=ALL, text=ALL),))
    desk.past.changed = Changes(
        diff=f"diff --git a/{ALL} b/{ALL}\n--- a/{ALL}\n+++ b/{ALL}\n@@ -1 +1 @@ {ALL}\n+{ALL}\n-{ALL}\n"
    )
    desk.past.verified = VerificationList(
        verifications=(VerificationView(sequence=1, at_ms=NOW_MS, generation=1, passed=False, output=ALL),)
    )
    post = desk.ingress
    assert isinstance(post, Post)
    post.lying = [
        DeliveryView(
            number=1,
            service=ALL,
            id=ALL,
            received_ms=NOW_MS,
            event=ALL,
            ticket=ALL,
            author=ALL,
            changes=ALL,
            detail=ALL,
        )
    ]


async def harmless(page: Page) -> None:
    """Nothing ran, nothing became markup, nothing is wider than the page, no control or direction character is left."""
    found = await page.evaluate(
        """() => ({
            owned: window.owned ?? null,
            images: document.querySelectorAll("img, iframe, main script").length,
            wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
            controls: new RegExp("[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069\\u200e\\u200f]")
                .test(document.body.textContent),
            links: [...document.querySelectorAll("a")].map((one) => one.protocol).filter((one) => !/^https?:$/.test(one)),
            title: document.title,
        })"""
    )
    assert found["owned"] is None
    assert found["images"] == 0
    assert found["wide"] <= 0, found["wide"]
    assert found["controls"] is False
    assert found["links"] == []


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
async def test_hostile_text_is_only_text(desk: StandIn, open_tab: Open, viewport: dict[str, int]) -> None:
    """On every view, in every field; it stays readable, and no page gets wider than the window."""
    fill(desk)
    page = await open_tab("#/board", viewport=viewport)
    await expect(page.locator("a.row").first).to_contain_text("<img src=x onerror=")
    await harmless(page)
    places = {
        "#/waiting": ".quote",
        "#/deliveries": ".delivery .event",
        "#/health": ".problems li",
        "#/tickets/EVIL-1": ".timeline li",
        "#/tickets/EVIL-1/transcript": ".entry.call",
        "#/tickets/EVIL-1/changes": "details.file",
        "#/tickets/EVIL-1/checks": "details.check",
    }
    for hash, place in places.items():
        await page.evaluate("hash => location.hash = hash", hash)
        await expect(page.locator(f"{place} >> visible=true").first).to_be_visible()
        await harmless(page)
    await page.evaluate("location.hash = '#/deliveries'")
    await page.locator("summary.row").click()
    await expect(page.locator(".delivery-body dd").first).to_be_visible()
    await harmless(page)
    await page.evaluate("location.hash = '#/waiting'")
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("dialog")).to_contain_text("<img src=x onerror=")
    await harmless(page)


async def test_addresses_that_are_no_web_pages_are_no_links(desk: StandIn, open_tab: Open) -> None:
    """Of a ticket and of a pull request; they are shown as plain words."""
    fill(desk)
    page = await open_tab("#/tickets/EVIL-1")
    await expect(page.locator(".links")).to_contain_text("Pull request")
    assert await page.locator(".links a").count() == 0
