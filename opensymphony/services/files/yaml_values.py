"""What stands in the head of a ticket: values as they are written, and where."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field


class Value(Struct, frozen=True, kw_only=True):
    """A value as written, with the half-open range of characters in which it stands."""

    kind: Literal["text", "list", "map"]
    start: int
    end: int
    """Behind its last character; blanks and comments that follow are not part of it."""
    line: int
    text: str = ""
    """Of a `text`: what it says, whatever type YAML sees in it."""
    empty: bool = False
    """True for null, written or not."""
    items: tuple[Value, ...] = ()
    entries: dict[str, Value] = field(default_factory=dict[str, "Value"])


class Entry(Struct, frozen=True, kw_only=True):
    """A key of the head with its value."""

    start: int
    """Where the key begins."""
    line: int
    value: Value
