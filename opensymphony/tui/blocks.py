"""Long texts in blocks that fold: a transcript, a timeline, a diff. Only the lines that are seen are drawn.

The place that is read stays where it is when blocks are added before or after it, or another width wraps them anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from opensymphony.tui.owner import owner
from opensymphony.tui.palette import paint, styles
from opensymphony.tui.text import styled

_GUTTER = 2
_WIDTH_MIN = 8


class Block(Struct, frozen=True, kw_only=True):
    """Lines that belong together. Folded, the first and the last of a long body are seen."""

    key: str
    head: tuple[Text, ...] = ()
    """Always seen."""
    body: tuple[Text, ...] = ()
    first: int = 1_000_000
    last: int = 0
    fixed: bool = False
    """It stands at its end of the list whatever is added, so it tells no place in it."""

    @property
    def folds(self) -> bool:
        return len(self.body) > self.first + self.last + 1


def seen_lines(block: Block, unfolded: bool) -> list[Text]:
    """The lines of a block as they are seen, not wrapped yet."""
    if unfolded or not block.folds:
        return [*block.head, *block.body]
    left = len(block.body) - block.first - block.last
    fold = styled(f"  … {left:,} more lines (Enter)", "quiet")
    tail = block.body[len(block.body) - block.last :]
    return [*block.head, *block.body[: block.first], fold, *tail]


def wrapped(line: Text, width: int, console: Console) -> list[Text]:
    """A line in parts of at most so many cells, each as far in as the first."""
    if cell_len(line.plain) <= width:
        return [line]
    lead = len(line.plain) - len(line.plain.lstrip(" "))
    lead = lead if lead <= width // 3 else 0
    first, *more = line[lead:].wrap(console, width - lead, overflow="fold")
    return [Text(" " * lead).append_text(part) for part in (first, *more)]


class BlockView(ScrollView, can_focus=True):
    """Blocks, with a cursor on one of them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "step(-1)", "one block or line up", show=False),
        Binding("down,j", "step(1)", "one block or line down", show=False),
        Binding("pageup", "page(-1)", "a page up; at the top older entries come", show=False),
        Binding("pagedown", "page(1)", "a page down", show=False),
        Binding("home,g", "top", "to the beginning", show=False),
        Binding("end,G", "bottom", "to the end", show=False),
        Binding("enter,space", "unfold", "show all lines of a block, or few again", show=False),
    ]

    class Top(Message):
        """Somebody wants to see what is before the beginning."""

    class Bottom(Message):
        """Somebody has gone to the end, and may want to see what is behind it."""

    class Left(Message):
        """Somebody has gone up, away from the end."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._blocks: Sequence[Block] = ()
        self._unfolded: set[str] = set()
        self._lines: list[tuple[int, Text]] = []
        self._starts: list[int] = []
        self._cache: dict[str, tuple[Block, bool, list[Text]]] = {}
        self._cached_for: tuple[int, str] = (0, "")
        self._cursor = 0

    def show(self, blocks: Sequence[Block], *, end: bool = False) -> None:
        """These blocks from now on. `end`: the last one is looked at."""
        anchor, cursor = self._anchor(), self.current
        self._blocks = blocks
        found = None if cursor is None else next((at for at, one in enumerate(blocks) if one.key == cursor.key), None)
        self._cursor = max(0, min(self._cursor if found is None else found, len(blocks) - 1))
        self._lay_out()
        if end:
            self.see_end()
        else:
            self._restore(anchor)

    @property
    def current(self) -> Block | None:
        """The block under the cursor."""
        return self._blocks[self._cursor] if self._cursor < len(self._blocks) else None

    @property
    def at_end(self) -> bool:
        return self.scroll_offset.y >= self._scroll_max

    def action_step(self, by: int) -> None:
        """Through a block that is taller than the view line by line, else from block to block."""
        if not self._blocks:
            return
        top, height = self.scroll_offset.y, max(1, self.size.height)
        start, end = self._span(self._cursor)
        if (by > 0 and end > top + height) or (by < 0 and start < top):
            self._scroll(top + by)
        elif 0 <= self._cursor + by < len(self._blocks):
            self._cursor += by
            start, end = self._span(self._cursor)
            if end > top + height:
                self._scroll(min(start, end - height))
            elif start < top:
                self._scroll(max(0, end - height, 0) if end - start > height else start)
            else:
                self.refresh()
        elif by < 0:
            self._scroll(0)
        self._notice(by)

    def action_page(self, by: int) -> None:
        self._scroll(self.scroll_offset.y + by * max(1, self.size.height - 1), follow_cursor=True)
        self._notice(by)

    def action_top(self) -> None:
        self.see_beginning()
        self._notice(-1)

    def see_beginning(self) -> None:
        """Look at the first block."""
        self._cursor = 0
        self._scroll(0)

    def action_bottom(self) -> None:
        self.see_end()
        self.post_message(self.Bottom())

    def see_end(self) -> None:
        """Look at the last block."""
        self._cursor = max(0, len(self._blocks) - 1)
        self._scroll(self._scroll_max)

    def action_unfold(self) -> None:
        block = self.current
        if block is not None and block.folds:
            self._unfolded ^= {block.key}
            self._lay_out()
            start = self._span(self._cursor)[0]
            if start < self.scroll_offset.y:
                self._scroll(start)

    def on_click(self, event: Click) -> None:
        at = event.y + self.scroll_offset.y
        if at < len(self._lines):
            same = self._cursor == self._lines[at][0]
            self._cursor = self._lines[at][0]
            if same:
                self.action_unfold()
            self.refresh()

    def on_resize(self, event: Resize) -> None:
        anchor, at_end = self._anchor(), self.at_end
        self._lay_out()
        if at_end and anchor is not None and self._scroll_max:
            self._scroll(self._scroll_max)
        else:
            self._restore(anchor)

    def relay(self) -> None:
        """Draw everything anew, in another theme."""
        self._lay_out()

    def render_line(self, y: int) -> Strip:
        at = y + self.scroll_offset.y
        ground = self.rich_style
        if at >= len(self._lines):
            return Strip([Segment(" " * self.size.width, ground)])
        number, line = self._lines[at]
        chosen = number == self._cursor and self.has_focus
        found = styles(owner(self).theme)
        blank = not line.plain and at == self._starts[number]  # it only keeps blocks apart
        bar = Segment("▌ " if chosen and not blank else "  ", ground + found["link"])
        texts = [Segment(text, ground + (style or Style())) for text, style, _ in line.render(_console(self))]
        return Strip([bar, *texts]).adjust_cell_length(self.size.width, ground)

    def _lay_out(self) -> None:
        width = max(_WIDTH_MIN, (self.scrollable_content_region.width or self.size.width) - _GUTTER)
        theme = owner(self).theme
        if self._cached_for != (width, theme):
            self._cache, self._cached_for = {}, (width, theme)
        cache: dict[str, tuple[Block, bool, list[Text]]] = {}
        self._lines, self._starts = [], []
        for number, block in enumerate(self._blocks):
            unfolded = block.key in self._unfolded
            kept = self._cache.get(block.key)
            if kept is None or kept[0] is not block or kept[1] != unfolded:
                parts = [part for line in seen_lines(block, unfolded) for part in self._parts(line, width, theme)]
                kept = (block, unfolded, parts)
            cache[block.key] = kept
            self._starts.append(len(self._lines))
            self._lines += [(number, part) for part in kept[2]]
        self._cache = cache
        self.virtual_size = Size(self.size.width, len(self._lines))
        self.refresh()

    def _parts(self, line: Text, width: int, theme: str) -> list[Text]:
        painted = paint(line, theme)
        painted.end = ""
        return wrapped(painted, width, _console(self))

    def _span(self, number: int) -> tuple[int, int]:
        """The first line of a block, and the one after its last."""
        end = self._starts[number + 1] if number + 1 < len(self._starts) else len(self._lines)
        return self._starts[number], end

    @property
    def _scroll_max(self) -> int:
        return max(0, len(self._lines) - self.size.height)

    def _anchor(self) -> tuple[str, int] | None:
        top = self.scroll_offset.y
        if top >= len(self._lines):
            return None
        number = self._lines[top][0]
        if self._blocks[number].fixed and number + 1 < len(self._blocks):
            number += 1
        return self._blocks[number].key, top - self._starts[number]

    def _restore(self, anchor: tuple[str, int] | None) -> None:
        if anchor is None:
            return
        for number, block in enumerate(self._blocks):
            if block.key == anchor[0]:
                start, end = self._span(number)
                self._scroll(min(start + anchor[1], max(start, end - 1)))
                return

    def _scroll(self, to: int, *, follow_cursor: bool = False) -> None:
        to = max(0, min(to, self._scroll_max))
        self.scroll_to(y=to, animate=False, immediate=True, force=True)
        if follow_cursor and self._lines:
            last = min(len(self._lines), to + max(1, self.size.height)) - 1
            first_seen, last_seen = self._lines[to][0], self._lines[last][0]
            self._cursor = max(first_seen, min(self._cursor, last_seen))
        self.refresh()

    def _notice(self, by: int) -> None:
        if by > 0 and self.scroll_offset.y >= self._scroll_max - self.size.height:
            self.post_message(self.Bottom())
        if by < 0:
            self.post_message(self.Left())
            if self.scroll_offset.y <= self.size.height:
                self.post_message(self.Top())


def _console(view: BlockView) -> Console:
    return owner(view).console
