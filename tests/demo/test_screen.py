"""The live view, drawn into text."""

from __future__ import annotations

import io
import os
import pty
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from opensymphony.demo.screen import Screen, progress_table, result_table
from opensymphony.model import ServerState
from opensymphony.views import Snapshot
from tests.demo.snapshots import files, reviewed, snapshot, view, working

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "[red]markup[/red] [/nonsense]",
    "日本語のとても長い題名" * 9,
    "👩‍👩‍👧‍👦🏳️‍🌈" * 20,
    "\u202egnp.exe",
    "two\nlines\r\n",
    "z" + "\u0301" * 500,
    "lone \udcff surrogate",
    "x" * 5_000,
    "",
)
FORBIDDEN = ("\x1b]0", "\x07", "\u202e", "\udcff", "\x1b[2J", "\r")


def plain(width: int = 80) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=width, highlight=False, force_terminal=False), out


def terminal(width: int) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=width, height=25, highlight=False, force_terminal=True, color_system=None), out


def start() -> Snapshot:
    return snapshot(
        view(4, reason="it is blocked by DEMO-1 (Todo)", priority=1),
        working(1, "Running the ticket's test", turns=1),
        working(2, "", stage="verifying"),
        view(3),
        at_ms=12_000,
        server=ServerState(status="starting"),
    )


def end() -> Snapshot:
    return snapshot(reviewed(4), reviewed(1), reviewed(2, attempts=2, turns=2), reviewed(3))


@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_tables_fit_into_every_width(width: int) -> None:
    """No line is wider than the terminal, and every ticket is named."""
    for table in (progress_table(start(), width), progress_table(end(), width), result_table(end(), width)):
        console, out = plain(width)
        console.print(table)
        lines = out.getvalue().splitlines()
        assert max(cell_len(line) for line in lines) <= width
        if width >= 40:
            assert all(any(f"DEMO-{number}" in line for line in lines) for number in (1, 2, 3, 4))


def test_one_line_for_each_ticket_while_it_runs() -> None:
    """However long titles and activities are, a ticket takes one line, so the table does not jump."""
    long = snapshot(*(working(n, "words " * 60, title="a very long title " * 30) for n in (1, 2, 3, 4)))
    for width in (40, 80, 140):
        console, out = plain(width)
        console.print(progress_table(long, width))
        assert len(out.getvalue().splitlines()) == 2 + 4


def test_wide_terminal_shows_every_column() -> None:
    """Ticket, title, state, what happens now, turns, attempts, tokens and time, with their values."""
    console, out = plain(140)
    console.print(progress_table(end(), 140))
    header, _, *rows = out.getvalue().splitlines()
    assert header.split() == ["ticket", "title", "state", "now", "turns", "tries", "tokens", "time"]
    row = next(row for row in rows if row.startswith("DEMO-2"))
    assert "Durations with several units" in row
    assert row.split()[-4:] == ["2", "2", "8,345", "0:09"]


def test_result_table_tells_how_each_ticket_ended() -> None:
    """At 80 columns each ticket is one line: state, branch, commit, attempts, verified, tokens, time."""
    console, out = plain(80)
    console.print(result_table(end(), 80))
    header, _, *rows = out.getvalue().splitlines()
    assert header.split() == ["ticket", "state", "branch", "commit", "tries", "verified", "tokens", "time"]
    assert rows[2].split() == ["DEMO-2", "In", "Review", "opensymphony/DEMO-2", "ad9ddae", "2", "yes", "8,345", "0:09"]


@pytest.mark.parametrize("width", [40, 80, 140])
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_harmless(width: int, live: bool, text: str, tmp_path: Path) -> None:
    """Whatever a ticket or an agent says, it reaches the terminal as text on its own line."""
    everywhere = {"title": text, "state": text, "identifier": text, "branch": text, "commit": text, "reason": text}
    shown = snapshot(
        working(1, text, **everywhere),
        view(2, phase="needs_person", error=text, **everywhere),
        reviewed(3, **everywhere),
        problems=(text,),
        poll_error=text,
        policy_error=text,
        server=ServerState(status="failed", detail=text, version=text),
    )
    console, out = terminal(width) if live else plain(width)
    with Screen(console, live=live) as screen:
        screen.show(shown)
        screen.show(end())
        screen.conclude(shown, files(tmp_path), 3, kept=True, command="opensymphony")
    written = out.getvalue()
    assert not any(bad in written for bad in FORBIDDEN if not (bad == "\r" and live))
    written.encode("utf-8")


