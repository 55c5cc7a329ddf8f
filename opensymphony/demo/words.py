"""Words for what a person sees of a snapshot: plain text that does no harm in a terminal.

Titles, reasons and activities come from tickets and agents. Control characters, invisible and direction-changing ones never
get through; whatever is left is shown as text, never as markup.
"""

from __future__ import annotations

import unicodedata

from opensymphony.model import ServerState
from opensymphony.views import TicketView

_LENGTH_MAX = 200
_MARKS_MAX = 2
"""Combining marks on one character: enough for every language, too few to climb over other lines."""
_STAGES = {
    "rereading": "starting: marking the ticket as ours",
    "claiming": "starting: marking the ticket as ours",
    "announcing": "starting: marking the ticket as ours",
    "preparing": "starting: making its workspace",
    "before_run": "starting: making its workspace",
    "opening": "starting: opening a conversation",
    "sending": "working: the agent reads its message",
    "working": "working: the agent thinks",
    "collecting": "verifying: running the ticket's test",
    "verifying": "verifying: running the ticket's test",
    "pushing": "ending: pushing the branch",
    "publishing": "ending: opening the pull request",
    "after_run": "ending: writing to the ticket",
    "transitioning": "ending: writing to the ticket",
    "reporting": "ending: writing to the ticket",
    "cleaning": "ending: writing to the ticket",
    "releasing": "ending: writing to the ticket",
}
"""Several short stages share their words: a person wants to know what happens, not which command is in flight."""
_PHASES = {
    "waiting_to_start": "waiting",
    "running": "running",
    "retrying": "trying again",
    "needs_person": "needs a person",
    "in_review": "in review",
    "stopping": "stopping",
    "closed": "closed",
}


def clean(text: str, length_max: int = _LENGTH_MAX) -> str:
    """One line of at most `length_max` characters, without anything that a terminal obeys or cannot show."""
    kept: list[str] = []
    marks = 0
    for character in text[: 4 * length_max]:
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if marks > _MARKS_MAX:
            continue
        # Cc control, Cf direction and joiners, Cs lone surrogates, Co and Cn without a glyph; Zl and Zp end lines.
        kept.append(" " if kind[0] == "C" or kind in ("Zl", "Zp") else character)
    line = " ".join("".join(kept).split())
    return line if len(line) <= length_max else line[: length_max - 1] + "…"


def standing(view: TicketView) -> str:
    """What happens with a ticket right now: `working: running the tests`."""
    if view.phase == "running":
        return clean(_at_work(view))
    detail = _delivered(view) if view.phase == "in_review" else ""
    detail = detail or view.reason or view.error or ""
    return clean(f"{_PHASES[view.phase]}: {detail}" if detail else _PHASES[view.phase])


def _at_work(view: TicketView) -> str:
    stage = view.stage or "running"
    if stage == "sending" and view.attempts:
        return f"sent back: its test failed at attempt {view.attempts}"
    if stage == "working" and view.activity:
        return f"working: {view.activity}"
    return _STAGES.get(stage, stage.replace("_", " "))


def _delivered(view: TicketView) -> str:
    if view.commit is None:
        return ""
    verified = f", verified at attempt {view.attempts}" if view.verified else ""
    return f"{view.commit[:7]} on {view.branch}{verified}"


def server_line(server: ServerState) -> str:
    """The agent-server in one line."""
    detail = f" ({server.detail})" if server.detail else ""
    version = f" {server.version}" if server.version else ""
    return clean(f"agent-server{version}: {server.status}{detail}")


def tokens_text(tokens: int) -> str:
    """As short as a column wants it."""
    if tokens < 10_000:
        return f"{tokens:,}" if tokens else "-"
    return f"{tokens // 1000:,}k" if tokens < 10_000_000 else f"{tokens // 1_000_000:,}M"


def clock_text(duration_ms: int) -> str:
    """Minutes and seconds."""
    seconds = max(0, duration_ms) // 1000
    return f"{seconds // 60}:{seconds % 60:02d}"


def spent_ms(view: TicketView, now_ms: int) -> int | None:
    """From the start of a ticket's run to its end, or to now. None before the start."""
    if view.started_ms is None:
        return None
    return max(0, (view.ended_ms or now_ms) - view.started_ms)
