"""`opensymphony retry`."""

from __future__ import annotations

from pathlib import Path

from opensymphony.views import ActionAnswer
from tests.cli.program import call, played


def test_it_asks_for_another_run(here: Path) -> None:
    """A new request each time, unless a key is given."""
    answer = ActionAnswer(request_id="k", accepted=True, answer="it starts as soon as there is a place")
    with played(here, 200, answer) as asked:
        assert call("retry", "A-1").out == "A-1: it starts as soon as there is a place\n"
        call("retry", "A-1")
    assert {path for path, _ in asked} == {"/api/v1/issues/A-1/actions/retry"}
    assert len({body["request_id"] for _, body in asked}) == 2
