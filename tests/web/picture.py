"""A team's afternoon: tickets in every phase, always the same. For the tests of the dashboard and its screenshots."""

from __future__ import annotations

from typing import Any

from opensymphony.model import ServerState, TicketId, TrackerState, Usage
from opensymphony.views import (
    AskView,
    BudgetView,
    DeliveryView,
    Explanation,
    Overlap,
    PullRequestView,
    Rule,
    Snapshot,
    TicketView,
)

NOW_MS = 1_788_966_000_000
"""2026-09-09 15:00:00 UTC."""
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def ago(minutes: float) -> int:
    return NOW_MS - int(minutes * MINUTE_MS)


def used(prompt: int, completion: int, cost_micros: int, calls: int = 12) -> Usage:
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cache_read_tokens=prompt * 3 // 4,
        cost_micros=cost_micros,
        model_calls=calls,
    )


def ticket(name: str, title: str, phase: Any, state: str, **fields: Any) -> TicketView:
    return TicketView(
        id=TicketId(f"id-{name}"),
        identifier=name,
        title=title,
        phase=phase,
        state=state,
        url=f"https://shop.example/browse/{name}",
        **fields,
    )


def run(name: str, title: str, stage: str, minutes: float, activity: str, usage: Usage, **fields: Any) -> TicketView:
    return ticket(
        name,
        title,
        "running",
        "In Progress",
        stage=stage,
        since_ms=ago(minutes),
        started_ms=ago(minutes),
        last_activity_ms=ago(0.2),
        activity=activity,
        usage=usage,
        generation=1,
        branch=f"opensymphony/{name}",
        workspace=f"/srv/workspaces/{name}",
        conversation_id=f"6f1c0a52-9f37-4a7e-8a55-{int(name[5:]):012d}",
        **fields,
    )


def review(
    name: str, title: str, minutes: float, usage: Usage, pull: PullRequestView | None, **fields: Any
) -> TicketView:
    return ticket(
        name,
        title,
        "in_review",
        "In Review",
        since_ms=ago(minutes),
        started_ms=ago(minutes + 21),
        ended_ms=ago(minutes),
        usage=usage,
        pull_request=pull,
        verified=True,
        generation=1,
        turns=2,
        attempts=1,
        outcome="succeeded",
        branch=f"opensymphony/{name}",
        commit=f"{int(name[5:]):07d}" * 5 + "abcde",
        **fields,
    )


def waits(name: str, title: str, reason: str, **fields: Any) -> TicketView:
    return ticket(name, title, "waiting_to_start", "To Do", reason=reason, **fields)


def pull(number: int, **fields: Any) -> PullRequestView:
    address = f"https://code.example/shop/pull-requests/{number}"
    return PullRequestView(**{"id": str(number), "url": address, "state": "open", **fields})


APPROVAL = AskView(
    kind="approval",
    text="terminal: psql -h staging-db -c 'ALTER TABLE invoices ADD COLUMN rounding text'",
    digest="9c41f7a2be0d5583c1aa4f0e6b7d2290aa51c3e8f7d64b1290fe8e7c35a1d0b4",
    asked_ms=ago(18),
    expires_ms=NOW_MS + 22 * HOUR_MS,
)
QUESTION = AskView(
    kind="question",
    text=(
        "The ticket says that old links must keep working, but /p/<id> is used by two pages today.\n\n"
        "Should /p/<id> lead to the product (then landing pages move to /l/<id>), or to the landing page?"
    ),
    digest="27d0a1c49b3355f0",
    asked_ms=ago(64),
    expires_ms=NOW_MS + 7 * HOUR_MS,
)

