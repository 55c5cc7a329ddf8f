"""`opensymphony issues`."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from opensymphony.cli.issues import table
from opensymphony.model import TicketId
from opensymphony.views import IssueList, TicketView
from tests.cli.program import call, played

HOUR_MS = 3_600_000
LISTED = IssueList(
    sequence=1,
    at_ms=100 * HOUR_MS,
    issues=(
        TicketView(
            id=TicketId("1"),
            identifier="PROJECT-1",
            title="A title that is much longer than anybody wants to read in a list",
            state="In Progress",
            phase="needs_person",
            reason="which\x1b[31m way?",
            since_ms=98 * HOUR_MS,
            paused=True,
        ),
        TicketView(id=TicketId("2"), identifier="A-2", title="Short", state="Todo", phase="waiting_to_start"),
    ),
)


def test_the_list_is_a_table(here: Path) -> None:
    """A heading, then one line for each ticket; what is long is cut, but never the reason."""
    with played(here, 200, LISTED) as asked:
        said = call("issues", "--phase", "Needs-Person", "--phase", "closed")
        document = json.loads(call("issues", "--json").out)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "TICKET     PHASE                  FOR        STATE        TITLE                                     WHY",
        (
            "PROJECT-1  needs person (paused)  2 h 0 min  In Progress  A title that is much longer than anyb...  "
            "which\\x1b[31m way?"
        ),
        "A-2        waiting to start                  Todo         Short",
    ]
    assert asked[0][0] == "/api/v1/issues?phase=needs_person&phase=closed"
    assert msgspec.convert(document, IssueList) == LISTED


def test_an_empty_list_says_so(here: Path) -> None:
    """On standard error: there is no data."""
    with played(here, 200, IssueList(sequence=1, at_ms=1, issues=())):
        assert (call("issues").out, call("issues").lines) == ("", ["no ticket is known"])
        assert call("issues", "--phase", "closed").lines == ["no ticket is in that phase"]
    assert len(list(table((), 1))) == 1


@pytest.mark.parametrize("given", [("--phase", "nonsense"), ("WORKFLOW.md", "-w", "WORKFLOW.md")])
def test_a_slip_is_a_usage_error(given: tuple[str, ...], here: Path) -> None:
    """Exit code 2, one line, nothing asked."""
    with played(here, 200, LISTED) as asked:
        said = call("issues", *given)
    assert (said.code, said.out, len(said.lines), asked) == (2, "", 1, [])
