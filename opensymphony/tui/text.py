"""How everything is written on the screen: texts of others made harmless, times, figures.

Titles, reasons, transcripts and outputs come from people, agents and tools. All of it goes through `one_line` or `lines`, and
reaches the screen as `rich.text.Text` that was built by hand: nothing is ever read as markup.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from opensymphony.model import Usage
from opensymphony.printable import escaped

LINE_CHARS_MAX = 2_000
"""What is longer is cut: nobody reads it on a screen."""
EXACT_CHARS_MAX = 20_000
"""Several times what an agent may ask at once."""
_MARKS_MAX = 2
"""Combining marks on one character: enough for every language, too few to climb over other lines."""
_DROPPED = frozenset("\u200d\ufe0e\ufe0f")
"""Join or vary glyphs: terminals do not agree on how wide the outcome is."""
_TONES = range(0x1F3FB, 0x1F400)
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Printable by their category, yet there is nothing to see."""
_VARIATIONS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_TAB_CELLS = 4


def one_line(text: str, chars_max: int = LINE_CHARS_MAX) -> str:
    """The text on one line, blanks drawn together, with nothing in it that a terminal obeys."""
    part = " ".join(text[: 4 * chars_max].split())
    return _cut(_harmless(part), chars_max)


def lines(text: str, lines_max: int = 5_000) -> list[str]:
    """The text line by line, harmless, with at most so many lines and the last of them saying what is missing."""
    found = text.replace("\r\n", "\n").rstrip("\n").split("\n", lines_max)
    left = found.pop() if len(found) > lines_max else None
    shown = [_cut(_harmless(line[: 2 * LINE_CHARS_MAX].expandtabs(_TAB_CELLS)), LINE_CHARS_MAX) for line in found]
    if left is not None:
        shown.append(f"… {left.count(chr(10)) + 1:,} more lines are not shown here")
    return shown


def exact_lines(text: str) -> list[str]:
    """The text line by line with nothing left out, for what a person consents to: what cannot be seen is an escape."""
    shown = [_exact(line) for line in text[:EXACT_CHARS_MAX].split("\n")]
    left = len(text) - EXACT_CHARS_MAX
    return [*shown, f"… {left:,} more characters are not shown here"] if left > 0 else shown


def cells(text: str, width: int, *, right: bool = False) -> str:
    """A line that is exactly so many cells wide; what is too long ends with `…`, wide glyphs are never halved."""
    if width <= 0:
        return ""
    long = cell_len(text)
    if long > width:
        # A wide glyph that would be cut in half leaves a blank, which stands before the dots.
        return set_cell_size(set_cell_size(text, width - 1).rstrip() + "…", width)
    blank = " " * (width - long)
    return blank + text if right else text + blank


def styled(text: str, style: str) -> Text:
    """A text with a style from the palette, to which others can be appended that do not take it over."""
    return Text.assemble((text, style))


def duration(duration_ms: int) -> str:
    """How long, in at most five cells: `12s`, `3m`, `2h05`, `4d`."""
    seconds = max(0, duration_ms) // 1000
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m"
    if seconds < 86_400:
        return f"{seconds // 3600}h{seconds // 60 % 60:02d}"
    return f"{seconds // 86_400}d"


def clock_time(at_ms: int) -> str:
    """Of the machine that shows it: `14:02:31`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%H:%M:%S")


def day_and_time(at_ms: int) -> str:
    """Of the machine that shows it: `2026-01-31 14:02:31`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def count(number: int) -> str:
    """In at most five cells: `999`, `12.3k`, `4.1M`."""
    for limit, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= limit:
            short = number / limit
            return f"{short:.1f}{unit}" if short < 100 else f"{short:.0f}{unit}"
    return str(number)


def money(micros: int) -> str:
    """In the policy's currency: `0.42`."""
    return f"{micros / 1_000_000:,.2f}"


def spent(usage: Usage) -> str:
    """`12.3k tokens, 0.42`; money only where there is some."""
    tokens = f"{count(usage.total_tokens)} tokens"
    return f"{tokens}, {money(usage.cost_micros)}" if usage.cost_micros else tokens


def plural(number: int, noun: str) -> str:
    """`1 ticket`, `2 tickets`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"


def _harmless(text: str) -> str:
    if text.isascii():
        return text if text.isprintable() else escaped(text)
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if marks <= _MARKS_MAX and char not in _DROPPED and ord(char) not in _TONES:
            kept.append(char)
    return escaped("".join(kept))


def _exact(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    shown: list[str] = []
    marks = 0
    for char in line:
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        hidden = marks > _MARKS_MAX or char in _BLANK or ord(char) in _TONES
        if hidden or any(ord(char) in part for part in _VARIATIONS):
            shown.append(char.encode("unicode_escape").decode())
        else:
            shown.append(escaped(char))
    return "".join(shown)
