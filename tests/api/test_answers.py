"""What is left out of an answer, and what is always there."""

from __future__ import annotations

import msgspec

from opensymphony.api.answers import ErrorDetail, Queued, RefusedAction
from opensymphony.views import ActionAnswer


def test_a_reason_to_wait_is_there_only_when_there_is_one() -> None:
    """Whoever reads it can ask for the field alone."""
    assert msgspec.json.encode(Queued()) == b'{"queued":true}'
    assert msgspec.json.decode(msgspec.json.encode(Queued(waits="so"))) == {"queued": True, "waits": "so"}


def test_a_refused_action_is_an_answer_to_an_action_too() -> None:
    """The doors read it as one."""
    refused = RefusedAction(
        error=ErrorDetail(code="not_applicable", message="it is closed"),
        request_id="r",
        accepted=False,
        answer="it is closed",
    )
    read = msgspec.json.decode(msgspec.json.encode(refused), type=ActionAnswer)
    assert read == ActionAnswer(request_id="r", accepted=False, answer="it is closed")
