"""Text of others made harmless: whatever a terminal obeys, or that hides or turns what is read, is shown as an escape."""

from __future__ import annotations


def escaped(text: str, keep: str = "") -> str:
    """The text with every control, invisible and direction-changing character as an escape, except for those in `keep`."""
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )
