"""Our comments in `<id>.comments.md`, between lines that mark them; everything else in that file belongs to people.

In: the bytes of the file. Out: the bytes with our section added or edited in place; or what people say in it, each comment
below a heading of the second level with its author's name.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

from opensymphony.model import TicketComment

BODY_CHARACTERS_MAX = 65_536
"""As much as the strictest of the other trackers takes."""

_LOOKS_LIKE_OURS = re.compile(r"<!--(?=\s*/?\s*opensymphony:comment)", re.IGNORECASE)


COMMENTS_MAX = 20
COMMENT_CHARACTERS_MAX = 4_000

_OURS = re.compile(
    r"^<!-- opensymphony:comment (?P<name>\S+) -->[ \t]*\r?$.*?(?:^<!-- /opensymphony:comment (?P=name) -->[ \t]*\r?$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_HEADING = re.compile(r"^##[ \t]+(?P<author>[^\r\n#][^\r\n]{0,99}?)[ \t]*#*[ \t]*\r?$", re.MULTILINE)


def read(data: bytes) -> tuple[TicketComment, ...]:
    """What people say, the newest at the end. A text that is no UTF-8 says nothing."""
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        return ()
    text = _OURS.sub("", text)
    headings = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings), len(text)][1:]
    found: list[TicketComment] = []
    times: dict[str, int] = {}
    for number, (heading, end) in enumerate(zip(headings, ends, strict=True), start=1):
        author, said = heading["author"].strip(), text[heading.end() : end].replace("\r\n", "\n").strip()
        digest = hashlib.sha256(f"{author}\n{said}".encode()).hexdigest()[:16]
        times[digest] = times.get(digest, 0) + 1
        found.append(
            TicketComment(
                id=f"{digest}.{times[digest]}",
                number=number,
                author=author,
                author_name=author,
                text=said[:COMMENT_CHARACTERS_MAX],
            )
        )
    return tuple(comment for comment in found if comment.text)[-COMMENTS_MAX:]


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
