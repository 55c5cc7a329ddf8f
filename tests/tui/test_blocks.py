"""Long texts in blocks that fold."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from opensymphony.tui.blocks import Block, BlockView, seen_lines, wrapped
from tests.tui.screens import Seat, seated


def block(number: int, body: int = 0, first: int = 1_000_000, last: int = 0) -> Block:
    lines = tuple(Text(f"  line {number}.{at}") for at in range(body))
    return Block(key=str(number), head=(Text(f"head {number}"),), body=lines, first=first, last=last)


@asynccontextmanager
async def page(store: Path, *blocks: Block, size: tuple[int, int] = (60, 20)) -> AsyncIterator[tuple[Seat, BlockView]]:
    """A ticket's page whose text is these blocks."""
    async with seated(store, size=size) as seat:
        await seat.press("enter")
        await seat.sees("conditions on starting it" if size[1] > 17 else "the agent asks")
        view = seat.app.screen.query_one(BlockView)
        view.show(blocks)
        view.see_beginning()
        await seat.pilot.pause()
        yield seat, view


def seen(seat: Seat) -> list[str]:
    return [line[2:] for line in seat.lines if "head" in line or "line " in line or "more lines" in line]


def test_a_long_body_folds_in_its_middle() -> None:
    """With how much is left out; one line alone is not worth it."""
    folded = [line.plain for line in seen_lines(block(1, 10, 3, 2), False)]
    assert folded == [
        "head 1",
        "  line 1.0",
        "  line 1.1",
        "  line 1.2",
        "  … 5 more lines (Enter)",
        "  line 1.8",
        "  line 1.9",
    ]
    assert len(seen_lines(block(1, 10, 3, 2), True)) == 11
    assert not block(1, 6, 3, 2).folds and block(1, 7, 3, 2).folds


@pytest.mark.parametrize("width", [8, 11, 30])
def test_lines_are_wrapped_by_cells(width: int) -> None:
    """None is wider, nothing is lost, and what follows stands as far in as the first."""
    console = Console(file=io.StringIO())
    for text in ("  日本語の請求書が文字化けする", "    a few words, and averyverylongwordthatdoesnotfit", "short", ""):
        parts = wrapped(Text(text), width, console)
        assert all(cell_len(part.plain) <= width for part in parts)
        assert "".join("".join(part.plain.split()) for part in parts) == "".join(text.split())
    assert [part.plain.rstrip() for part in wrapped(Text("  ab cd ef gh"), 8, console)] == ["  ab cd", "  ef gh"]


async def test_the_cursor_steps_from_block_to_block(tmp_path: Path) -> None:
    """Through a tall one line by line, so that nothing is jumped over."""
    async with page(tmp_path, *(block(at) for at in range(3)), block(3, 40), block(4)) as (seat, view):
        steps = 0
        shown: set[str] = set(seen(seat))
        while view.current is not None and view.current.key != "4" and steps < 100:
            await seat.press("down")
            shown |= set(seen(seat))
            steps += 1
        assert {f"  line 3.{at}" for at in range(40)} <= shown and view.current is not None and view.current.key == "4"
        for _ in range(steps):
            await seat.press("up")
        assert view.current.key == "0" and "head 0" in seat.text
        await seat.press("up", "end")
        assert view.current is not None and view.current.key == "4" and view.at_end
        await seat.press("home")
        assert view.current.key == "0" and not view.at_end
        await seat.press("pagedown")
        assert "head 0" not in seat.text
        await seat.press("pageup", "pageup")
        assert "head 0" in seat.text


async def test_a_block_unfolds(tmp_path: Path) -> None:
    """With Enter, or a click on the one that is chosen; and folds again to its beginning."""
    async with page(tmp_path, block(1, 30, 2, 1), block(2)) as (seat, view):
        assert seen(seat) == [
            "head 1",
            "  line 1.0",
            "  line 1.1",
            "  … 27 more lines (Enter)",
            "  line 1.29",
            "head 2",
        ]
        await seat.press("enter")
        assert "  line 1.12" in seen(seat)
        await seat.press("pagedown", "space")
        assert seen(seat)[0] == "head 1" and "more lines" in seat.text
        await seat.pilot.click(BlockView, offset=(4, 5))
        await seat.pilot.pause()
        assert view.current is not None and view.current.key == "2"
        await seat.pilot.click(BlockView, offset=(4, 0))
        await seat.pilot.click(BlockView, offset=(4, 0))
        await seat.pilot.pause()
        assert "  line 1.12" in seen(seat)


async def test_what_is_read_stays_where_it_is(tmp_path: Path) -> None:
    """When something comes before it or after it, and when the width changes."""
    async with page(tmp_path, *(block(at, 3) for at in range(20))) as (seat, view):
        await seat.press("pagedown", "pagedown")
        first = seen(seat)[0]
        view.show([*(block(at, 3) for at in range(-10, 20)), block(20, 5)])
        await seat.pilot.pause()
        assert seen(seat)[0] == first
        await seat.pilot.resize_terminal(44, 20)
        await seat.pilot.pause()
        assert seen(seat)[0] == first
        view.show([*(block(at, 3) for at in range(-10, 20)), block(20, 5)], end=True)
        await seat.pilot.pause()
        assert seen(seat)[-1] == "  line 20.4" and view.at_end


async def test_without_a_block_nothing_happens(tmp_path: Path) -> None:
    """No key breaks it."""
    async with page(tmp_path) as (seat, view):
        await seat.press("up", "down", "enter", "home", "end", "pageup", "pagedown")
        assert view.current is None
