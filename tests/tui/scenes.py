"""Pictures that a daemon could show, each of one situation, always the same."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from opensymphony.model import Phase, ServerState, TicketId, Usage
from opensymphony.views import (
    AskView,
    BudgetView,
    Changes,
    Explanation,
    PullRequestView,
    Rule,
    Snapshot,
    TicketView,
    TimelineEntry,
    TimelinePage,
    TranscriptEntry,
    VerificationList,
    VerificationView,
)

NOW_MS = 1_700_000_000_000
MINUTE_MS = 60_000
DIGEST = "4f1c2a9be07d5563a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718"
FORGED = "\x1b[2J\x1b]0;owned\x07[red]red[/red] [@click=app.quit]here[/] \u202eesrever\u202c a\u200bb \x9b31m"
"""What an attacker would like a terminal, or Textual, to obey."""


def ticket(name: str, title: str, phase: Phase, minutes: float = 5, **fields: Any) -> TicketView:
    return TicketView(
        id=TicketId(f"id-{name}"),
        identifier=name,
        title=title,
        state=fields.pop("state", "In Progress"),
        phase=phase,
        since_ms=NOW_MS - int(minutes * MINUTE_MS),
        url=f"https://tracker.example/browse/{name}",
        **fields,
    )


def used(tokens: int, micros: int, calls: int = 10) -> Usage:
    return Usage(prompt_tokens=tokens * 9 // 10, completion_tokens=tokens // 10, cost_micros=micros, model_calls=calls)


QUESTION = AskView(
    kind="question",
    text="Shall the old format still be read, or is a clear error enough?\nBoth are small.",
    digest="a1b2c3d4e5f6",
    asked_ms=NOW_MS - 12 * MINUTE_MS,
    expires_ms=NOW_MS + 48 * MINUTE_MS,
)
APPROVAL = AskView(
    kind="approval",
    text="terminal: npm install --save left-pad@1.3.0\nterminal: rm -rf node_modules/.cache",
    digest=DIGEST,
    asked_ms=NOW_MS - 3 * MINUTE_MS,
    expires_ms=NOW_MS + 57 * MINUTE_MS,
)
WORKING = ticket(
    "SHOP-118",
    "Discounts are rounded twice in the basket",
    "running",
    7,
    stage="working",
    activity="ran the tests of the basket: 2 of 41 fail",
    turns=2,
    attempts=1,
    generation=1,
    branch="opensymphony/SHOP-118",
    conversation_id="7f9d1c52-0000-4000-8000-000000000118",
    workspace="~/agents/SHOP-118",
    usage=used(184_300, 420_000),
    started_ms=NOW_MS - 9 * MINUTE_MS,
    last_activity_ms=NOW_MS - 20_000,
    reason="the agent works on it",
    priority=2,
    labels=("agent", "basket"),
)
TICKETS = (
    ticket(
        "SHOP-131",
        "Import of orders from the old shop",
        "needs_person",
        12,
        asked=QUESTION,
        turns=4,
        generation=1,
        usage=used(412_000, 1_130_000),
        reason="the agent asks a question",
    ),
    ticket(
        "SHOP-127",
        "Pin the versions of the build tools",
        "needs_person",
        3,
        asked=APPROVAL,
        turns=1,
        generation=1,
        usage=used(38_500, 90_000),
        reason="the agent wants to do something that needs an approval",
    ),
    WORKING,
    ticket(
        "SHOP-120",
        "Search finds nothing after an umlaut: Zürich, München",
        "running",
        2,
        stage="verifying",
        activity="wrote a test for it",
        turns=1,
        generation=1,
        usage=used(61_000, 140_000),
        reason="its check runs",
    ),
    ticket(
        "SHOP-122",
        "日本語の請求書が文字化けする 🧾",
        "running",
        1,
        stage="preparing",
        generation=2,
        usage=used(5_200, 12_000),
        reason="its workspace is being made",
    ),
    ticket(
        "SHOP-109",
        "Nightly report is sent to people who have left",
        "retrying",
        4,
        failures=3,
        due_ms=NOW_MS + 95_000,
        error="the model's provider answers 529",
        reason="the model's provider is overloaded; tried again later",
        usage=used(22_000, 51_000),
    ),
    ticket(
        "SHOP-101",
        "Login page forgets where one came from",
        "in_review",
        180,
        state="In Review",
        verified=True,
        commit="9c1f0a77b1",
        branch="opensymphony/SHOP-101",
        usage=used(301_000, 640_000),
        turns=3,
        pull_request=PullRequestView(
            id="57", url="https://code.example/shop/pull-requests/57", state="open", rounds=1, open_threads=2
        ),
        reason="its pull request is open",
    ),
    ticket(
        "SHOP-140",
        "Delete accounts after a year",
        "waiting_to_start",
        31,
        state="To Do",
        reason="all 3 places are taken",
    ),
    ticket(
        "SHOP-141",
        "Show delivery costs before the last step",
        "waiting_to_start",
        55,
        state="To Do",
        reason="it is blocked by SHOP-118",
    ),
    ticket("SHOP-88", "Typing errors in the imprint", "closed", 1500, state="Done", usage=used(12_000, 20_000)),
)
IDLE = Snapshot(
    sequence=7,
    at_ms=NOW_MS,
    instance="shop on build-1",
    status="running",
    server=ServerState(status="ready", base_url="http://127.0.0.1:8000", version="1.58.0"),
    tickets=(),
    max_concurrent_agents=3,
    next_poll_ms=NOW_MS + 12_000,
    day="2023-11-14",
)
BUSY = structs.replace(
    IDLE,
    sequence=4_711,
    tickets=TICKETS,
    spent_day=used(1_036_000, 2_503_000),
    budgets=(
        BudgetView(scope="day", unit="cost_micros", limit=10_000_000, spent=2_503_000, reserved=300_000),
        BudgetView(scope="project", unit="tokens", limit=20_000_000, spent=17_400_000, reserved=100_000),
    ),
)
WAITING = structs.replace(
    BUSY,
    tickets=tuple(view for view in TICKETS if view.phase in ("needs_person", "waiting_to_start")),
    paused=True,
    paused_since_ms=NOW_MS - 5 * MINUTE_MS,
    poll_error="jira: no connection to shop.atlassian.example (timed out)",
    poll_error_since_ms=NOW_MS - 2 * MINUTE_MS,
    problems=("board/SHOP-150.md:2: no title",),
)
HOSTILE = structs.replace(
    BUSY,
    instance=f"one {FORGED}",
    tickets=(
        ticket(
            "EVIL-1",
            f"Title {FORGED}\nsecond line",
            "needs_person",
            asked=AskView(
                kind="approval",
                text=f"{FORGED}\nline two",
                digest=DIGEST,
                asked_ms=NOW_MS,
                expires_ms=NOW_MS + MINUTE_MS,
            ),
            reason=f"why {FORGED}",
            state=f"state {FORGED}",
        ),
        ticket(
            "\x1b[31mEVIL-2",
            "👨\u200d👩\u200d👧 👍🏽 ❤\ufe0f e" + "\u0301" * 40 + " \uff37\uff29",
            "running",
            activity=FORGED,
        ),
        ticket("PLAIN-3", "plain", "running", activity="reads a file"),
    ),
    poll_error=FORGED,
)


def many(number: int = 1_000) -> Snapshot:
    """A large board."""
    phases: tuple[Phase, ...] = ("running", "retrying", "needs_person", "in_review", "waiting_to_start", "closed")
    tickets = tuple(
        ticket(f"BIG-{at}", f"Ticket number {at}", phases[at % len(phases)], at % 300, reason=f"reason {at}")
        for at in range(1, number + 1)
    )
    return structs.replace(BUSY, tickets=tickets)


def explained(view: TicketView) -> Explanation:
    return Explanation(
        ticket=view,
        sentence=view.reason or "nothing is known",
        since_ms=view.since_ms,
        rules=(
            Rule(name="state", holds=True, text="In Progress is an active state"),
            Rule(name="label", holds=True, text="it has the label agent"),
            Rule(name="blocker", holds=view.phase != "waiting_to_start", text="nothing that blocks it is open"),
            Rule(name="capacity", holds=False, text="all 3 places are taken", since_ms=NOW_MS - 2 * MINUTE_MS),
        ),
        budgets=(
            BudgetView(scope="ticket", unit="cost_micros", limit=2_000_000, spent=1_700_000, reserved=100_000),
            *BUSY.budgets,
        ),
        pending=(f"{view.id}#1/7/await-turn",),
        history=("run 1: the agent ended with an error, after 4 min",),
    )


OUTPUT = "\n".join(f"tests/test_basket.py::test_{at:02} PASSED" for at in range(1, 40)) + "\n2 failed, 39 passed"
TALK = (
    TranscriptEntry(
        seq=1,
        kind="prompt",
        at="2023-11-14T22:04:10",
        key="id-SHOP-118#1/3/send",
        text="Work on SHOP-118.\n\nIts text:\n\nDiscounts are rounded twice.",
    ),
    TranscriptEntry(seq=2, kind="thought", at="2023-11-14T22:04:15", text="I look for where discounts are applied."),
    TranscriptEntry(
        seq=3,
        kind="call",
        at="2023-11-14T22:04:16",
        tool="terminal",
        call_id="c1",
        command="grep -rn discount src/",
        text="find it",
    ),
    TranscriptEntry(
        seq=4,
        kind="result",
        at="2023-11-14T22:04:17",
        tool="terminal",
        call_id="c1",
        exit_code=0,
        text="src/basket.py:41: total -= round(discount)\nsrc/basket.py:77: return round(total)",
    ),
    TranscriptEntry(
        seq=5,
        kind="call",
        at="2023-11-14T22:04:40",
        tool="file_editor",
        call_id="c2",
        path="src/basket.py",
        arguments='{"command": "str_replace"}',
        text="round once",
    ),
    TranscriptEntry(
        seq=6,
        kind="result",
        at="2023-11-14T22:04:41",
        tool="file_editor",
        call_id="c2",
        path="src/basket.py",
        diff="@@ -41,1 +41,1 @@\n-    total -= round(discount)\n+    total -= discount",
    ),
    TranscriptEntry(
        seq=7, kind="call", at="2023-11-14T22:05:02", tool="terminal", call_id="c3", command="pytest -q tests"
    ),
    TranscriptEntry(
        seq=8,
        kind="result",
        at="2023-11-14T22:05:09",
        tool="terminal",
        call_id="c3",
        exit_code=1,
        failed=True,
        text=OUTPUT,
    ),
    TranscriptEntry(
        seq=9, kind="message", at="2023-11-14T22:05:20", text="Two tests expect the old sums; I look at them next."
    ),
    TranscriptEntry(seq=10, kind="status", at="2023-11-14T22:05:20", text="running"),
)
TIMELINE = TimelinePage(
    entries=(
        TimelineEntry(
            sequence=30, at_ms=NOW_MS - MINUTE_MS, kind="stage_entered", text="the agent works", generation=1
        ),
        TimelineEntry(
            sequence=22,
            at_ms=NOW_MS - 2 * MINUTE_MS,
            kind="verification_failed",
            text="its check failed with exit code 1; the output went back to the agent",
            generation=1,
            failed=True,
        ),
        TimelineEntry(
            sequence=10, at_ms=NOW_MS - 9 * MINUTE_MS, kind="run_started", text="run 1 started", generation=1
        ),
    )
)
CHANGES = Changes(
    diff="diff --git a/src/basket.py b/src/basket.py\nindex 1..2 100644\n--- a/src/basket.py\n+++ b/src/basket.py\n"
    "@@ -38,7 +38,7 @@ def total(basket):\n     for one in basket.discounts:\n"
    "-        total -= round(one)\n+        total -= one\n"
    "     return round(total)\n"
    "diff --git a/tests/test_basket.py b/tests/test_basket.py\nnew file mode 100644\n"
    "--- /dev/null\n+++ b/tests/test_basket.py\n"
    "@@ -0,0 +1,2 @@\n+def test_once():\n+    assert total(BASKET) == 12\n"
    "?? notes.txt\n"
)
CHECKS = VerificationList(
    verifications=(
        VerificationView(
            sequence=22, at_ms=NOW_MS - 2 * MINUTE_MS, generation=1, passed=False, exit_code=1, output=OUTPUT
        ),
        VerificationView(
            sequence=12, at_ms=NOW_MS - 8 * MINUTE_MS, generation=1, passed=True, exit_code=0, output="41 passed"
        ),
    )
)
