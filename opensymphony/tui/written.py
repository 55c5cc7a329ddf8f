"""A few lines of text that are made from what is known: the header, the preview, the keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text
from textual.events import Resize
from textual.widgets import Static

from opensymphony.tui.owner import owner
from opensymphony.tui.palette import paint

_PADDING = 2
"""Of each, in app.tcss."""


class Written(Static):
    """Lines that a function makes for a width, written anew whenever they are asked for."""

    def __init__(self, make: Callable[[int], Sequence[Text]], *, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._make = make

    def write(self) -> None:
        width = max(1, owner(self).size.width - _PADDING)
        made = [paint(line, owner(self).theme) for line in self._make(width)]
        for line in made:
            line.truncate(width, overflow="ellipsis")
        self.display = bool(made)
        self.update(Text("\n").join(made))

    def on_resize(self, event: Resize) -> None:
        self.write()
