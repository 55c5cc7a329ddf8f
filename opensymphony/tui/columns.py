"""The columns of the board: which of them fit a width, and what stands in them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from opensymphony.tui.text import cells, count, duration, money, one_line
from opensymphony.views import PullRequestView, TicketView

_NAME_CELLS_MAX = 18
_NAME_CELLS_MIN = 6
_TEXT_CELLS_MIN = ((96, 20, 34), (76, 16, 22), (50, 18, 0), (0, 12, 0))
"""From this width on: for the title, and for the sentence where there is one."""
_WHY_CELLS_MAX = 110
_GAP = 1

MARKS = {
    "needs_person": "◆",
    "running": "●",
    "stopping": "◌",
    "retrying": "↻",
    "in_review": "◇",
    "waiting_to_start": "·",
    "closed": "✓",
}
"""One glyph for each phase, so that colour is never the only sign."""


class Column(Struct, frozen=True, kw_only=True):
    """One column, as wide as it is here."""

    name: str
    width: int
    right: bool = False


class Kind(Struct, frozen=True, kw_only=True):
    """A column of figures: what stands in it for a ticket at a moment of the daemon."""

    name: str
    width: int
    text: Callable[[TicketView, int], str]
    right: bool = True


def stage(view: TicketView) -> str:
    """The nearest word for what happens with a ticket right now."""
    if view.phase == "running":
        return (view.stage or "running").replace("_", " ")
    if view.phase == "needs_person":
        return view.asked.kind if view.asked is not None else "paused" if view.paused else "stopped"
    if view.phase == "in_review" and view.pull_request is not None:
        return "restarts" if view.pull_request.starts_ms is not None else "pr " + view.pull_request.state
    if view.paused:
        return "paused"
    return view.state if view.phase in ("waiting_to_start", "closed", "in_review") else view.phase.replace("_", " ")


def why(view: TicketView) -> str:
    """One sentence: what the agent does, what is waited for, what went wrong."""
    if view.asked is not None:
        return f"{'asks' if view.asked.kind == 'question' else 'wants to'}: {view.asked.text}"
    if view.phase == "running":
        return view.activity or view.reason
    return view.reason or view.error or view.activity


def pull(request: PullRequestView | None) -> str:
    """`#12`, and how many threads wait for an answer: `#12 +3`."""
    if request is None:
        return ""
    number = request.id if not request.id.isdigit() else f"#{request.id}"
    return f"{number} +{request.open_threads}" if request.open_threads else number


def due(view: TicketView, now_ms: int) -> str:
    """In how long; `now` when it should have been."""
    at_ms = view.due_ms
    if at_ms is None and view.pull_request is not None:
        at_ms = view.pull_request.starts_ms
    if at_ms is None and view.asked is not None:
        at_ms = view.asked.expires_ms
    if at_ms is None:
        return ""
    return duration(at_ms - now_ms) if at_ms > now_ms else "now"


_KINDS = {
    kind.name: kind
    for kind in (
        Kind(name="stage", width=11, text=lambda view, now_ms: one_line(stage(view), 60), right=False),
        Kind(
            name="since", width=5, text=lambda view, now_ms: duration(now_ms - view.since_ms) if view.since_ms else ""
        ),
        Kind(name="due", width=5, text=due),
        Kind(name="turns", width=5, text=lambda view, now_ms: str(view.turns) if view.turns else ""),
        Kind(
            name="tokens",
            width=6,
            text=lambda view, now_ms: count(view.usage.total_tokens) if view.usage.total_tokens else "",
        ),
        Kind(
            name="cost",
            width=7,
            text=lambda view, now_ms: money(view.usage.cost_micros) if view.usage.cost_micros else "",
        ),
        Kind(name="pr", width=8, text=lambda view, now_ms: one_line(pull(view.pull_request), 40), right=False),
    )
}
_SHOWN = ("stage", "since", "due", "turns", "tokens", "cost", "pr")
_FIRST_TO_GO = ("turns", "tokens", "pr", "cost", "due", "stage", "since")
"""When there is no room; the sentence goes before the last three of them."""


def columns(width: int, names: Sequence[str], *, money_spent: bool = True, reviews: bool = True) -> list[Column]:
    """What fits: identifier and title always, then stage and times, then the sentence, then figures.

    `names`: the identifiers that are shown. Columns that would be empty on every row are left out.
    """
    longest = max((len(name) for name in names), default=_NAME_CELLS_MIN)
    name_width = max(_NAME_CELLS_MIN, min(_NAME_CELLS_MAX, longest, width // 3))
    wanted = [name for name in _SHOWN if (name != "cost" or money_spent) and (name != "pr" or reviews)]
    left = width - 2 - name_width - _GAP  # the mark and its blank stand before
    going = [name for name in _FIRST_TO_GO if name in wanted]
    title_min, why_min = next((title, why) for at, title, why in _TEXT_CELLS_MIN if width >= at)
    least = title_min + (_GAP + why_min if why_min else 0)
    while going and left - sum(_KINDS[name].width + _GAP for name in wanted) < least:
        wanted.remove(going.pop(0))
    room = left - sum(_KINDS[name].width + _GAP for name in wanted)
    sentence = min(_WHY_CELLS_MAX, room * 3 // 5) if why_min and room >= least else 0
    title = max(0, room - sentence - _GAP if sentence else room)
    found = [Column(name="ticket", width=name_width), Column(name="title", width=title)]
    for name in wanted:
        found.append(Column(name=name, width=_KINDS[name].width, right=_KINDS[name].right))
        if name == "stage" and sentence:
            found.append(Column(name="why", width=sentence))
    return found


def cell(column: Column, view: TicketView, now_ms: int) -> str:
    """What stands there, exactly as wide as the column."""
    if column.name == "ticket":
        text = one_line(view.identifier, 60)
    elif column.name == "title":
        text = one_line(view.title, 400)
    elif column.name == "why":
        text = one_line(why(view), 400)
    else:
        text = _KINDS[column.name].text(view, now_ms)
    return cells(text, column.width, right=column.right)
