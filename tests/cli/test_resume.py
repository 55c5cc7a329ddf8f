"""`opensymphony resume`."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony.views import ActionAnswer
from tests.cli.program import call, played


def test_one_ticket_or_everything(here: Path) -> None:
    """As it was paused."""
    with played(here, 200, ActionAnswer(request_id="k", accepted=True, answer="it goes on")) as asked:
        assert call("resume", "A-1").out == "A-1: it goes on\n"
        assert call("resume", "--all").out == "it goes on\n"
    assert [path for path, _ in asked] == ["/api/v1/issues/A-1/actions/resume", "/api/v1/actions/resume"]


@pytest.mark.parametrize("given", [(), ("A-1", "--all")])
def test_exactly_one_of_the_two_is_said(given: tuple[str, ...], here: Path) -> None:
    """Exit code 2."""
    said = call("resume", *given)
    assert (said.code, len(said.lines)) == (2, 1)
    assert "`opensymphony resume --all`" in said.err
