"""What has happened with the tickets of the picture: conversations, timelines, changes, checks and figures, always the same."""

from __future__ import annotations

import json
from datetime import date, timedelta

from opensymphony.views import (
    Changes,
    DayFigures,
    RunFigures,
    Statistics,
    TimelineEntry,
    TimelinePage,
    TranscriptEntry,
    TranscriptPage,
    VerificationList,
    VerificationView,
)
from tests.web.picture import HOUR_MS, MINUTE_MS, NOW_MS, ago, used

CONVERSATION = "6f1c0a52-9f37-4a7e-8a55-000000000412"

PASSED = "\n".join([*(f"tests/cart/test_totals.py::test_total_{at} PASSED" for at in range(14)), "14 passed in 3.02 s"])

EDIT_LINES = (
    "@@ -41,7 +41,11 @@ class Cart:",
    "     def total(self) -> Money:",
    "         lines = sum((line.price for line in self.lines), Money.zero())",
    "-        return lines - self.discount",
    "+        return max(lines - self.discount, Money.zero())",
    " ",
    "-    @cached_property",
    "+    @property",
    "     def discount(self) -> Money:",
    "-        return sum((v.worth(self) for v in self.vouchers), Money.zero())",
    "+        # Not cached: vouchers come and go while the cart is open, at login for one.",
    "+        return sum(",
    "+            (voucher.worth(self) for voucher in self.vouchers if voucher.is_valid()),",
    "+            Money.zero(),",
    "+        )",
)
EDIT = "\n".join(EDIT_LINES) + "\n"

TRANSCRIPT: tuple[TranscriptEntry, ...] = (
    TranscriptEntry(
        seq=0,
        kind="prompt",
        at="2026-09-09T14:48:02",
        text=(
            "You work on SHOP-412: Cart total ignores vouchers that were added after login.\n\n"
            "Whoever adds a voucher as a guest and then logs in sees it in the cart, but the total is without it. "
            "Find out why, mend it, and add a test that fails without the change."
        ),
    ),
    TranscriptEntry(
        seq=1, kind="thought", at="2026-09-09T14:48:09", text="I look at where the total is computed first."
    ),
    TranscriptEntry(
        seq=2,
        kind="call",
        at="2026-09-09T14:48:09",
        tool="terminal",
        call_id="c1",
        command="git grep -n 'discount' shop/cart",
    ),
    TranscriptEntry(
        seq=3,
        kind="result",
        at="2026-09-09T14:48:10",
        tool="terminal",
        call_id="c1",
        exit_code=0,
        text="shop/cart/totals.py:44:        return lines - self.discount\n"
        "shop/cart/totals.py:46:    @cached_property\nshop/cart/totals.py:47:    def discount(self) -> Money:",
    ),
    TranscriptEntry(
        seq=4,
        kind="message",
        at="2026-09-09T14:48:31",
        text="`discount` is cached on the first read. At login the guest's vouchers are merged after that, "
        "so the old value stays.",
    ),
    TranscriptEntry(
        seq=5,
        kind="call",
        at="2026-09-09T14:49:12",
        tool="file_editor",
        call_id="c2",
        path="shop/cart/totals.py",
        arguments=json.dumps({"command": "str_replace"}),
    ),
    TranscriptEntry(
        seq=6,
        kind="result",
        at="2026-09-09T14:49:12",
        tool="file_editor",
        call_id="c2",
        path="shop/cart/totals.py",
        diff=EDIT,
        text="edited",
    ),
    TranscriptEntry(
        seq=7,
        kind="call",
        at="2026-09-09T14:50:40",
        tool="terminal",
        call_id="c3",
        command="python -m pytest tests/cart -q",
    ),
    TranscriptEntry(
        seq=8,
        kind="result",
        at="2026-09-09T14:50:46",
        tool="terminal",
        call_id="c3",
        exit_code=1,
        failed=True,
        text="\x1b[31mF\x1b[0m.............                                          [100%]\n"
        "E   AssertionError: assert Money('-5.00') == Money('0.00')\n1 failed, 13 passed in 2.91 s",
    ),
    TranscriptEntry(seq=9, kind="status", at="2026-09-09T14:50:58", text="the agent goes on"),
    TranscriptEntry(
        seq=10,
        kind="call",
        at="2026-09-09T14:51:20",
        tool="terminal",
        call_id="c4",
        command="python -m pytest tests/cart -v",
    ),
    TranscriptEntry(
        seq=11, kind="result", at="2026-09-09T14:51:26", tool="terminal", call_id="c4", exit_code=0, text=PASSED
    ),
    TranscriptEntry(
        seq=12,
        kind="call",
        at="2026-09-09T14:59:48",
        tool="terminal",
        call_id="c5",
        command="git add -A && git commit -qm 'Count vouchers that were added after login'",
    ),
)


