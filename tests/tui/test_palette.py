"""Colours and what they mean."""

from __future__ import annotations

import pytest
from rich.color import Color
from rich.style import Style
from rich.text import Text
from textual.theme import Theme

from opensymphony.tui.columns import MARKS
from opensymphony.tui.palette import DARK, LIGHT, THEMES, paint, styles


def brightness(color: str) -> float:
    red, green, blue = (part / 255 for part in Color.parse(color).get_truecolor())
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((brightness(one), brightness(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_everything_can_be_read(theme: Theme) -> None:
    """Each colour of a text has a contrast of 4.5 to 1 on each ground, that of the cursor included."""
    grounds = [theme.background, theme.surface, theme.panel, theme.variables["cursor"]]
    for name, style in styles(theme.name).items():
        if style.color is not None:
            worst = min(contrast(style.color.name, ground) for ground in grounds if ground)
            assert worst >= 4.5, (name, worst)


def test_each_phase_has_a_glyph_and_a_style() -> None:
    """Colour is never the only sign."""
    assert len(set(MARKS.values())) == len(MARKS)
    assert set(MARKS) <= set(styles(DARK)) and set(styles(DARK)) == set(styles(LIGHT))


def test_a_text_is_painted() -> None:
    """Where it names a meaning; a name that has none is never taken for a style of rich or for markup."""
    text = Text.assemble(("a", "bad"), ("b", "red"), "[bold]c[/bold]")
    painted = paint(text, DARK)
    assert painted.plain == "ab[bold]c[/bold]"
    assert [span.style for span in painted.spans] == [styles(DARK)["bad"], Style()]
    assert text.spans[0].style == "bad"
    assert paint(Text("x", "good"), "another theme").style == styles(DARK)["good"]