TICKETS: tuple[TicketView, ...] = (
    run(
        "SHOP-412",
        "Cart total ignores vouchers that were added after login",
        "working",
        12,
        "runs: pytest tests/cart -q",
        used(412_300, 9_840, 1_384_000, 31),
        priority=1,
        labels=("bug", "cart"),
        turns=2,
        attempts=1,
        verified=False,
    ),
    run(
        "SHOP-398",
        "Export orders as CSV, with the columns that accounting asked for",
        "verifying",
        34,
        "the check runs: make check",
        used(689_000, 21_500, 2_410_000, 52),
        labels=("feature",),
        turns=1,
        attempts=1,
    ),
    run(
        "SHOP-420",
        "Rate limit of the login page",
        "opening",
        0.6,
        "opens a conversation",
        used(0, 0, 0, 0),
        priority=2,
        labels=("security",),
    ),
    ticket(
        "SHOP-377",
        "Round invoice lines the way the tax office does",
        "needs_person",
        "In Progress",
        since_ms=ago(18),
        reason="the agent asks for an approval",
        asked=APPROVAL,
        labels=("bug", "invoices"),
        usage=used(264_000, 7_100, 905_000, 22),
        generation=2,
        turns=3,
        branch="opensymphony/SHOP-377",
        workspace="/srv/workspaces/SHOP-377",
    ),
    ticket(
        "SHOP-385",
        "Short links for products",
        "needs_person",
        "In Progress",
        since_ms=ago(64),
        reason="the agent asks a question",
        asked=QUESTION,
        labels=("feature",),
        usage=used(98_000, 3_300, 341_000, 9),
        generation=1,
        turns=1,
        branch="opensymphony/SHOP-385",
    ),
    ticket(
        "SHOP-351",
        "Upgrade the payment library to version 4",
        "needs_person",
        "In Progress",
        since_ms=ago(190),
        reason="its check failed 3 times: make check: 4 tests of tests/payment fail",
        error="its check failed 3 times: make check: 4 tests of tests/payment fail",
        labels=("dependencies",),
        usage=used(1_920_000, 44_000, 6_870_000, 140),
        generation=3,
        turns=9,
        attempts=3,
        failures=3,
        verified=False,
        branch="opensymphony/SHOP-351",
    ),
    ticket(
        "SHOP-409",
        "Search results jump while images load",
        "retrying",
        "In Progress",
        since_ms=ago(3),
        due_ms=NOW_MS + 47_000,
        reason="the model's provider was overloaded (529); the second of 5 tries",
        error="the model's provider was overloaded (529); the second of 5 tries",
        labels=("bug", "frontend"),
        usage=used(51_000, 1_900, 176_000, 6),
        generation=1,
        failures=2,
        turns=1,
        branch="opensymphony/SHOP-409",
    ),
    review(
        "SHOP-395",
        "Addresses without a house number",
        42,
        used(203_000, 6_700, 712_000, 19),
        pull(118, open_threads=2, rounds=1, starts_ms=NOW_MS + 4 * MINUTE_MS),
        labels=("bug",),
        reason="its pull request is being reviewed; it starts again because of 2 threads",
    ),
    review(
        "SHOP-402",
        "Show the delivery day in the order mail",
        76,
        used(156_000, 5_100, 548_000, 15),
        pull(117),
        labels=("feature", "mail"),
        reason="its pull request waits for a review",
    ),
    review(
        "SHOP-388",
        "Deduplicate newsletter subscriptions",
        318,
        used(310_000, 8_800, 1_090_000, 27),
        pull(112, state="merged", rounds=2),
        reason="its pull request was merged",
    ),
    review(
        "SHOP-391",
        "Remove the old price cache",
        402,
        used(121_000, 3_900, 420_000, 11),
        None,
        labels=("chore",),
        reason="done and verified; its branch is pushed",
    ),
    waits(
        "SHOP-421",
        "Retry failed webhooks of the warehouse",
        "no place is free: 3 of 3 agents are at work",
        priority=2,
        ready_ms=ago(26),
        since_ms=ago(26),
        labels=("feature",),
    ),
    waits(
        "SHOP-415",
        "Translate the checkout into Polish",
        "no place is free: 3 of 3 agents are at work",
        priority=3,
        ready_ms=ago(51),
        since_ms=ago(51),
        labels=("i18n",),
    ),
    waits(
        "SHOP-418",
        "Delete carts of guests after 30 days",
        "blocked by SHOP-412, which is in progress",
        priority=3,
        since_ms=ago(140),
    ),
    waits("SHOP-424", "Dark mode for the account pages", "paused by an operator", paused=True, since_ms=ago(1500)),
    ticket("SHOP-360", "Gift cards expire a day too early", "closed", "Done", since_ms=ago(1900), outcome="succeeded"),
    ticket("SHOP-349", "Rename the staging bucket", "closed", "Cancelled", since_ms=ago(4100)),
)

BUDGETS = (
    BudgetView(scope="day", unit="cost_micros", limit=25_000_000, spent=14_856_000, reserved=640_000),
    BudgetView(scope="day", unit="tokens", limit=12_000_000, spent=4_338_000, reserved=210_000),
    BudgetView(scope="project", unit="cost_micros", limit=400_000_000, spent=212_340_000, reserved=640_000),
)

