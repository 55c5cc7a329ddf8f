"""`opensymphony pause`."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony.views import ActionAnswer
from tests.cli.program import call, played

ACCEPTED = ActionAnswer(request_id="k", accepted=True, answer="so be it")


def test_one_ticket_or_everything(here: Path) -> None:
    """With `--finish` what runs may come to its end."""
    with played(here, 200, ACCEPTED) as asked:
        assert call("pause", "A-1", "--reason", "later").out == "A-1: so be it\n"
        assert call("pause", "--all", "--finish").out == "so be it\n"
    assert [(path, body["text"], body["finish"]) for path, body in asked] == [
        ("/api/v1/issues/A-1/actions/pause", "later", False),
        ("/api/v1/actions/pause", "", True),
    ]


@pytest.mark.parametrize(("given", "what"), [((), "neither"), (("A-1", "--all"), "both")])
def test_exactly_one_of_the_two_is_said(given: tuple[str, ...], what: str, here: Path) -> None:
    """Exit code 2, before anything is asked: nothing is paused by a slip."""
    with played(here, 200, ACCEPTED) as asked:
        said = call("pause", *given)
    assert (said.code, said.out, len(said.lines), asked) == (2, "", 1, [])
    assert said.err.startswith(f"opensymphony: {what} ")
