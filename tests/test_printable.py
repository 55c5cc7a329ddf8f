"""Text of others, made harmless."""

from __future__ import annotations

from opensymphony.printable import escaped


def test_what_a_terminal_obeys_or_hides_is_an_escape() -> None:
    """Controls, invisible and direction-changing characters, halves of pairs; what is kept is named."""
    assert escaped("a\x1b[31m\x9b\u202e\u200b\ud800\n") == "a\\x1b[31m\\x9b\\u202e\\u200b\\ud800\\n"
    assert escaped("plain, Zürich, 日本 \U0001f9fe") == "plain, Zürich, 日本 \U0001f9fe"
    assert escaped("a\n\tb\r", keep="\n\t") == "a\n\tb\\r"
