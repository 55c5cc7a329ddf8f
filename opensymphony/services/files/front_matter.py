"""The YAML head of a ticket, read with positions, so that one value can be changed without touching another byte.

In: the bytes of a file. Out: its text, its values as plain trees that know where they stand, and where the body begins.
YAML 1.2, safe: `yes` stays a string, a doubled key is an error, tags mean nothing, anchors and aliases are refused
(an alias would let an edit of one value change another; a few hundred of them fill the memory).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

from msgspec import Struct, structs
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from opensymphony.model import encodable
from opensymphony.services.files import plain_head
from opensymphony.services.files.yaml_values import Entry, Value

FILE_BYTES_MAX = 1_048_576
"""A ticket is read by people; a megabyte of it is a mistake, such as a pasted log."""
HEAD_CHARACTERS_MAX = 32_768
"""The YAML reader takes about a second for this much; a longer head would hold every poll up."""
BRACKETS_MAX = 250
"""The YAML reader takes time that grows with the square of their depth: seconds for some thousands."""
NESTING_MAX = 16

BOM = b"\xef\xbb\xbf"
_FENCE = re.compile(r"---[ \t]*\r?\n?\Z")


class Malformed(Exception):
    """Raised for a file that is no ticket; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        self.message = message = encodable(message)
        super().__init__(f"line {line}: {message}")


class FrontMatter(Struct, frozen=True, kw_only=True):
    """A file, split."""

    text: str
    """All of it, without the byte order mark; line ends as they are."""
    bom: bool
    newline: str
    """How the opening line ends."""
    indent: str
    """What stands before each key."""
    closing: int
    """Where the line that ends the head begins."""
    body: int
    entries: dict[str, Entry]

    def line_of(self, position: int) -> int:
        return self.text.count("\n", 0, position) + 1

    def encode(self, text: str) -> bytes:
        """The bytes of a file that differs from this one in its text only."""
        return (BOM if self.bom else b"") + text.encode()


@lru_cache(maxsize=4)  # One edit asks for the same file up to three times, with a person saving meanwhile.
def read(data: bytes) -> FrontMatter:
    """Split and understand a file. Raises `Malformed`."""
    text = _decode(data)
    first = text[: text.find("\n") + 1] or text
    if not _FENCE.match(first):
        raise Malformed(1, "a ticket begins with a line '---' and its front matter; this file does not")
    head = len(first)
    closing, body = _closing(text, head)
    if closing - head > HEAD_CHARACTERS_MAX:
        raise Malformed(
            1, f"the front matter is longer than {HEAD_CHARACTERS_MAX:,} characters; keep long text below it"
        )
    entries = plain_head.entries(text[head:closing], head)
    if entries is None:
        entries = yaml_entries(text[head:closing], head)
    start = min((entry.start for entry in entries.values()), default=head)
    indent = text[text.rfind("\n", 0, start) + 1 : start]
    newline = "\r\n" if first.endswith("\r\n") else "\n"
    return FrontMatter(
        text=text,
        bom=data.startswith(BOM),
        newline=newline,
        indent=indent,
        closing=closing,
        body=body,
        entries=entries,
    )


def _decode(data: bytes) -> str:
    if len(data) > FILE_BYTES_MAX:
        raise Malformed(1, f"the file is larger than {FILE_BYTES_MAX // 1024:,} KiB; move logs and images elsewhere")
    try:
        return data.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Malformed(line, "the file is not UTF-8 text; save it with that encoding") from error


def _closing(text: str, position: int) -> tuple[int, int]:
    while position < len(text):
        end = text.find("\n", position) + 1 or len(text)
        if _FENCE.match(text[position:end]):
            return position, end
        position = end
    raise Malformed(1, "the front matter that begins here has no closing line '---'")


