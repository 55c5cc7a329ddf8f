"""Colours: few, each with one meaning, in a dark and a light theme. Texts name a meaning, `paint` gives them its style."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from rich.style import Style
from rich.text import Span, Text
from textual.theme import Theme

DARK, LIGHT = "opensymphony-dark", "opensymphony-light"
THEMES = (
    Theme(
        name=DARK,
        dark=True,
        background="#12151a",
        surface="#181c22",
        panel="#1f242c",
        foreground="#d7dce3",
        primary="#6cb6ff",
        secondary="#8ddb8c",
        success="#73c991",
        warning="#e5c07b",
        error="#ff8178",
        accent="#c099ff",
        variables={"quiet": "#9aa3ad", "cursor": "#263449"},
    ),
    Theme(
        name=LIGHT,
        dark=False,
        background="#ffffff",
        surface="#f4f6f8",
        panel="#e9edf1",
        foreground="#1f2328",
        primary="#0754b3",
        secondary="#116329",
        success="#116329",
        warning="#744b00",
        error="#b0151e",
        accent="#6a32c4",
        variables={"quiet": "#4d5660", "cursor": "#d5e6fb"},
    ),
)


@cache
def styles(theme: str) -> Mapping[str, Style]:
    """What each meaning looks like in a theme."""
    one = next((each for each in THEMES if each.name == theme), THEMES[0])
    quiet = one.variables["quiet"]
    return {
        "good": Style(color=one.success),
        "warn": Style(color=one.warning),
        "bad": Style(color=one.error),
        "quiet": Style(color=quiet),
        "strong": Style(bold=True),
        "link": Style(color=one.primary),
        "agent": Style(color=one.accent, bold=True),
        "person": Style(color=one.success, bold=True),
        "tool": Style(color=one.primary, bold=True),
        "thought": Style(color=quiet, italic=True),
        "added": Style(color=one.success),
        "removed": Style(color=one.error),
        "hunk": Style(color=one.accent),
        "file": Style(color=one.primary, bold=True),
        "key": Style(color=one.primary, bold=True),
        "cursor": Style(bgcolor=one.variables["cursor"]),
        "needs_person": Style(color=one.warning, bold=True),
        "running": Style(color=one.primary),
        "stopping": Style(color=one.warning),
        "retrying": Style(color=one.warning),
        "in_review": Style(color=one.success),
        "waiting_to_start": Style(color=quiet),
        "closed": Style(color=quiet),
    }


def paint(text: Text, theme: str) -> Text:
    """The same text with the style of each meaning; a name that has none stays as it is written."""
    found = styles(theme)
    painted = text.copy()
    painted.style = _style(text.style, found)
    painted.spans = [Span(one.start, one.end, _style(one.style, found)) for one in text.spans]
    return painted


def _style(style: str | Style, found: Mapping[str, Style]) -> Style:
    return found.get(style, Style()) if isinstance(style, str) else style
