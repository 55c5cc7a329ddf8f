"""Shows entries of a transcript: to a terminal with Markdown and colours, to everything else as plain text or JSON lines.

Texts come from agents and tools: control characters are shown as escapes, and secrets that we know are taken out. A terminal
that is gone raises `ScreenGone`, whatever the system calls it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

import msgspec
from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from opensymphony.logs import redacted
from opensymphony.printable import escaped
from opensymphony.views import TranscriptEntry

_HEAD_LINES = 8
_TAIL_LINES = 4
_KEPT = "\n\t"


class ScreenGone(Exception):
    """Raised when nobody reads any more: a closed pipe, a terminal that hung up."""


class Screen:
    """Where a transcript is shown."""

    def __init__(self, stream: TextIO | None = None, *, json: bool = False, everything: bool = False) -> None:
        """`everything`: long output is not folded."""
        self._stream = stream or sys.stdout
        self._json = json
        self._everything = everything
        self._console = Console(file=self._stream, highlight=False, soft_wrap=False)
        self._rich = self._console.is_terminal and not self._console.no_color and not json

    def entries(self, shown: Iterable[TranscriptEntry]) -> None:
        """One after the other."""
        for entry in shown:
            safe = _safe(entry)
            if self._json:
                self._write(msgspec.json.encode(safe).decode())
            elif self._rich:
                self._print(self._render(safe))
            else:
                for line in plain_lines(safe, everything=self._everything):
                    self._write(line)

    def line(self, text: str) -> None:
        """Something of our own, for the person alone."""
        if self._json:
            return
        if self._rich:
            self._print(Text(shown(text), style="dim"))
        else:
            self._write(shown(text))

    def diff(self, text: str) -> None:
        """A unified diff."""
        if self._rich:
            self._print(_code(shown(text), "diff"))
        else:
            self._write(shown(text))

    def _render(self, entry: TranscriptEntry) -> RenderableType:
        heading = Text()
        heading.append(f"{entry.at[11:19]} ", style="dim")
        match entry.kind:
            case "prompt":
                heading.append(_author(entry), style="bold green")
                return Group("", heading, Padding(Markdown(entry.text), (0, 0, 0, 2)))
            case "message":
                heading.append("agent", style="bold magenta")
                return Group("", heading, Padding(Markdown(entry.text), (0, 0, 0, 2)))
            case "thought":
                return Padding(Text(entry.text, style="italic dim"), (0, 0, 0, 2))
            case "call":
                heading.append(f"{entry.tool} ", style="bold cyan")
                heading.append(entry.text if not entry.command else "")
                body = _code(entry.command, "bash") if entry.command else _code(entry.arguments, "json")
                return Group("", heading, Padding(body, (0, 0, 0, 2)))
            case "result":
                return self._result(entry)
            case "plan" | "question":
                heading.append(entry.kind, style="bold yellow")
                return Group(heading, Padding(Text(entry.text), (0, 0, 0, 2)))
            case "error":
                return Text(f"error: {entry.text}", style="bold red")
            case _:
                heading.append(f"-- {entry.text}", style="dim")
                return heading

    def _result(self, entry: TranscriptEntry) -> RenderableType:
        style = "red" if entry.failed else "dim"
        parts: list[RenderableType] = []
        if entry.diff:
            parts.append(_code("\n".join(folded(entry.diff.split("\n"), self._everything)), "diff"))
        elif entry.text:
            parts.append(Text("\n".join(folded(entry.text.split("\n"), self._everything)), style=style))
        ended = _ended(entry)
        if ended:
            parts.append(Text(ended, style=style))
        return Padding(Group(*parts), (0, 0, 0, 2))

    def _print(self, what: RenderableType) -> None:
        try:
            self._console.print(what)
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise self._gone() from error

    def _write(self, text: str) -> None:
        try:
            encoding = self._stream.encoding or "utf-8"
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise self._gone() from error

    def _gone(self) -> ScreenGone:
        # Python would complain once more when it closes the stream at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        return ScreenGone()


def plain_lines(entry: TranscriptEntry, *, everything: bool = False) -> list[str]:
    """An entry without colours, its own lines below a heading."""
    at = f"{entry.at[11:19]} " if entry.at else ""
    match entry.kind:
        case "prompt":
            return ["", f"{at}{_author(entry)}:", *_indented(entry.text)]
        case "message":
            return ["", f"{at}agent:", *_indented(entry.text)]
        case "thought":
            return _indented(entry.text)
        case "call":
            if entry.command:
                return ["", f"{at}{entry.tool}:", *_indented(entry.command, "  $ ")]
            return ["", f"{at}{entry.tool}: {entry.text}".rstrip(": "), *_indented(entry.arguments)]
        case "result":
            told = (entry.diff or entry.text).split("\n") if entry.diff or entry.text else []
            ended = _ended(entry)
            lines = [*folded(told, everything), *([ended] if ended else [])]
            return [f"  {line}".rstrip() for line in lines]
        case "plan" | "question":
            return [f"{at}{entry.kind}:", *_indented(entry.text)]
        case "error":
            return [f"{at}error: {entry.text}"]
        case _:
            return [f"{at}-- {entry.text}"]


def folded(lines: Sequence[str], everything: bool) -> list[str]:
    """The first and the last of many lines, and how many are between them."""
    left_out = len(lines) - _HEAD_LINES - _TAIL_LINES
    if everything or left_out <= 1:
        return list(lines)
    return [*lines[:_HEAD_LINES], f"... {left_out:,} lines (--all shows them)", *lines[-_TAIL_LINES:]]


def shown(text: str) -> str:
    """Control characters as escapes, lines kept, and no secret that we know."""
    return escaped(redacted(text.replace("\r\n", "\n")), keep=_KEPT)


def _safe(entry: TranscriptEntry) -> TranscriptEntry:
    fields = msgspec.structs.asdict(entry)
    return msgspec.structs.replace(
        entry, **{name: shown(value) for name, value in fields.items() if isinstance(value, str) and name != "kind"}
    )


def _author(entry: TranscriptEntry) -> str:
    """A prompt of the daemon carries the key of its command; one that was sent past it, a key that says so."""
    return "a person" if not entry.key or entry.key.startswith("debug/") else "to the agent"


def _ended(entry: TranscriptEntry) -> str:
    if entry.exit_code is None:
        return "failed" if entry.failed and not entry.text else ""
    if entry.exit_code < 0:
        return "(still running)"
    return f"(exit code {entry.exit_code})" if entry.exit_code else ""


def _indented(text: str, first: str = "  ") -> list[str]:
    lines = text.split("\n") if text else []
    return [f"{first if at == 0 else '  '}{line}".rstrip() for at, line in enumerate(lines)]


def _code(text: str, language: str) -> RenderableType:
    return Syntax(text, language, theme="ansi_dark", background_color="default", word_wrap=True)
