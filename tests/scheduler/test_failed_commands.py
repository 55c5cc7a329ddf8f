"""What could not be done is tried again, ends the run, or is let be."""

import pytest

from opensymphony.scheduler import commands as c
from tests.scheduler.playbook import Playbook


@pytest.mark.parametrize("kind", [c.SendMessage, c.AwaitTurn])
@pytest.mark.parametrize("error_class", ["retry", "person", "final"])
def test_a_run_that_loses_sight_of_its_agent_stops_it_first(kind: type[c.Command], error_class: str) -> None:
    """A message or a turn that fails may leave an agent at work: its run ends only when a stop is confirmed."""
    book = Playbook()
    book.ticket("A-1")
    book.until(kind)
    book.fail(kind, error_class)
    run = book.entry("A-1").run
    assert run is not None and run.ending is None
    stop = book.pending(c.StopRun)
    assert stop.conversation_id == run.conversation_id
    book.answer(c.StopRun)
    assert run.ending is not None
    assert run.ending.outcome == {"retry": "failed", "person": "needs_input", "final": "gave_up"}[error_class]


def test_a_long_outage_of_the_tracker_keeps_the_last_word() -> None:
    """The final comment of a run is written when the tracker is back, also after an hour."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.PushCommit)
    book.answer(c.PushCommit)
    for _ in range(30):
        book.fail(c.TransitionTicket)
        book.passes(300_001)
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.ticket.state, entry.reason) == ("in_review", "In Review", "")


def test_a_claim_whose_answer_was_lost_is_taken_off() -> None:
    """The claim may stand on the ticket although its command failed: the run is given up, and the claim is released."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.ClaimTicket)
    book.fail(c.ClaimTicket)
    assert book.entry("A-1").phase == "retrying"
    assert book.kinds() == ["ReleaseClaim"]