def test_without_a_terminal_each_change_is_one_line() -> None:
    """In CI a line is written when something changes, whole whatever the width, and never twice."""
    console, out = plain(40)
    with Screen(console) as screen:
        screen.show(start())
        screen.show(start())
        first = out.getvalue().splitlines()
        screen.show(end())
    assert first == [
        "agent-server: starting",
        "DEMO-4 waiting: it is blocked by DEMO-1 (Todo)",
        "DEMO-1 working: Running the ticket's test",
        "DEMO-2 verifying: running the ticket's test",
        "DEMO-3 waiting: it starts next",
    ]
    later = out.getvalue().splitlines()[len(first) :]
    assert later[0] == "agent-server 1.58.0: ready"
    assert "DEMO-2 in review: ad9ddae on opensymphony/DEMO-2, verified at attempt 2" in later
    assert "\x1b" not in out.getvalue()


def test_troubles_are_told_once_and_again_when_they_come_back() -> None:
    """A tracker that cannot be read is one line, not one a second; after a recovery it is news again."""
    console, out = plain()
    with Screen(console) as screen:
        for trouble in ("board: gone", "board: gone", None, "board: gone"):
            screen.show(snapshot(poll_error=trouble))
    assert out.getvalue().splitlines() == ["agent-server 1.58.0: ready", "tracker: board: gone", "tracker: board: gone"]


def test_colour_alone_does_not_make_a_log_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """FORCE_COLOR in CI gives plain lines, not a table that moves the cursor in a log file."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with (tmp_path / "log").open("w+") as log:
        with Screen(Console(file=log, width=80, highlight=False)) as screen:
            screen.show(start())
        log.seek(0)
        assert "\x1b[?25l" not in (text := log.read())
        assert "DEMO-1 working" in text


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR a terminal gets the table without any colour."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as tty, Screen(Console(file=tty, width=100, highlight=False)) as screen:
        screen.show(end())
        screen.show(snapshot(view(1, phase="needs_person")))
    written = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "\x1b[?25l" in written and "DEMO-4" in written
    assert not any(f"\x1b[{colour}m" in written for colour in (*range(31, 37), "1;31"))


def test_standard_output_stays_free(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Everything shown goes to standard error: standard output is for the JSON document."""
    with Screen() as screen:
        screen.show(start())
        screen.say("installing the agent-server")
        screen.conclude(end(), files(tmp_path), 31, kept=True, command="opensymphony")
    out, err = capfd.readouterr()
    assert out == ""
    assert "installing the agent-server" in err and "What to do next" in err


def test_conclusion_counts_what_is_in_review_and_explains_the_rest(tmp_path: Path) -> None:
    """A demo that did not end well says so, with the reason for each ticket."""
    console, out = plain()
    stuck = view(3, state="In Progress", phase="needs_person", reason="its verification failed 3 times")
    with Screen(console) as screen:
        screen.conclude(snapshot(reviewed(1), stuck), files(tmp_path), 65, kept=False, command="opensymphony")
    assert "\n\n1 of 2 tickets are in review after 1:05." in out.getvalue()
    assert "DEMO-3 is In Progress: needs a person: its verification failed 3 times" in out.getvalue()


def test_next_steps_name_paths_only_where_they_stay(tmp_path: Path) -> None:
    """With the files kept, commands quote their paths; without, the way to keep them is named."""
    for kept in (True, False):
        console, out = plain()
        with Screen(console) as screen:
            screen.conclude(end(), files(tmp_path / "a demo"), 31, kept=kept, command=".venv/bin/opensymphony")
        assert (f"git -C '{tmp_path}/a demo/repository' log -p main..opensymphony/DEMO-4" in out.getvalue()) is kept
        assert ("demo --keep DIRECTORY" in out.getvalue()) is not kept
        assert ".venv/bin/opensymphony doctor" in out.getvalue()


def test_terminal_is_given_back_after_an_error() -> None:
    """When something breaks while the table is up, the cursor is visible again."""
    console, out = terminal(80)
    with pytest.raises(KeyboardInterrupt), Screen(console, live=True) as screen:
        screen.show(start())
        raise KeyboardInterrupt
    assert out.getvalue().rfind("\x1b[?25h") > out.getvalue().rfind("\x1b[?25l") >= 0
