"""`opensymphony stop`."""

from __future__ import annotations

from pathlib import Path

from opensymphony.views import ActionAnswer
from tests.cli.program import call, played

ACCEPTED = ActionAnswer(request_id="k", accepted=True, answer="it is being stopped and then waits for a person")


def test_the_reason_reaches_the_daemon(here: Path) -> None:
    """The answer is data; who asked is told with it."""
    with played(here, 200, ACCEPTED) as asked:
        said = call("stop", "A/1", "--reason", "wrong branch", "--request-id", "k")
    assert (said.code, said.out, said.err) == (0, "A/1: it is being stopped and then waits for a person\n", "")
    [(path, body)] = asked
    assert path == "/api/v1/issues/A%2F1/actions/stop"
    assert (body["text"], body["request_id"], body["finish"]) == ("wrong branch", "k", False)


def test_a_ticket_has_to_be_named(here: Path) -> None:
    """Exit code 2; there is no stop of everything, which is a pause."""
    assert call("stop").code == 2
    assert call("stop", "--all").code == 2