SNAPSHOT = Snapshot(
    sequence=48_213,
    at_ms=NOW_MS,
    instance="shop-build-1",
    status="running",
    server=ServerState(
        status="ready",
        base_url="http://127.0.0.1:8011",
        pid=21_904,
        version="1.58.0",
        servers=(
            ServerState(status="ready", base_url="http://127.0.0.1:8011", pid=21_904, version="1.58.0"),
            ServerState(status="ready", base_url="http://127.0.0.1:8012", pid=21_905, version="1.58.0", restarts=1),
        ),
    ),
    tickets=TICKETS,
    usage=used(4_224_300, 112_140, 14_856_000, 344),
    polled_ms=ago(0.4),
    next_poll_ms=NOW_MS + 21_000,
    max_concurrent_agents=3,
    day="2026-09-09",
    spent_day=used(4_224_300, 113_700, 14_856_000, 344),
    spent_project=used(61_000_000, 1_800_000, 212_340_000, 4_900),
    budgets=BUDGETS,
    tracker=TrackerState(requests=1_284, refused=2, remaining=8_716),
    code_host=TrackerState(requests=612),
    overlaps=(
        Overlap(tickets=("SHOP-412", "SHOP-377"), files=("shop/cart/totals.py", "tests/cart/test_totals.py"), more=1),
    ),
    problems=("PROJ-77: the description is longer than 1,000,000 characters: shorten it",),
)


def explanation(view: TicketView) -> Explanation:
    rules = (
        Rule(name="state", holds=True, text="its state, In Progress, is an active one"),
        Rule(name="label", holds=True, text="it has the label that is asked for: agent"),
        Rule(name="blocker", holds=True, text="nothing blocks it"),
        Rule(name="budget", holds=True, text="the budgets allow it"),
        Rule(
            name="capacity",
            holds=view.phase != "waiting_to_start",
            text="no place is free: 3 of 3 agents are at work",
            since_ms=view.ready_ms,
        ),
    )
    return Explanation(
        ticket=view,
        sentence=f"{view.identifier} is being worked on: its first check failed and the agent mends it.",
        since_ms=view.since_ms,
        rules=rules,
        budgets=(BudgetView(scope="ticket", unit="cost_micros", limit=5_000_000, spent=1_384_000, reserved=90_000),),
        pending=(f"{view.id}#1/4/await-turn",),
        history=("run 1: stopped by an operator after 4 min",),
    )


def deliveries(count: int = 9) -> tuple[DeliveryView, ...]:
    told = (
        ("jira:issue_updated", "SHOP-412", "looked", "SHOP-412 is in In Progress", "Ada Quist", "priority: 3 -> 1"),
        ("comment_created", "SHOP-385", "looked", "a comment of Ada Quist is for the agent", "Ada Quist", ""),
        ("pullrequest:comment_created", "SHOP-395", "looked", "2 threads are open", "Ben Okoye", ""),
        ("jira:issue_updated", "SHOP-300", "ignored", "it is not ours", "Cy Marsh", "labels: -> later"),
        ("repo:commit_status_updated", "SHOP-402", "looked", "the build passed", "", ""),
        ("jira:issue_created", "SHOP-424", "looked", "SHOP-424 is in To Do", "Dana Reyes", ""),
        (
            "jira:issue_updated",
            "SHOP-351",
            "failed",
            "the tracker did not answer (503)",
            "Ben Okoye",
            "status: To Do -> In Progress",
        ),
        ("pullrequest:fulfilled", "SHOP-388", "looked", "its pull request was merged", "Ada Quist", ""),
        ("jira:issue_deleted", "SHOP-299", "ignored", "it is not known", "Cy Marsh", ""),
    )
    return tuple(
        DeliveryView(
            number=641 - at,
            service="bitbucket" if ":" in event and not event.startswith("jira") else "jira",
            id=f"d-{641 - at}",
            received_ms=ago(4 + 11 * at),
            event=event,
            ticket_id=f"id-{name}",
            ticket=name,
            author=author,
            changes=changes,
            outcome=outcome,
            detail=detail,
            replays=1 if outcome == "failed" else 0,
        )
        for at, (event, name, outcome, detail, author, changes) in enumerate(told[:count])
    )
