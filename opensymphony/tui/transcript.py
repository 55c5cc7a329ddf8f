"""What was said and done in a conversation: pages of it put together, and each entry as a block."""

from __future__ import annotations

import msgspec
from rich.text import Text

from opensymphony.tui.blocks import Block
from opensymphony.tui.text import lines, one_line, plural, styled
from opensymphony.views import TranscriptEntry, TranscriptPage

ENTRIES_MAX = 2_000
"""Kept at once; while it is followed the oldest go, while it is read backwards the newest."""
_FIRST, _LAST = 6, 4
_DETAIL_LINES = 12
_SHORT_CHARS = 100


class Talk:
    """As much of one conversation as was read."""

    def __init__(self) -> None:
        self.conversation_id = ""
        self.archived = False
        self.before: int | None = None
        self.after = -1
        self._entries: list[TranscriptEntry] = []
        self._blocks: dict[int, Block] = {}

    @property
    def blocks(self) -> list[Block]:
        """Oldest first."""
        found: list[Block] = []
        if self.before is not None:
            found.append(_beginning("… older entries: page up loads them"))
        elif self._entries:
            archived = ", from its archive" if self.archived else ""
            found.append(_beginning(f"beginning of the conversation{archived}"))
        else:
            found.append(_beginning("nothing was said yet"))
        for entry in self._entries:
            if entry.seq not in self._blocks:
                self._blocks[entry.seq] = entry_block(entry)
            found.append(self._blocks[entry.seq])
        return found

    def add(self, page: TranscriptPage) -> bool:
        """Take what is newer; of another conversation, in place of all. Whether anything is another than before."""
        if page.conversation_id != self.conversation_id:
            self.conversation_id, self.archived, self.before = page.conversation_id, page.archived, page.before
            self.after, self._entries, self._blocks = -1, [], {}
        new = [entry for entry in page.entries if entry.seq > self.after]
        self.after = max(self.after, page.after, *(entry.seq for entry in new)) if new else max(self.after, page.after)
        self._entries += new
        self._forget(self._entries[:-ENTRIES_MAX])
        return bool(new)

    def add_older(self, page: TranscriptPage) -> None:
        """Take what is before the beginning."""
        if page.conversation_id != self.conversation_id:
            return
        first = self._entries[0].seq if self._entries else self.after + 1
        older = [entry for entry in page.entries if entry.seq < first]
        self._entries = [*older, *self._entries]
        self.before = page.before
        gone = self._entries[ENTRIES_MAX:]
        if gone:
            del self._entries[ENTRIES_MAX:]
            self.after = self._entries[-1].seq
            for entry in gone:
                self._blocks.pop(entry.seq, None)

    def _forget(self, gone: list[TranscriptEntry]) -> None:
        if gone:
            del self._entries[: len(gone)]
            self.before = self._entries[0].seq
            for entry in gone:
                self._blocks.pop(entry.seq, None)


def _beginning(text: str) -> Block:
    return Block(key="older", head=(styled(text, "quiet"),), fixed=True)


def entry_block(entry: TranscriptEntry) -> Block:
    """One entry as a person reads it."""
    key = f"entry {entry.seq}"
    head = styled(one_line(entry.at[11:19], 8), "quiet")
    head.append(" " if head.plain else "")
    match entry.kind:
        case "prompt":
            head.append("a person" if not entry.key or entry.key.startswith("debug/") else "to the agent", "person")
            return _said(key, head, entry.text, fold=_DETAIL_LINES)
        case "message":
            head.append("agent", "agent")
            return _said(key, head, entry.text, fold=1_000_000)
        case "thought":
            return Block(key=key, body=_indented(entry.text, "thought"), first=_DETAIL_LINES)
        case "call":
            return _call(key, head, entry)
        case "result":
            return _result(key, entry)
        case "plan" | "question":
            head.append(entry.kind, "warn")
            return _said(key, head, entry.text, fold=_DETAIL_LINES)
        case "error":
            head.append(f"error: {one_line(entry.text)}", "bad")
            return Block(key=key, head=(head,), body=_indented(entry.text, "bad")[1:], first=_FIRST, last=_LAST)
        case _:
            head.append(f"-- {one_line(entry.text)}", "quiet")
            return Block(key=key, head=(head,))


def _said(key: str, head: Text, text: str, *, fold: int) -> Block:
    return Block(key=key, head=(Text(), head), body=_indented(text, ""), first=fold)


def _call(key: str, head: Text, entry: TranscriptEntry) -> Block:
    head.append(one_line(entry.tool, 40) or "a tool", "tool")
    about = one_line(entry.path or entry.text, 200)
    if about:
        head.append(f"  {about}", "quiet")
    if entry.command:
        first, *more = lines(entry.command) or [""]
        body = [styled("  $ ", "quiet").append(first, "strong"), *(styled(f"    {line}", "strong") for line in more)]
        return Block(key=key, head=(Text(), head), body=tuple(body), first=_FIRST)
    return Block(key=key, head=(Text(), head), body=_indented(_pretty(entry.arguments), "quiet"), first=3)


def _result(key: str, entry: TranscriptEntry) -> Block:
    text = entry.diff or entry.text
    style = "bad" if entry.failed else "quiet"
    body = diff_lines(entry.diff, indent="    ") if entry.diff else _indented(text, "", indent="    ")
    ended = "failed" if entry.failed else "done"
    if entry.exit_code is not None:
        ended = "still running" if entry.exit_code < 0 else f"exit code {entry.exit_code}"
    head = styled("  ↳ ", "quiet").append(ended, style)
    head.append(f"  {plural(len(body), 'line')}" if body else "  no output", "quiet")
    return Block(key=key, head=(head,), body=body, first=_FIRST if not entry.diff else 2 * _DETAIL_LINES, last=_LAST)


def diff_lines(diff: str, indent: str = "") -> tuple[Text, ...]:
    """A unified diff, each line in its colour."""
    return tuple(styled(indent + line, diff_style(line)) for line in lines(diff))


def diff_style(line: str) -> str:
    """What kind of line of a diff it is."""
    if line.startswith("@@"):
        return "hunk"
    if line.startswith(
        ("+++", "---", "index ", "new file", "deleted file", "similarity", "rename", "old mode", "new mode")
    ):
        return "quiet"
    return "added" if line.startswith("+") else "removed" if line.startswith("-") else ""


def _indented(text: str, style: str, indent: str = "  ") -> tuple[Text, ...]:
    return tuple(styled(indent + line, style) for line in lines(text)) if text else ()


def _pretty(arguments: str) -> str:
    try:
        return arguments if len(arguments) <= _SHORT_CHARS else msgspec.json.format(arguments, indent=2)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return arguments
