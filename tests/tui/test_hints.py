"""Which keys are shown."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from textual.binding import Binding

from opensymphony.tui.app import KEYS
from opensymphony.tui.grouping import FIELDS, GroupRow
from opensymphony.tui.hints import board_hints, help_lines, key_rows, keys_line, page_hints
from tests.tui.scenes import TICKETS, ticket

DOCS = Path(__file__).parents[2] / "docs"


def test_the_line_shows_what_does_something_here() -> None:
    """What can be asked about this ticket, by its words."""
    assert board_hints(TICKETS[0], 120).plain == (
        "? help  Enter open  m answer  R retry  p pause  / filter  s sort  q quit"
    )
    assert "a approve  d reject" in board_hints(TICKETS[1], 120).plain
    assert "p resume" in page_hints(ticket("A", "", "running", paused=True), 120).plain
    assert board_hints(GroupRow(name="closed", number=1, folded=True), 120).plain.startswith("? help  Enter unfold  /")
    assert board_hints(None, 120).plain == "? help  / filter  s sort  q quit"
    assert page_hints(None, 120).plain == "? help  Esc back  Tab next  f follow"


@pytest.mark.parametrize("width", range(6, 80, 5))
def test_what_does_not_fit_is_left_out(width: int) -> None:
    """From the end; the help stays."""
    line = keys_line([("a", "one"), ("b", "two"), ("Enter", "three")], width, "by name").plain
    assert line.startswith("? help") and len(line) <= max(width, 6)


def test_the_order_stands_at_the_end() -> None:
    """Where there is room."""
    assert keys_line([("a", "one")], 30, "by name").plain == "? help  a one          by name"


def test_the_help_has_every_key_with_a_meaning() -> None:
    """And what a filter understands."""
    text = "\n".join(line.plain for line in help_lines(KEYS))
    for _, bindings in KEYS:
        for keys, meaning in key_rows(bindings):
            assert keys in text and meaning in text
    assert set(re.findall(r"(\w+):(?=\s|$)", text)) == set(FIELDS)


def test_no_key_means_two_things_at_once() -> None:
    """On the board, and on a ticket's page."""
    board, page, *both = ([key for one in found for key in _keys(one)] for _, found in KEYS)
    everywhere = [key for keys in both for key in keys]
    for keys in (board, page):
        used = [*keys, *everywhere]
        assert sorted(used) == sorted(set(used))


def _keys(one: object) -> list[str]:
    assert isinstance(one, Binding)
    return one.key.split(",")


def test_the_documentation_has_every_key() -> None:
    """docs/tui.md has what `python docs/generate_tui.py` writes."""
    script = runpy.run_path(str(DOCS / "generate_tui.py"))
    between = (DOCS / "tui.md").read_text().partition(script["BEGIN"])[2].partition(script["END"])[0]
    assert between == script["generated"](), "run python docs/generate_tui.py"
    assert "| `/` | filter |" in between and "| `Esc`, `Backspace` | back to the board |" in between
