"""How texts, times and figures are written."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from opensymphony.model import Usage
from opensymphony.tui.text import (
    EXACT_CHARS_MAX,
    LINE_CHARS_MAX,
    cells,
    clock_time,
    count,
    day_and_time,
    duration,
    exact_lines,
    lines,
    money,
    one_line,
    plural,
    spent,
    styled,
)

ANY = st.text(st.characters(), max_size=200)


@given(ANY)
def test_no_text_has_anything_that_a_terminal_obeys(text: str) -> None:
    """Whatever was written: nothing but what is printable, and few marks on one character."""
    for shown in (one_line(text), *lines(text), *exact_lines(text)):
        assert shown.isprintable()
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)


@given(ANY, st.integers(0, 40), st.booleans())
def test_a_cell_is_exactly_as_wide_as_its_column(text: str, width: int, right: bool) -> None:
    """Wide glyphs, marks and emoji included: else every column behind it would be off."""
    assert cell_len(cells(one_line(text), width, right=right)) == width


def test_what_is_cut_says_so() -> None:
    """With dots, never within a wide glyph."""
    assert cells("日本語", 6) == "日本語"
    assert cells("日本語", 5) == "日本…"
    assert cells("日本語", 4) == "日… "
    assert cells("12", 4, right=True) == "  12"
    assert one_line("x" * 5_000).endswith("…") and len(one_line("x" * 5_000)) == LINE_CHARS_MAX
    assert lines("a\nb\nc\nd\n", 2) == ["a", "b", "… 2 more lines are not shown here"]


def test_glyphs_that_terminals_measure_differently_are_taken_apart() -> None:
    """Joined families, variants and tones; marks in heaps."""
    assert (
        one_line("\U0001f468\u200d\U0001f469 \U0001f44d\U0001f3fd \u2764\ufe0f")
        == "\U0001f468\U0001f469 \U0001f44d \u2764"
    )
    assert one_line("e" + "\u0301" * 40) == "e\u0301\u0301"


def test_what_is_consented_to_is_shown_whole() -> None:
    """However long a line is; what cannot be seen is an escape, and what is left out of a flood is counted."""
    assert exact_lines("x" * 5_000 + "\n\n\ty\r\n") == ["x" * 5_000, "", "\\ty\\r", ""]
    assert exact_lines("a\u200d\ufe0f\u3164\U0001f3fd\u202e") == [r"a\u200d\ufe0f\u3164\U0001f3fd\u202e"]
    assert exact_lines("e" + "\u0301" * 3 + " Zürich 日本") == ["e\u0301\u0301\\u0301 Zürich 日本"]
    assert exact_lines("x" * (EXACT_CHARS_MAX + 5))[-1] == "… 5 more characters are not shown here"


def test_lines_keep_their_shape_and_nothing_else() -> None:
    """Tabs as blanks, both ends of lines."""
    assert lines("a\r\n\tb\x1b[1m\n\n") == ["a", "    b\\x1b[1m"]
    assert one_line(" a \n b\tc ") == "a b c"


@pytest.mark.parametrize(
    ("ms", "text"),
    [(-5, "0s"), (59_999, "59s"), (60_000, "1m"), (3_600_000 * 2 + 300_000, "2h05"), (86_400_000 * 40, "40d")],
)
def test_durations_are_short(ms: int, text: str) -> None:
    """The largest unit that says enough."""
    assert duration(ms) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1_000, "1.0k"), (123_400, "123k"), (4_100_000, "4.1M"), (2 * 10**9, "2.0G")],
)
def test_counts_are_short(number: int, text: str) -> None:
    """Three figures and a unit."""
    assert count(number) == text


def test_figures_for_people() -> None:
    """Money with cents, times of this machine, a word that follows its number."""
    assert money(1_234_567_000) == "1,234.57"
    assert (clock_time(1_700_000_000_000), day_and_time(1_700_000_000_000)) == ("22:13:20", "2023-11-14 22:13:20")
    assert (plural(1, "line"), plural(2_000, "line")) == ("1 line", "2,000 lines")
    assert spent(Usage(prompt_tokens=1_500)) == "1.5k tokens"
    assert spent(Usage(prompt_tokens=1_500, cost_micros=420_000)) == "1.5k tokens, 0.42"


def test_a_style_ends_where_its_text_ends() -> None:
    """What is appended does not take it over."""
    assert styled("a", "bad").append("b").spans[0].end == 1
