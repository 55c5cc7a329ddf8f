"""The lines over the board."""

from __future__ import annotations

import pytest
from msgspec import structs
from rich.cells import cell_len

from opensymphony.model import ServerState
from opensymphony.tui.connection import Link
from opensymphony.tui.header import budget_short, budget_style, header_lines, problems, state
from opensymphony.views import BudgetView, Overlap
from tests.tui.scenes import BUSY, HOSTILE, IDLE, NOW_MS, WAITING

LIVE = Link(snapshot=BUSY, received_ms=NOW_MS)
LOST = structs.replace(LIVE, lost_ms=NOW_MS + 60_000, trouble="it is gone", retry_ms=NOW_MS + 65_000)


@pytest.mark.parametrize("width", [20, 38, 58, 78, 118, 200])
@pytest.mark.parametrize("link", [LIVE, LOST, Link(), structs.replace(LIVE, snapshot=HOSTILE)])
def test_no_line_is_wider_than_the_screen(link: Link, width: int) -> None:
    """Whether it is live, and nothing of it obeyed."""
    for line in header_lines(link, NOW_MS, width, height=30):
        assert cell_len(line.plain) <= max(width, 24) and line.plain.isprintable()


def test_the_picture_is_never_shown_as_fresh_when_it_is_not() -> None:
    """Since when it is not, when it is tried again, and of which moment the figures are."""
    lines = [line.plain for line in header_lines(LOST, NOW_MS + 61_000, 100, height=30)]
    assert lines[0].endswith("✗ disconnected since 22:14:20, retrying in 4s")
    assert lines[1].startswith("as of 22:13:20") and lines[2].strip() == "it is gone"
    trying = structs.replace(LOST, retry_ms=None)
    assert state(trying, NOW_MS, 100).plain == "✗ disconnected since 22:14:20, retrying…"
    assert state(LOST, NOW_MS, 40).plain == "✗ disconnected 22:14:20"
    assert state(Link(), NOW_MS, 100).plain == "connecting…" and state(LIVE, NOW_MS, 100).plain == "● live"


def test_time_stands_still_while_nothing_is_known() -> None:
    """What lasts is told in the daemon's time, up to the last that was heard of it."""
    assert LIVE.now_ms(NOW_MS + 5_000) == NOW_MS + 5_000
    assert LOST.now_ms(NOW_MS + 500_000) == NOW_MS + 60_000
    elsewhere = Link(snapshot=structs.replace(BUSY, at_ms=50), received_ms=NOW_MS)
    assert elsewhere.now_ms(NOW_MS + 7) == 57
    assert Link().now_ms(3) == 3


def test_figures_and_budgets() -> None:
    """What is spent today stands with its limit."""
    text = header_lines(LIVE, NOW_MS, 140, height=30)[1].plain
    assert text.startswith("3 of 3 agents  today 2.50 of 10.00, 1.0M tokens  next poll in 12s  project 17.4M of 20.0M")
    tokens = BudgetView(scope="day", unit="tokens", limit=2_000_000, spent=1_036_000, reserved=0)
    link = structs.replace(LIVE, snapshot=structs.replace(BUSY, budgets=(tokens,), next_poll_ms=NOW_MS - 1))
    assert "today 2.50, 1.0M of 2.0M tokens  next poll now" in header_lines(link, NOW_MS, 140, height=30)[1].plain
    assert len(header_lines(LIVE, NOW_MS, 140, height=10)) == 1
    assert budget_short(tokens) == "1.0M of 2.0M tokens"
    assert [budget_style(structs.replace(tokens, spent=spent)) for spent in (0, 1_600_000, 2_000_000)] == [
        "",
        "warn",
        "bad",
    ]


def test_everything_that_is_wrong_is_told() -> None:
    """The worst first; on the board in one line with how many more there are."""
    wrong = structs.replace(
        WAITING,
        storage_error="the disk is full",
        server=ServerState(status="failed", detail="it ended three times"),
        policy_error="line 3: no such key",
        policy_error_since_ms=NOW_MS - 60_000,
        code_host_error="401",
        overlaps=(Overlap(tickets=("A-1", "A-2"), files=("a.py",), more=2),),
    )
    assert problems(Link(snapshot=wrong, received_ms=NOW_MS), NOW_MS) == [
        "nothing new starts: the disk is full",
        "the agent-server has failed: it ended three times",
        "the tracker cannot be read for 2m: jira: no connection to shop.atlassian.example (timed out)",
        "pull requests cannot be read: 401",
        "the newest WORKFLOW.md is not in force for 1m: line 3: no such key",
        "ticket problem: board/SHOP-150.md:2: no title",
        "A-1 and A-2 both change a.py and 2 more",
    ]
    lines = header_lines(Link(snapshot=wrong, received_ms=NOW_MS), NOW_MS, 100, height=30)
    assert lines[2].plain.endswith("(+6: e shows all)") and "everything is paused" in lines[0].plain
    assert problems(Link(), NOW_MS) == [] and problems(LOST, NOW_MS) == ["it is gone"]


def test_several_agent_servers_are_counted() -> None:
    """So many are ready."""
    servers = (ServerState(status="ready"), ServerState(status="starting"))
    seen = structs.replace(IDLE, server=ServerState(status="starting", servers=servers), status="draining")
    line = header_lines(Link(snapshot=seen, received_ms=NOW_MS), NOW_MS, 100, height=30)[0].plain
    assert "draining  agent-servers 1/2" in line
