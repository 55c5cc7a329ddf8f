"""The parts of a ticket's page besides its transcript, as blocks: what is known in, lines out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from opensymphony.model import Usage
from opensymphony.tui.actions import is_shortened
from opensymphony.tui.blocks import Block
from opensymphony.tui.header import budget_short, budget_style
from opensymphony.tui.text import (
    clock_time,
    count,
    day_and_time,
    duration,
    exact_lines,
    lines,
    money,
    one_line,
    plural,
    styled,
)
from opensymphony.tui.transcript import diff_lines
from opensymphony.views import (
    AskView,
    BudgetView,
    Changes,
    Explanation,
    PullRequestView,
    TicketView,
    TimelineEntry,
    VerificationView,
)

_OUTPUT_FIRST, _OUTPUT_LAST = 4, 24
_BAR_CELLS = 24
_NAME_CELLS = 14


def overview(found: Explanation, now_ms: int) -> list[Block]:
    """Why it is where it is, what it asks, each condition, its pull request, what is being done."""
    view = found.ticket
    sentence = styled(one_line(found.sentence), "strong").append(_since(found.since_ms, now_ms), "quiet")
    blocks = [Block(key="sentence", head=(sentence,))]
    if view.asked is not None:
        blocks.append(_asked(view.asked, now_ms))
    if view.error and view.error != found.sentence:
        blocks.append(Block(key="error", head=(Text(),), body=_texts(view.error, "bad"), first=6))
    blocks.append(Block(key="facts", head=(Text(), *_facts(view, now_ms))))
    if view.pull_request is not None:
        blocks.append(Block(key="pull request", head=(Text(), *_pull(view.pull_request, now_ms))))
    if found.rules:
        width = max(len(rule.name) for rule in found.rules)
        rules = [
            Text("  ")
            .append("✓ " if rule.holds else "✗ ", "good" if rule.holds else "bad")
            .append(f"{one_line(rule.name, 20):<{min(width, 20)}}  ", "strong")
            .append(one_line(rule.text), "quiet" if rule.holds else "")
            .append(_since(rule.since_ms, now_ms), "quiet")
            for rule in found.rules
        ]
        blocks.append(Block(key="rules", head=(Text(), _heading("conditions on starting it"), *rules)))
    for key, heading, facts in (
        ("pending", "being done right now", tuple(_doing(key) for key in found.pending)),
        ("history", "last runs, newest first", found.history),
    ):
        if facts:
            texts = tuple(Text(f"  {one_line(fact)}") for fact in facts)
            blocks.append(Block(key=key, head=(Text(), _heading(heading)), body=texts, first=10))
    return blocks


def cost(found: Explanation) -> list[Block]:
    """What it took, and the limits that concern it."""
    used = found.ticket.usage
    figures = [(name, text) for name, text in _usage(used) if text]
    blocks = [Block(key="used", head=(_heading("used by this ticket"), *(_fact(name, text) for name, text in figures)))]
    bars = [line for one in found.budgets for line in _budget(one)]
    if not bars:
        bars = [styled("  no limit concerns it: budget in WORKFLOW.md sets one", "quiet")]
    blocks.append(Block(key="budgets", head=(Text(), _heading("budgets"), *bars)))
    return blocks


def timeline(entries: Sequence[TimelineEntry], more: bool) -> list[Block]:
    """What happened, newest first, the days between."""
    blocks: list[Block] = []
    day = ""
    for entry in entries:
        at_day = day_and_time(entry.at_ms)[:10]
        head: list[Text] = []
        if at_day != day:
            head = [*([Text()] if day else []), styled(at_day, "strong")]
            day = at_day
        line = styled(f"  {clock_time(entry.at_ms)}  ", "quiet")
        line.append(f"run {entry.generation}  " if entry.generation else "", "quiet")
        line.append("✗ " if entry.failed else "", "bad").append(one_line(entry.text), "bad" if entry.failed else "")
        blocks.append(Block(key=f"entry {entry.sequence}", head=(*head, line)))
    if more:
        blocks.append(Block(key="older", head=(styled("  … older entries: page down loads them", "quiet"),)))
    return blocks or [Block(key="none", head=(styled("nothing has happened yet", "quiet"),))]


def changes(found: Changes) -> list[Block]:
    """The diff, a block for each file that folds."""
    files: list[list[str]] = []
    for line in found.diff.split("\n"):
        if line.startswith(("diff --git ", "?? ")) or not files:
            files.append([])
        files[-1].append(line)
    blocks: list[Block] = []
    for number, part in enumerate(files[:_FILES_MAX]):
        if any(part):
            blocks.append(_file(f"file {number}", part, first=not blocks))
    if len(files) > _FILES_MAX:
        blocks.append(Block(key="more", head=(styled(f"… {plural(len(files) - _FILES_MAX, 'more file')}", "warn"),)))
    if found.truncated:
        blocks.append(Block(key="truncated", head=(styled("… the diff is longer than what is sent", "warn"),)))
    return blocks or [Block(key="none", head=(styled("nothing is changed", "quiet"),))]


def checks(found: Sequence[VerificationView]) -> list[Block]:
    """Each verification with the end of its output, newest first."""
    blocks: list[Block] = []
    for at, one in enumerate(found):
        head = styled("✓ passed" if one.passed else "✗ failed", "good" if one.passed else "bad")
        head.append(f", exit code {one.exit_code}" if one.exit_code is not None else "")
        head.append(f"  run {one.generation}, {day_and_time(one.at_ms)}", "quiet")
        first, last = (_OUTPUT_FIRST, _OUTPUT_LAST) if at == 0 else (0, 3)
        heads = (head,) if at == 0 else (Text(), head)
        blocks.append(
            Block(key=f"check {one.sequence}", head=heads, body=_texts(one.output, ""), first=first, last=last)
        )
    return blocks or [Block(key="none", head=(styled("nothing was verified yet", "quiet"),))]


_FILES_MAX = 500


def _file(key: str, part: Sequence[str], *, first: bool) -> Block:
    name = part[0]
    if name.startswith("diff --git "):
        name = name.removeprefix("diff --git ").partition(" b/")[0].removeprefix("a/")
        body = diff_lines("\n".join(part[1:]))
        added = sum(1 for line in part[1:] if line.startswith("+") and not line.startswith("+++"))
        removed = sum(1 for line in part[1:] if line.startswith("-") and not line.startswith("---"))
        head = styled(one_line(name), "file").append(f"  +{added}", "added").append(f" -{removed}", "removed")
        return Block(key=key, head=(head,) if first else (Text(), head), body=body, first=60)
    return Block(key=key, body=diff_lines("\n".join(part)), first=60)


def _asked(asked: AskView, now_ms: int) -> Block:
    verb = "asks" if asked.kind == "question" else "wants an approval for"
    left = f"{duration(asked.expires_ms - now_ms)} left" if asked.expires_ms > now_ms else "expired"
    head = styled(f"the agent {verb}", "warn").append(f"  {left}", "quiet")
    head.append("  only the beginning is shown" if is_shortened(asked) else "", "warn")
    answer = "m answers it" if asked.kind == "question" else f"a approves, d rejects  (digest {asked.digest[:12]})"
    body = (*(Text(f"  {line}") for line in exact_lines(asked.text)), styled(f"  {answer}", "link"))
    return Block(key="asked", head=(Text(), head), body=body, first=20, last=1)


def _facts(view: TicketView, now_ms: int) -> Iterator[Text]:
    state = one_line(view.state, 60) + (", paused" if view.paused else "")
    yield _fact("state", state)
    if view.generation:
        yield _fact("run", f"{view.generation}, {plural(view.turns, 'turn')}, {plural(view.attempts, 'verification')}")
    if view.activity:
        yield _fact("the agent", view.activity + _ago(view.last_activity_ms, now_ms))
    if view.started_ms is not None:
        until = f", took {duration(view.ended_ms - view.started_ms)}" if view.ended_ms else ""
        yield _fact("started", day_and_time(view.started_ms) + until)
    if view.due_ms is not None:
        yield _fact("next try", f"in {duration(view.due_ms - now_ms)}, {clock_time(view.due_ms)}")
    optional = (
        ("url", view.url),
        ("labels", ", ".join(view.labels)),
        ("priority", None if view.priority is None else str(view.priority)),
        ("branch", view.branch),
        ("commit", view.commit and f"{view.commit[:12]}{_verified(view.verified)}"),
        ("workspace", view.workspace),
        ("conversation", view.conversation_id),
        ("stands in", view.conversation_reason),
        ("next one", view.rehydration),
        ("messages", f"{view.messages} wait for the agent's next turn" if view.messages else None),
    )
    yield from (_fact(name, text) for name, text in optional if text)


def _verified(verified: bool | None) -> str:
    return "" if verified is None else ", verified" if verified else ", not verified"


def _pull(request: PullRequestView, now_ms: int) -> Iterator[Text]:
    yield _heading("pull request").append("  O opens it", "quiet")
    yield _fact("url", request.url)
    yield _fact("state", f"{request.state}, {plural(request.rounds, 'round')} of review")
    if request.open_threads:
        yield _fact("threads", f"{request.open_threads} without an answer")
    if request.starts_ms is not None:
        yield _fact("restarts", f"in {duration(request.starts_ms - now_ms)}, if nothing more is said until then")


def _usage(used: Usage) -> Iterator[tuple[str, str]]:
    yield "money", money(used.cost_micros) if used.cost_micros else ""
    yield "tokens", f"{used.total_tokens:,} ({count(used.prompt_tokens)} in, {count(used.completion_tokens)} out)"
    cached = used.cache_read_tokens or used.cache_write_tokens
    yield "cache", f"{count(used.cache_read_tokens)} read, {count(used.cache_write_tokens)} written" if cached else ""
    yield "reasoning", f"{count(used.reasoning_tokens)} tokens" if used.reasoning_tokens else ""
    yield "model calls", str(used.model_calls)


def _budget(budget: BudgetView) -> Iterator[Text]:
    part = min(1.0, budget.spent / budget.limit) if budget.limit else 1.0
    style = budget_style(budget) or "good"
    full = round(part * _BAR_CELLS)
    line = styled(f"  {one_line(budget.scope, 20):<{_NAME_CELLS}}", "quiet")
    line.append("█" * full, style).append("░" * (_BAR_CELLS - full), "quiet")
    yield line.append(f"  {budget_short(budget)}, {part:.0%}", style if style != "good" else "")


def _heading(text: str) -> Text:
    return Text().append(text, "strong")


def _fact(name: str, text: str) -> Text:
    return styled(f"  {name:<{_NAME_CELLS}}", "quiet").append(one_line(text))


def _texts(text: str, style: str) -> tuple[Text, ...]:
    return tuple(styled(f"  {line}", style) for line in lines(text))


def _ago(at_ms: int | None, now_ms: int) -> str:
    return f", {duration(now_ms - at_ms)} ago" if at_ms else ""


def _doing(key: str) -> str:
    """What a command does in words, and its key as the log has it."""
    name = key.rpartition("/")[2].replace("-", " ")
    return f"{name} ({key})" if name and name != key else key


def _since(at_ms: int | None, now_ms: int) -> str:
    return f"  for {duration(now_ms - at_ms)}" if at_ms else ""
