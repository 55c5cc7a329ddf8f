"""How a transcript is shown."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from opensymphony import logs
from opensymphony.agents import read_transcript
from opensymphony.debug.screen import Screen, ScreenGone, folded


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_text_keeps_lines_and_folds_long_output(conversation: Path) -> None:
    """Every kind is there, a control character is an escape, an unknown event one line."""
    stream = io.StringIO()
    Screen(stream).entries(read_transcript(conversation))
    text = stream.getvalue()
    for part in (
        "10:49:44 to the agent:\n  Do it.\n",
        "  Let me look.",
        "terminal:\n  $ seq 40",
        "  line 8\n  ... 28 lines (--all shows them)\n  line 37",
        "line 40\\x1b[31m",
        "(exit code 3)",
        "  -y = 2\n  +y = 3",
        "plan:\n  [x] first\n  [ ] second",
        "error: LLMError: no answer",
        "-- BrandNewEvent",
        "agent:\n  **Done.**",
        "-- finished",
    ):
        assert part in text
    assert "opensymphony:A-1" not in text and "\x1b" not in text


def test_all_shows_all(conversation: Path) -> None:
    """Nothing is folded."""
    stream = io.StringIO()
    Screen(stream, everything=True).entries(read_transcript(conversation))
    assert "line 20\n" in stream.getvalue()
    assert folded(["x"] * 13, False) == ["x"] * 13, "a fold of one line would save nothing"


def test_json_is_one_line_an_entry(conversation: Path) -> None:
    """Whole, whatever is folded elsewhere."""
    stream = io.StringIO()
    screen = Screen(stream, json=True)
    screen.entries(read_transcript(conversation))
    screen.line("for people")
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [one["kind"] for one in found][:4] == ["prompt", "status", "thought", "call"]
    assert found[0]["key"] == "A-1#1/7/send-message"
    assert found[4]["exit_code"] == 3 and "line 20" in found[4]["text"]


def test_a_terminal_gets_colours_and_nothing_of_the_agents(conversation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Markdown and code are rendered; the agent's own escape is not."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    Screen(stream).entries(read_transcript(conversation))
    assert "\x1b[1" in stream.getvalue() and "Done." in stream.getvalue() and "**Done.**" not in stream.getvalue()
    assert "line 40\x1b[31m" not in stream.getvalue()


def test_secrets_that_are_known_are_taken_out(conversation: Path) -> None:
    """Wherever they stand."""
    logs.know_secret("line 20")
    try:
        stream = io.StringIO()
        Screen(stream, everything=True).entries(read_transcript(conversation))
    finally:
        logs.forget_secret("line 20")
    assert "line 20" not in stream.getvalue()


def test_a_reader_that_is_gone_is_one_kind_of_end(conversation: Path) -> None:
    """A closed pipe raises nothing else."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream, pytest.raises(ScreenGone):
        Screen(stream).entries(read_transcript(conversation))