def yaml_entries(head: str, offset: int) -> dict[str, Entry]:
    """The keys of any head that begins at `offset` of its file. Raises `Malformed`."""
    node = _compose(head)
    if node is None:
        return {}
    line = int(node.start_mark.line) + 2
    if not str(node.tag).endswith(":map") or node.flow_style:
        raise Malformed(line, "the front matter must be a list of 'key: value' lines")
    entries: dict[str, Entry] = {}
    for key, value in node.value:
        name = _key(key)
        if name in entries:
            raise Malformed(
                int(key.start_mark.line) + 2, f"'{name}' is there twice (first in line {entries[name].line})"
            )
        start = int(key.start_mark.index) + offset
        found = _value(value, head, offset, 0)
        if found.start == found.end:
            # The mark of a value that is not written stands at the next key, behind comments and blank lines.
            colon = head.find(":", int(key.end_mark.index))
            if colon < 0:
                raise Malformed(int(key.start_mark.line) + 2, "write 'key: value', without '?'")
            found = structs.replace(found, start=colon + 1 + offset, end=colon + 1 + offset)
        entries[name] = Entry(start=start, line=int(key.start_mark.line) + 2, value=found)
    return entries


def _key(node: Any) -> str:
    if not isinstance(node.value, str):
        raise Malformed(int(node.start_mark.line) + 2, "a key must be a word")
    return node.value


def _compose(head: str) -> Any:
    if head.count("[") + head.count("{") > BRACKETS_MAX:
        raise Malformed(2, f"the front matter has more than {BRACKETS_MAX} brackets; keep long text below it")
    yaml: Any = YAML(typ="safe", pure=True)
    try:
        return yaml.compose(head)
    except MarkedYAMLError as error:
        line, cause = _what_and_where(error)
        raise Malformed(line, f"not valid YAML: {_one_line(cause)}") from error
    except ReaderError as error:
        position = int(cast("Any", error).position or 0)
        raise Malformed(head.count("\n", 0, position) + 2, "a control character that YAML does not allow") from error
    except RecursionError as error:
        raise Malformed(2, "the front matter is nested too deeply") from error
    except (YAMLError, ValueError) as error:
        raise Malformed(2, f"not valid YAML: {_one_line(str(error))}") from error


def _what_and_where(error: Any) -> tuple[int, str | None]:
    mark = error.problem_mark or error.context_mark
    cause = error.problem or error.context
    if cause and "'\\t'" in cause:
        cause = "a tab; YAML wants blanks"
    return (2 if mark is None else int(mark.line) + 2), cause


def _one_line(text: str | None) -> str:
    return " ".join((text or "unreadable").split())[:200]


def _value(node: Any, head: str, offset: int, depth: int) -> Value:
    line = int(node.start_mark.line) + 2
    if node.anchor is not None:
        raise Malformed(line, "anchors and aliases (&, *) are not supported in a ticket")
    if depth > NESTING_MAX:
        raise Malformed(line, "the front matter is nested too deeply")
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    if isinstance(node.value, str):
        empty = str(node.tag).endswith(":null")
        end = start + len(head[start:end].rstrip())
        return Value(kind="text", start=start + offset, end=end + offset, line=line, text=node.value, empty=empty)
    pairs = str(node.tag).endswith(":map") or (node.value and isinstance(node.value[0], tuple))
    if pairs:
        return _map(node, head, offset, depth, line)
    items = tuple(_value(item, head, offset, depth + 1) for item in node.value)
    return Value(kind="list", start=start + offset, end=_end(node, offset, items), line=line, items=items)


def _map(node: Any, head: str, offset: int, depth: int, line: int) -> Value:
    entries: dict[str, Value] = {}
    for key, value in node.value:
        name = _key(key)
        if name in entries:
            raise Malformed(int(key.start_mark.line) + 2, f"'{name}' is there twice")
        entries[name] = _value(value, head, offset, depth + 1)
    start = int(node.start_mark.index) + offset
    end = _end(node, offset, tuple(entries.values()))
    return Value(kind="map", start=start, end=end, line=line, entries=entries)


def _end(node: Any, offset: int, parts: tuple[Value, ...]) -> int:
    # The mark of a block collection stands before the next token, behind comments that are not part of it.
    if node.flow_style or not parts:
        return int(node.end_mark.index) + offset
    return max(part.end for part in parts)
