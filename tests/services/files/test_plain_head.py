"""The quick reader of a head finds what the YAML reader finds, or leaves it to that one."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opensymphony.services.files import plain_head
from opensymphony.services.files.front_matter import Malformed, yaml_entries

ORDINARY = (
    "# a comment\ntitle: Prices are rounded (twice), or so it's said  # why\nstate: In Progress\r\n\n"
    "labels: [bug, check out , 2]\nblocked_by: []\nassignee: null\npriority: 2\ncreated: 2026-01-31\n"
    'claim: {instance: "host-1", generation: 3, heartbeat_ms: 1750000000000}\n'
)


def test_an_ordinary_head_needs_no_yaml_reader() -> None:
    """Which is what makes a first reading of thousands of tickets quick."""
    found = plain_head.entries(ORDINARY, 4)
    assert found is not None and len(found) == 8
    assert found == yaml_entries(ORDINARY, 4)


@pytest.mark.parametrize(
    "head",
    [
        "a: 'x'\n",
        "a:\n",
        "a: b: c\n",
        "a: b\n  c\n",
        "a: b\na: c\n",
        " a: b\n",
        "a: &x b\n",
        "a: [b\n",
        "a: |\n",
        "- a\n",
        "a: [,]\n",
    ],
)
def test_anything_else_is_left_to_the_yaml_reader(head: str) -> None:
    """Also everything that is wrong, which it can explain."""
    assert plain_head.entries(head, 4) is None


_PIECES = st.sampled_from(
    [
        *"ab01ÄĀɏß _/.,()+'-#:[]{}\"~&*!|>?\t",
        "\n",
        "\r\n",
        "\n",
        ": ",
        " #",
        "null",
        "Null",
        "yes",
        "0x1f",
        "1e3",
        "---",
        "- ",
    ]
)
_VALUES = st.lists(_PIECES, max_size=8).map("".join)
_KEYS = st.sampled_from(["a", "title", "state", "null", "y", "a_b", "# c"])
_LINES = st.tuples(
    _KEYS, st.sampled_from([": ", ":  ", ":", ": [", ": a, "]), _VALUES, st.sampled_from(["\n", "\r\n", "]\n"])
)


@given(st.lists(_LINES.map("".join), max_size=4).map("".join))
@example("a: b\r\n\r\n# c\n")
@settings(max_examples=500, deadline=None)
def test_both_readers_agree(head: str) -> None:
    """On every head that the quick one takes."""
    found = plain_head.entries(head, 4)
    if found is not None:
        try:
            assert found == yaml_entries(head, 4)
        except Malformed as error:
            raise AssertionError(f"taken, although {error.message}") from error
