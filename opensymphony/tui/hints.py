"""The line of keys at the bottom: those that do something here and now, as many as fit. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from opensymphony.views import TicketView


def hint_line(view: TicketView | None, width: int, said: str = "", *, paused: bool = False) -> Text:
    """For the ticket under the cursor. `said` stands at the end."""
    keys: list[tuple[str, str]] = [("?", "help")]
    if view is not None:
        keys.append(("Enter", "open"))
    keys += [("/", "filter"), ("s", "sort"), ("q", "quit")]
    return keys_line(keys, width, said)


def keys_line(keys: Sequence[tuple[str, str]], width: int, said: str = "") -> Text:
    """Keys and words; those that do not fit are left out from the end."""
    line = Text()
    room = width - (len(said) + 2 if said else 0)
    for key, word in keys:
        more = f"{'  ' if line.plain else ''}{key} {word}"
        if len(line.plain) + len(more) > room:
            break
        line.append(f"{'  ' if line.plain else ''}").append(key, "key").append(f" {word}")
    if said and len(line.plain) + len(said) + 2 <= width:
        line.append(" " * (width - len(line.plain) - len(said))).append(said, "quiet")
    return line
