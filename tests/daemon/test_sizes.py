"""How much is on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opensymphony.clock import Clock
from opensymphony.daemon.sizes import Size, measure, shown


class Jumps(Clock):
    """Every look at it takes an hour."""

    now = 0

    def now_ms(self) -> int:
        self.now += 3_600_000
        return self.now


def test_everything_below_counts_and_no_link_is_followed(tmp_path: Path) -> None:
    """A link counts as itself; a loop of links ends nobody's walk."""
    top = tmp_path / "top"
    (top / "deep" / "er").mkdir(parents=True)
    (tmp_path / "big").write_bytes(b"x" * 1_000_000)
    (top / "deep" / "er" / "file").write_bytes(b"x" * 70_000)
    (top / "link").symlink_to(tmp_path / "big")
    (top / "deep" / "loop").symlink_to(top)
    os.utime(top / "deep" / "er" / "file", (4_000_000_000, 4_000_000_000))
    size = measure(top, Clock())
    assert (size.entries, size.newest_ms, size.whole) == (6, 4_000_000_000_000, True)
    assert 70_000 <= size.bytes < 200_000
    assert measure(tmp_path / "big", Clock()).bytes == 1_000_000
    assert measure(tmp_path / "nothing", Clock()) == Size()


def test_a_walk_ends(tmp_path: Path) -> None:
    """After so many entries, or so much time; it says that there may be more."""
    for number in range(300):
        (tmp_path / f"{number:03}").mkdir()
    counted = measure(tmp_path, Clock(), entries_max=100)
    assert (counted.entries, counted.whole) == (100, False)
    timed = measure(tmp_path, Jumps(), seconds_max=1)
    assert not timed.whole
    assert measure(tmp_path, Clock(), entries_max=302).whole


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_500, "2 kB"),
        (2_345_678, "2.3 MB"),
        (5_000_000_000_000_000, "5000.0 TB"),
        (Size(bytes=1_000_000_000, whole=False), "at least 1.0 GB"),
    ],
)
def test_sizes_are_shown_for_people(size: Size | int, text: str) -> None:
    """In the unit that fits."""
    assert shown(size) == text
