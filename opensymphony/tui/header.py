"""The lines over the board: which daemon, how it is, what it spends, when it looks next, what is wrong. Pure."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from opensymphony.tui.connection import Link
from opensymphony.tui.text import clock_time, count, duration, money, one_line, styled
from opensymphony.views import BudgetView, Snapshot

NARROW = 60
GOOD, WARN, BAD, QUIET, STRONG = "good", "warn", "bad", "quiet", "strong"
"""Names of styles, which the widget has: see `styled`."""


def header_lines(link: Link, clock_ms: int, width: int, *, height: int) -> list[Text]:
    """What stands there, the most important first; one line for each thing that is wrong, while there is room."""
    seen = link.snapshot
    if seen is None:
        return [_ends(styled("OpenSymphony", STRONG), state(link, clock_ms, width), width)]
    now_ms = link.now_ms(clock_ms)
    left = styled(one_line(seen.instance, 40), STRONG)
    if width >= 50:
        left = styled("OpenSymphony ", QUIET).append_text(left)
    for text, style in _status(seen):
        left.append(f"  {text}", style)
    found = [_ends(left, state(link, clock_ms, width), width)]
    if height >= 12:
        figures = _figures(seen, now_ms, width)
        if link.lost_ms is not None:
            figures = Text.assemble((f"as of {clock_time(link.received_ms)}  ", WARN), (figures.plain, QUIET))
        found.append(_ends(figures, Text(), width))
    wrong = problems(link, clock_ms)
    if wrong:
        more = f" (+{len(wrong) - 1}: e shows all)" if len(wrong) > 1 else ""
        found.append(_ends(styled(one_line(wrong[0], 400), BAD), styled(more, BAD), width))
    return found


def state(link: Link, clock_ms: int, width: int) -> Text:
    """Whether what is shown is what is."""
    if link.lost_ms is None:
        return styled("● live" if link.snapshot is not None else "connecting…", GOOD if link.snapshot else QUIET)
    since = clock_time(link.lost_ms)
    if width < NARROW:
        return styled(f"✗ disconnected {since}", BAD)
    if link.retry_ms is None or link.retry_ms <= clock_ms:
        return styled(f"✗ disconnected since {since}, retrying…", BAD)
    return styled(f"✗ disconnected since {since}, retrying in {duration(link.retry_ms - clock_ms + 999)}", BAD)


def problems(link: Link, clock_ms: int) -> list[str]:
    """Everything that is wrong, one line each."""
    found = [link.trouble] if link.lost_ms is not None and link.trouble else []
    seen = link.snapshot
    if seen is None:
        return found
    now_ms = link.now_ms(clock_ms)
    if seen.storage_error:
        found.append(f"nothing new starts: {seen.storage_error}")
    if seen.server.status == "failed":
        found.append(f"the agent-server has failed: {seen.server.detail}")
    if seen.poll_error:
        found.append(f"the tracker cannot be read{_since(seen.poll_error_since_ms, now_ms)}: {seen.poll_error}")
    if seen.code_host_error:
        found.append(f"pull requests cannot be read: {seen.code_host_error}")
    if seen.policy_error:
        since = _since(seen.policy_error_since_ms, now_ms)
        found.append(f"the newest WORKFLOW.md is not in force{since}: {seen.policy_error}")
    found += [f"ticket problem: {problem}" for problem in seen.problems]
    for overlap in seen.overlaps:
        more = f" and {overlap.more} more" if overlap.more else ""
        found.append(f"{' and '.join(overlap.tickets)} both change {', '.join(overlap.files)}{more}")
    return found


def budget_short(budget: BudgetView) -> str:
    """`3.42 of 10.00`, or tokens."""
    if budget.unit == "tokens":
        return f"{count(budget.spent)} of {count(budget.limit)} tokens"
    return f"{money(budget.spent)} of {money(budget.limit)}"


def budget_style(budget: BudgetView) -> str:
    """By how much of it is gone."""
    part = (budget.spent + budget.reserved) / budget.limit if budget.limit else 1.0
    return BAD if part >= 1 else WARN if part >= 0.8 else ""


def _status(seen: Snapshot) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if seen.paused:
        found.append(("everything is paused", WARN))
    if seen.status != "running":
        found.append((seen.status, WARN))
    server = seen.server
    style = GOOD if server.status in ("ready", "external") else BAD if server.status == "failed" else WARN
    if server.servers:
        ready = sum(1 for one in server.servers if one.status == "ready")
        found.append((f"agent-servers {ready}/{len(server.servers)}", style))
    else:
        found.append((f"agent-server {server.status}", style))
    return found


def _figures(seen: Snapshot, now_ms: int, width: int) -> Text:
    at_work = sum(1 for view in seen.tickets if view.phase in ("running", "stopping"))
    limit = f" of {seen.max_concurrent_agents}" if seen.max_concurrent_agents else ""
    text = Text.assemble(f"{at_work}{limit} agents", ("  today ", QUIET))
    used = seen.spent_day
    day = {one.unit: one for one in seen.budgets if one.scope == "day"}
    spent: list[tuple[str, str]] = []
    if used.cost_micros or "cost_micros" in day:
        limited = day.get("cost_micros")
        spent.append((budget_short(limited), budget_style(limited)) if limited else (money(used.cost_micros), ""))
    if "tokens" in day or not spent or width >= NARROW:
        limited = day.get("tokens")
        plain = f"{count(used.total_tokens)} tokens"
        spent.append((budget_short(limited), budget_style(limited)) if limited else (plain, ""))
    for at, (words, style) in enumerate(spent):
        text.append(", " if at else "").append(words, style)
    if seen.next_poll_ms is not None:
        left_ms = seen.next_poll_ms - now_ms
        text.append("  next poll ", QUIET).append(f"in {duration(left_ms)}" if left_ms > 0 else "now")
    for budget in seen.budgets:
        if budget.scope != "day":
            text.append(f"  {one_line(budget.scope, 20)} ", QUIET).append(budget_short(budget), budget_style(budget))
    return text


def _since(at_ms: int | None, now_ms: int) -> str:
    return f" for {duration(now_ms - at_ms)}" if at_ms else ""


def _ends(left: Text, right: Text, width: int) -> Text:
    """Both on one line; the left one gives way."""
    space = width - cell_len(right.plain) - (1 if right.plain else 0)
    left = left.copy()
    if space <= 0:
        left = right.copy()
        left.truncate(width, overflow="ellipsis")
        return left
    left.truncate(space, overflow="ellipsis", pad=True)
    return left.append(" ").append_text(right) if right.plain else left
