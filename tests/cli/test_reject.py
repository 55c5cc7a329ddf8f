"""`opensymphony reject`: what the agent may not do."""

from __future__ import annotations

from pathlib import Path

from opensymphony.views import ActionAnswer
from tests.cli.program import call, played

ANSWER = ActionAnswer(request_id="k", accepted=True, answer="it starts as soon as there is a place")


def test_the_digest_reaches_the_daemon(here: Path) -> None:
    """The answer is data."""
    with played(here, 200, ANSWER) as asked:
        said = call("reject", "A-1", "--digest", "3f2a9c", "--reason", "not now", "--request-id", "k")
    assert (said.code, said.out, said.err) == (0, "A-1: it starts as soon as there is a place\n", "")
    [(path, body)] = asked
    assert path == "/api/v1/issues/A-1/actions/reject"
    assert (body["digest"], body["text"]) == ("3f2a9c", "not now")


def test_a_refusal_is_told(here: Path) -> None:
    """Exit code 1, and why."""
    refused = {"request_id": "k", "accepted": False, "answer": "no approval is waited for"}
    with played(here, 409, refused):
        said = call("reject", "A-1", "--request-id", "k")
    assert (said.code, said.out) == (1, "")
    assert "no approval is waited for" in said.err
