"""The common case of a head, read without the YAML reader, which takes a millisecond and more for each.

In: the text between the two lines `---`. Out: what `front_matter` would find, or None when a line is anything but a comment or
a key with words, with a list of words, or with a claim as we write it. A test compares the two readers.
"""

from __future__ import annotations

import re

from opensymphony.services.files.yaml_values import Entry, Value

_LETTER = "A-Za-z0-9\u00c0-\u024f"
_TEXT = f"[{_LETTER}](?:[{_LETTER}_/.,()+' -]*[{_LETTER}_/.,()+'-])?"
_WORD = f"[{_LETTER}](?:[{_LETTER}_/.+ -]*[{_LETTER}_/.+-])?"
_LIST = rf"\[ *(?:{_WORD} *(?:, *{_WORD} *)*)?\]"
_CLAIM = r"\{instance: (?P<i>\"[A-Za-z0-9_.@-]*\"), generation: (?P<g>[0-9]+), heartbeat_ms: (?P<h>[0-9]+)\}"
_LINE = re.compile(
    rf"(?:#[ -~]*|(?P<key>[a-z_]+): +(?:(?P<text>{_TEXT})|(?P<list>{_LIST})|(?P<claim>{_CLAIM})) *(?: #[ -~]*)?)?\r?\n"
)
_LINE_CHARACTERS_MAX = 1_000
_ITEM = re.compile(_WORD)
_NULLS = frozenset({"null", "Null", "NULL"})


def entries(head: str, offset: int) -> dict[str, Entry] | None:
    """The keys of a plain head that begins at `offset` of its file, in the file's second line."""
    found: dict[str, Entry] = {}
    position = 0
    for number, line in enumerate(head.split("\n")[:-1], 2):
        match = _LINE.fullmatch(f"{line}\n") if len(line) <= _LINE_CHARACTERS_MAX else None
        key = match["key"] if match else None
        if match is None or key in found:
            return None
        if key:
            found[key] = Entry(start=position + offset, line=number, value=_value(match, position + offset, number))
        position += len(line) + 1
    return found


def _value(match: re.Match[str], offset: int, line: int) -> Value:
    if match["text"] is not None:
        return _text(match["text"], match.start("text") + offset, line)
    if match["list"] is not None:
        start, end = match.span("list")
        items = tuple(_text(item[0], item.start() + offset, line) for item in _ITEM.finditer(match.string, start, end))
        return Value(kind="list", start=start + offset, end=end + offset, line=line, items=items)
    parts: dict[str, Value] = {}
    for name, group in (("instance", "i"), ("generation", "g"), ("heartbeat_ms", "h")):
        start, end = match.span(group)
        text = match[group].strip('"')
        parts[name] = Value(kind="text", start=start + offset, end=end + offset, line=line, text=text)
    start, end = match.span("claim")
    return Value(kind="map", start=start + offset, end=end + offset, line=line, entries=parts)


def _text(text: str, start: int, line: int) -> Value:
    return Value(kind="text", start=start, end=start + len(text), line=line, text=text, empty=text in _NULLS)
