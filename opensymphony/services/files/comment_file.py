"""Our comments in `<id>.comments.md`, between lines that mark them; everything else in that file belongs to people.

In: the bytes of the file. Out: the bytes with our section added or edited in place.
"""

from __future__ import annotations

import re
from urllib.parse import quote

BODY_CHARACTERS_MAX = 65_536
"""As much as the strictest of the other trackers takes."""

_LOOKS_LIKE_OURS = re.compile(r"<!--(?=\s*/?\s*opensymphony:comment)", re.IGNORECASE)


def name_of(marker: str) -> str:
    """A marker as it may stand in an HTML comment, which must not contain `--`."""
    return quote(marker, safe="#/:@+").replace("--", "-%2D")


def upsert(data: bytes, marker: str, body: str) -> bytes:
    """The file with one section of this marker that says `body`. Raises `UnicodeDecodeError` when it is no text.

    A section whose last line a person deleted counts as its first line only: what follows may be theirs.
    """
    text = data.decode()
    first, last = (f"<!-- {slash}opensymphony:comment {name_of(marker)} -->" for slash in ("", "/"))
    found = _find(text, first, last)
    # An editor may have given the file, or our section in it, the line ends that it likes.
    line = found[0] if found else 0
    newline = "\r\n" if "\r\n" in text[line : text.find("\n", line) + 1] else "\n"
    section = newline.join([first, *_harmless(body).split("\n"), last])
    if found is not None:
        start, end = found
        return (text[:start] + section + text[end:]).encode()
    gap = ""
    if text:
        gap = newline if text.endswith("\n") else newline * 2
    return (text + gap + section + newline).encode()


def _harmless(body: str) -> str:
    """Our text comes from outside too: it must not end its own section or begin another."""
    plain = body.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    if len(plain) > BODY_CHARACTERS_MAX:
        plain = plain[:BODY_CHARACTERS_MAX] + "\n\n(shortened)"
    return _LOOKS_LIKE_OURS.sub("&lt;!--", plain).strip("\n")


def _find(text: str, first: str, last: str) -> tuple[int, int] | None:
    start = _line(text, first, 0)
    if start is None:
        return None
    inside = start + len(first)
    end = _line(text, last, inside)
    again = _line(text, first, inside)
    if end is None or (again is not None and again < end):
        return start, inside
    return start, end + len(last)


def _line(text: str, line: str, position: int) -> int | None:
    """Where a line that says exactly this begins, at or behind `position`."""
    match = re.compile(rf"^\ufeff?({re.escape(line)})[ \t]*\r?$", re.MULTILINE).search(text, position)
    return match.start(1) if match else None
