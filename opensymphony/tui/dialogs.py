"""What lies over a page for a moment: a confirmation, an editor for a message, the keys, everything that is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static, TextArea

from opensymphony.tui.actions import MESSAGE_CHARS_MAX, Choice, Wish
from opensymphony.tui.owner import owner
from opensymphony.tui.palette import paint
from opensymphony.tui.text import exact_lines, one_line, styled


class Said(Struct, frozen=True, kw_only=True):
    """What a person has answered."""

    choice: Choice
    text: str = ""


class Dialog(ModalScreen[Said | str]):
    """Asks whether something shall be done; a `str` is what was written when it shall not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "leave it", show=False),
        Binding("y", "confirm", "yes", show=False),
        Binding("n", "cancel", "no", show=False),
        Binding("ctrl+s", "confirm", "send", show=False, priority=True),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("pageup", "scroll_page(-1)", show=False),
        Binding("pagedown", "scroll_page(1)", show=False),
    ]
    AUTO_FOCUS = None

    def __init__(self, wish: Wish, *, draft: str = "") -> None:
        super().__init__()
        self._wish = wish
        self._draft = draft

    def compose(self) -> ComposeResult:
        wish, theme = self._wish, owner(self).theme
        with Vertical(id="dialog"):
            yield Static(paint(styled(one_line(wish.title, 200), "strong"), theme), markup=False)
            yield Static(Text(wish.says), markup=False, classes="says")
            if wish.shown:
                with VerticalScroll(id="shown", can_focus=True):
                    shown = [Text(line) for line in exact_lines(wish.shown)]
                    yield Static(Text("\n").join(shown), markup=False)
            if wish.digest:
                yield Static(paint(styled(f"digest {one_line(wish.digest, 24)}", "quiet"), theme), markup=False)
            if wish.asks == "reason":
                yield Input(value=self._draft, placeholder="why (may be left empty)", id="reason", max_length=300)
            if wish.asks == "message":
                yield TextArea(self._draft, id="message", tab_behavior="focus", show_line_numbers=False, compact=True)
            with Horizontal(id="buttons"):
                for number, choice in enumerate(wish.choices):
                    label = Text(f" {choice.label}{f' ({self._key})' if number == 0 else ''} ")
                    yield Button(label, id=f"choice-{number}", compact=True)
                yield Button(Text(" Leave it (Esc) "), id="cancel", compact=True)

    def on_mount(self) -> None:
        self._fit()
        wish = self._wish
        focus = "#message" if wish.asks == "message" else "#cancel" if wish.careful else "#choice-0"
        if wish.asks == "reason" and not wish.careful:
            focus = "#reason"
        self.query_one(focus).focus()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """Long texts scroll, so that the buttons are always seen."""
        height = owner(self).size.height
        for editor in self.query("#message"):
            editor.styles.height = max(2, min(8, height - 12))
        for shown in self.query("#shown"):
            shown.styles.max_height = max(2, height - 10 - (6 if self._wish.asks == "message" else 0))

    @property
    def _key(self) -> str:
        if self._wish.asks == "message":
            return "Ctrl+S"
        return "Enter" if self._wish.asks == "reason" and not self._wish.careful else "y"

    def on_button_pressed(self, event: Button.Pressed) -> None:
        name = event.button.id or ""
        if name == "cancel":
            self.action_cancel()
        else:
            self._answer(self._wish.choices[int(name.removeprefix("choice-"))])

    def on_input_submitted(self) -> None:
        self._answer(self._wish.choices[0])

    def action_confirm(self) -> None:
        self._answer(self._wish.choices[0])

    def action_cancel(self) -> None:
        self.dismiss(self._text)

    def action_scroll(self, by: int) -> None:
        """Through what is asked, wherever the focus is."""
        for shown in self.query("#shown"):
            shown.scroll_relative(y=by, animate=False)

    def action_scroll_page(self, by: int) -> None:
        for shown in self.query("#shown"):
            shown.scroll_relative(y=by * max(1, shown.size.height - 1), animate=False)

    @property
    def _text(self) -> str:
        if self._wish.asks == "reason":
            return self.query_one("#reason", Input).value
        return self.query_one("#message", TextArea).text if self._wish.asks == "message" else ""

    def _answer(self, choice: Choice) -> None:
        text = self._text
        if self._wish.asks == "message":
            if not text.strip():
                self.notify("the message is empty", severity="warning", markup=False)
                return
            if len(text) > MESSAGE_CHARS_MAX:
                told = f"the message is longer than {MESSAGE_CHARS_MAX:,} characters: put it into the ticket"
                self.notify(told, severity="warning", markup=False)
                return
        self.dismiss(Said(choice=choice, text=text))


class Page(ModalScreen[None]):
    """A text to read; any of the usual keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,e,enter", "close", "close", show=False),
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
    ]

    def __init__(self, title: str, shown: Sequence[Text]) -> None:
        super().__init__()
        self._title = title
        self._shown = shown

    def compose(self) -> ComposeResult:
        theme = owner(self).theme
        with Vertical(id="page"):
            yield Static(paint(Text.assemble((self._title, "strong"), ("  Esc closes", "quiet")), theme), markup=False)
            with VerticalScroll(id="text", can_focus=True):
                yield Static(Text("\n").join(paint(line, theme) for line in self._shown), markup=False)

    def action_close(self) -> None:
        self.dismiss(None)

    def action_scroll_down(self) -> None:
        self.query_one("#text").scroll_down(animate=False)

    def action_scroll_up(self) -> None:
        self.query_one("#text").scroll_up(animate=False)
