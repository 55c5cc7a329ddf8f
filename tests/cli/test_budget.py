"""`opensymphony budget`."""

from __future__ import annotations

from pathlib import Path

from opensymphony.views import ActionAnswer
from tests.cli.program import call, played

ACCEPTED = ActionAnswer(request_id="k", accepted=True, answer="its budget counts twice now: it starts")


def test_the_wish_reaches_the_daemon(here: Path) -> None:
    """The answer is data."""
    with played(here, 200, ACCEPTED) as asked:
        said = call("budget", "A-1", "--reason", "it is worth it", "--request-id", "k")
    assert (said.code, said.out, said.err) == (0, "A-1: its budget counts twice now: it starts\n", "")
    [(path, body)] = asked
    assert path == "/api/v1/issues/A-1/actions/budget"
    assert body["text"] == "it is worth it"
