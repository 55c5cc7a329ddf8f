"""Whole screens, as they were recorded: a difference is either a mistake, or recorded anew and looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.record import IMAGES, SHOTS, SNAPSHOTS, lines_of


@pytest.mark.parametrize("name", SHOTS)
async def test_a_screen_is_as_it_was_recorded(name: str, tmp_path: Path) -> None:
    """`python -m tests.tui.record` records them anew."""
    recorded = (SNAPSHOTS / f"{name}.txt").read_text().split("\n")[:-1]
    image = tmp_path / "image.svg" if SHOTS[name].image else None
    assert await lines_of(name, tmp_path / "store", image) == recorded
    if image is not None:
        assert image.read_text() == (IMAGES / f"tui-{name}.svg").read_text(), "the picture in docs/images is another"


def test_nothing_is_left_over() -> None:
    """Each file is of a screen that there is, and each picture of the documentation too."""
    assert {path.stem for path in SNAPSHOTS.glob("*.txt")} == set(SHOTS)
    assert {path.stem for path in IMAGES.glob("tui-*.svg")} == {
        f"tui-{name}" for name, shot in SHOTS.items() if shot.image
    }
