"""Which keys there are: the line at the bottom for here and now, and all of them for the help page and the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text
from textual.binding import Binding, BindingType

from opensymphony.tui.actions import applies
from opensymphony.tui.grouping import GroupRow, Row
from opensymphony.tui.text import styled
from opensymphony.views import TicketView

_NAMES = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "enter": "Enter",
    "space": "Space",
    "escape": "Esc",
    "backspace": "Backspace",
    "tab": "Tab",
    "shift+tab": "Shift+Tab",
    "slash": "/",
    "question_mark": "?",
    "ctrl+c": "Ctrl+C",
    "ctrl+s": "Ctrl+S",
}
_SHORT = (
    ("a", "approve", "approve"),
    ("d", "reject", "reject"),
    ("m", "message", "message"),
    ("x", "stop", "stop"),
    ("R", "retry", "retry"),
    ("p", "pause", "pause"),
)


def board_hints(row: Row | None, width: int, said: str = "") -> Text:
    """For the row under the cursor. `said` stands at the end."""
    view = None if isinstance(row, GroupRow) else row
    keys = [("Enter", "open" if view is not None else "unfold")] if row is not None else []
    return keys_line([*keys, *ticket_keys(view), ("/", "filter"), ("s", "sort"), ("q", "quit")], width, said)


def page_hints(view: TicketView | None, width: int, said: str = "") -> Text:
    """On a ticket's page."""
    return keys_line([("Esc", "back"), ("Tab", "next"), *ticket_keys(view), ("f", "follow")], width, said)


def ticket_keys(view: TicketView | None) -> list[tuple[str, str]]:
    """What can be asked about it now."""
    if view is None:
        return []
    found: list[tuple[str, str]] = []
    for key, action, word in _SHORT:
        answers = action == "message" and view.asked is not None and view.asked.kind == "question"
        if applies(action, view):
            found.append((key, "answer" if answers else "resume" if action == "pause" and view.paused else word))
    return found


def keys_line(keys: Sequence[tuple[str, str]], width: int, said: str = "") -> Text:
    """Keys and words; those that do not fit are left out from the end, but never the help."""
    room = width - (cell_len(said) + 2 if said else 0)
    line = Text.assemble(("?", "key"), " help")
    for key, word in keys:
        more = Text.assemble("  ", (key, "key"), f" {word}")
        if line.cell_len + more.cell_len > room:
            break
        line.append_text(more)
    if said and line.cell_len + cell_len(said) + 2 <= width:
        line.append(" " * (width - line.cell_len - cell_len(said))).append(said, "quiet")
    return line


def key_rows(bindings: Iterable[BindingType]) -> Iterator[tuple[str, str]]:
    """Each binding as people read it: its keys, and what it does."""
    for one in bindings:
        if isinstance(one, Binding) and one.description:
            yield ", ".join(_NAMES.get(key, key) for key in one.key.split(",")), one.description


def help_lines(groups: Sequence[tuple[str, Sequence[BindingType]]]) -> list[Text]:
    """The help page."""
    found: list[Text] = []
    width = max(len(keys) for _, bindings in groups for keys, _ in key_rows(bindings))
    for heading, bindings in groups:
        found += [*([Text()] if found else []), styled(heading, "strong")]
        found += [Text.assemble((f"  {keys:<{width}}  ", "key"), meaning) for keys, meaning in key_rows(bindings)]
    filters = ("text anywhere, -word for those without it", "phase: state: stage: label: id: title: why: pr: is:")
    return [*found, Text(), styled("In a filter", "strong"), *(Text(f"  {line}") for line in filters)]
