"""`opensymphony rehydrate`."""

from __future__ import annotations

from pathlib import Path

from opensymphony.views import ActionAnswer
from tests.cli.program import call, played

ACCEPTED = ActionAnswer(request_id="k", accepted=True, answer="its next run is in another conversation")


def test_the_reason_reaches_the_daemon(here: Path) -> None:
    """The answer is data; who asked is told with it."""
    with played(here, 200, ACCEPTED) as asked:
        said = call("rehydrate", "A/1", "--reason", "it lost its way", "--request-id", "k")
    assert (said.code, said.out, said.err) == (0, "A/1: its next run is in another conversation\n", "")
    [(path, body)] = asked
    assert path == "/api/v1/issues/A%2F1/actions/rehydrate"
    assert (body["text"], body["request_id"]) == ("it lost its way", "k")
