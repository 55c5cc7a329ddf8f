"""Names of tickets in places that have rules, and text that can be written down."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opensymphony.model import TICKET_KEY_CHARS_MAX, encodable, ticket_key


def test_a_safe_name_stays_and_others_stay_apart() -> None:
    """What means something to a file system, a command line or git does not survive."""
    assert ticket_key("PROJ-123") == "PROJ-123"
    names = ["A/B", "A:B", "A_B", "..", ".git", "-rf", "x.lock", "a..b", "ä", ""]
    keys = [ticket_key(name) for name in names]
    assert len(set(keys)) == len(names)
    assert keys[2] == "A_B"
    assert all(len(ticket_key("x" * length)) <= TICKET_KEY_CHARS_MAX for length in (127, 128, 129, 5_000))


@given(st.text(max_size=200))
def test_every_key_is_a_name_that_is_safe_everywhere(identifier: str) -> None:
    """Whatever the tracker calls it."""
    key = ticket_key(identifier)
    assert key and len(key) <= TICKET_KEY_CHARS_MAX
    assert all(char.isascii() and (char.isalnum() or char in "._-") for char in key)
    assert key[0] not in ".-" and ".." not in key and not key.endswith((".", ".lock"))
    assert ticket_key(identifier) == key


@given(st.lists(st.integers(0, 0x10FFFF)).map(lambda points: "".join(map(chr, points))))
def test_whatever_comes_in_can_be_written(text: str) -> None:
    """Halves of a pair that stand alone are replaced; everything else stays."""
    assert isinstance(encodable(text).encode(), bytes)
    if not any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        assert encodable(text) == text
    assert encodable("\ud83d\ude00") == "\U0001f600"