def transcript(
    entries: tuple[TranscriptEntry, ...], limit: int, before: int | None, after: int | None
) -> TranscriptPage:
    """As the daemon gives it."""
    if after is not None:
        found = tuple(one for one in entries if one.seq > after)[:limit]
    else:
        found = tuple(one for one in entries if before is None or one.seq < before)[-limit:]
    first = found[0].seq if found else None
    older = first is not None and entries[0].seq < first
    newest = found[-1].seq if found else (after if after is not None else -1)
    return TranscriptPage(conversation_id=CONVERSATION, entries=found, before=first if older else None, after=newest)


HAPPENED = (
    (48_201, 2.0, "stage_entered", "the agent works on what the check has found"),
    (48_180, 3.0, "verified", "make check failed with exit code 1: 1 of 812 tests"),
    (48_122, 4.0, "stage_entered", "commit 4f2a91c is being verified"),
    (48_020, 9.0, "message", "Ada Quist: please keep the rounding as it is"),
    (47_911, 11.2, "stage_entered", "the agent works on the ticket"),
    (47_902, 11.6, "stage_entered", "workspace and branch opensymphony/SHOP-412 were made"),
    (47_893, 12.0, "run_started", "run 1 started: a place became free after 26 min"),
    (46_110, 38.0, "seen", "it was seen in the tracker for the first time, in To Do"),
)
TIMELINE = TimelinePage(
    entries=tuple(
        TimelineEntry(
            sequence=sequence,
            at_ms=ago(minutes),
            kind=kind,
            text=text,
            generation=None if kind == "seen" else 1,
            failed=kind == "verified",
        )
        for sequence, minutes, kind, text in HAPPENED
    )
)

CHANGES = Changes(
    diff=f"""\
diff --git a/shop/cart/totals.py b/shop/cart/totals.py
index 4f2a91c..8b1d00e 100644
--- a/shop/cart/totals.py
+++ b/shop/cart/totals.py
{EDIT}diff --git a/tests/cart/test_totals.py b/tests/cart/test_totals.py
index 71aa3b0..0c9d1f2 100644
--- a/tests/cart/test_totals.py
+++ b/tests/cart/test_totals.py
@@ -88,2 +88,9 @@ def test_total_without_vouchers() -> None:
     cart = Cart(lines=[Line("book", Money("12.00"))])
     assert cart.total() == Money("12.00")
+
+
+def test_a_voucher_that_comes_at_login_counts() -> None:
+    cart = Cart(lines=[Line("book", Money("12.00"))])
+    assert cart.total() == Money("12.00")
+    cart.merge(guest_cart(vouchers=[Voucher("FIVE", Money("5.00"))]))
+    assert cart.total() == Money("7.00")
"""
)

VERIFICATIONS = VerificationList(
    verifications=(
        VerificationView(
            sequence=48_180,
            at_ms=ago(3),
            generation=1,
            passed=False,
            exit_code=1,
            output="make check\nruff check .\nAll checks passed!\npython -m pytest -q\n"
            + "........................................................................ [  8%]\n" * 11
            + "FAILED tests/cart/test_totals.py::test_total_is_never_negative\n1 failed, 811 passed in 41.20 s\n"
            "make: *** [Makefile:9: check] Error 1",
        ),
    )
)


def _spread(seed: int) -> int:
    """A number below 1000 that looks like chance and is always the same."""
    return (seed * 7919 + 104_729) * (seed + 31) % 1000


def statistics(days: int) -> Statistics:
    """A month in which it gets busier; weekends are quiet."""
    today = date(2026, 9, 9)
    figures: list[DayFigures] = []
    runs: list[RunFigures] = []
    for back in range(days - 1, -1, -1):
        day = today - timedelta(days=back)
        busy = 0 if day.weekday() > 4 else 3 + (90 - min(back, 90)) // 15 + _spread(back) % 4
        if day.weekday() == 5:
            busy = _spread(back) % 2
        good = busy - (1 if busy > 4 and _spread(back + 500) > 400 else 0)
        prompt = busy * (260_000 + _spread(back) * 300)
        figures.append(
            DayFigures(
                day=day.isoformat(), usage=used(prompt, prompt // 33, prompt * 34 // 10), runs=busy, succeeded=good
            )
        )
        for at in range(busy):
            chance = _spread(back * 16 + at)
            began = NOW_MS - back * 24 * HOUR_MS - at * HOUR_MS
            long = (2 + chance % 55) * MINUTE_MS
            runs.append(
                RunFigures(
                    identifier=f"SHOP-{300 + (back * 16 + at) % 37 + (30 - min(back, 30)) * 3}",
                    generation=1,
                    waited_ms=chance * chance * 40,
                    started_ms=began - long,
                    ended_ms=began,
                    outcome="succeeded" if at < good else "failed",
                    usage=used(prompt // busy, prompt // busy // 33, (prompt // busy) * (20 + chance % 40) // 10),
                )
            )
    return Statistics(days=tuple(figures), runs=tuple(sorted(runs, key=lambda one: -one.ended_ms)[:1000]))
