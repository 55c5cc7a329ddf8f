"""`opensymphony message`."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony.views import ActionAnswer
from tests.cli.program import call, played

ACCEPTED = ActionAnswer(request_id="k", accepted=True, answer="the agent gets it with its next turn")


def test_what_is_told_arrives_as_it_is(here: Path) -> None:
    """From the command line, or from standard input with its line breaks."""
    with played(here, 200, ACCEPTED) as asked:
        assert call("message", "A-1", "use  tabs").code == 0
        assert call("message", "A-1", "-", given="first\nzwölf\n".encode() + b"\xff").code == 0
        assert call("message", "A-1", "--", "--not-an-option").code == 0
    assert [body["text"] for _, body in asked] == ["use  tabs", "first\nzwölf\n\ufffd", "--not-an-option"]


@pytest.mark.parametrize(
    ("text", "given", "what"),
    [
        ("", None, "empty"),
        ("-", b" \n", "empty"),
        ("-", b"", "empty"),
        ("-", b"x" * 200_000, "longer"),
        ("x" * 20_001, None, "longer"),
    ],
)
def test_what_is_no_message_is_not_sent(text: str, given: bytes | None, what: str, here: Path) -> None:
    """Exit code 2 and one line."""
    with played(here, 200, ACCEPTED) as asked:
        said = call("message", "A-1", text, given=given)
    assert (said.code, said.out, len(said.lines), asked) == (2, "", 1, [])
    assert what in said.err
