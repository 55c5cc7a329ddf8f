"""Words for people: true, short and harmless."""

from __future__ import annotations

import pytest

from opensymphony.demo.words import clean, clock_text, server_line, standing, tokens_text
from opensymphony.model import ServerState
from opensymphony.scheduler.machine import Stage
from opensymphony.views import TicketView
from tests.demo.snapshots import reviewed, view, working


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand\r\nmore", "two lines and more"),
        ("\x1b[2J\x1b]0;title\x07gone", "[2J ]0;title gone"),
        ("\x9b31mred", "31mred"),
        ("left\u202eright\u2066x", "left right x"),
        ("a\u2028b\u2029c", "a b c"),
        ("lone\udcffhalf", "lone half"),
        ("[bold]markup[/bold]", "[bold]markup[/bold]"),
        ("日本語", "日本語"),
        ("e\u0301", "e\u0301"),
        ("z" + "\u0301" * 50, "z\u0301\u0301"),
        ("", ""),
    ],
)
def test_clean_text_is_one_harmless_line(text: str, shown: str) -> None:
    """Nothing that a terminal obeys gets through; everything that people read does."""
    assert clean(text) == shown


def test_long_text_is_cut() -> None:
    """However long a title is, a line stays a line; a huge one is not even looked at as a whole."""
    assert clean("x" * 10_000_000, 10) == "x" * 9 + "…"
    assert clean("x" * 10, 10) == "x" * 10


@pytest.mark.parametrize(
    ("ticket", "words"),
    [
        (view(4, reason="it is blocked by DEMO-1 (Todo)"), "waiting: it is blocked by DEMO-1 (Todo)"),
        (working(1, "Running the tests"), "working: Running the tests"),
        (working(1, ""), "working: the agent thinks"),
        (working(1, "old news", stage="verifying"), "verifying: running the ticket's test"),
        (working(2, "", stage="sending"), "working: the agent reads its message"),
        (working(2, "", stage="sending", attempts=1), "sent back: its test failed at attempt 1"),
        (working(2, "", stage="a_new_stage"), "a new stage"),
        (reviewed(2, attempts=2), "in review: ad9ddae on opensymphony/DEMO-2, verified at attempt 2"),
        (reviewed(2, commit=None, reason="moved by hand"), "in review: moved by hand"),
        (view(1, phase="needs_person", reason="its verification failed"), "needs a person: its verification failed"),
        (view(1, phase="closed", reason=""), "closed"),
    ],
)
def test_standing_says_what_happens_now(ticket: TicketView, words: str) -> None:
    """Each phase and stage in words, with what is known about it."""
    assert standing(ticket) == words


def test_every_stage_of_the_scheduler_has_words() -> None:
    """A stage that is added to the scheduler gets words here, or a person reads a bare name."""
    for stage in Stage.__args__:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        words = standing(working(1, "", stage=stage))
        assert ": " in words or stage == "stopping"


def test_server_line_names_version_and_trouble() -> None:
    """The agent-server's state in one line."""
    assert server_line(ServerState(status="starting")) == "agent-server: starting"
    assert server_line(ServerState(status="ready", version="1.58.0")) == "agent-server 1.58.0: ready"
    assert (
        server_line(ServerState(status="failed", detail="port\n8000 is taken"))
        == "agent-server: failed (port 8000 is taken)"
    )


def test_numbers_fit_their_columns() -> None:
    """Times and token counts stay short."""
    assert [clock_text(ms) for ms in (-5, 999, 61_000, 3_600_000)] == ["0:00", "0:00", "1:01", "60:00"]
    assert [tokens_text(n) for n in (0, 950, 9_999, 123_456, 12_345_678)] == ["-", "950", "9,999", "123k", "12M"]
