"""Decisions applied to the state."""

import pytest

from opensymphony.model import TicketId
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.evolve import evolve
from opensymphony.scheduler.state import State
from tests.scheduler.playbook import Playbook, ticket


def test_a_decision_about_an_unknown_ticket_is_a_corrupt_journal() -> None:
    """It is named, never skipped."""
    with pytest.raises(KeyError):
        evolve(State(), d.TicketWoken(at_ms=1, ticket_id=TicketId("X")))
    state = State()
    evolve(state, d.TicketTracked(at_ms=1, ticket=ticket("A-1")))
    with pytest.raises(KeyError, match="has no run"):
        evolve(state, d.ContinuationCounted(ticket_id=TicketId("A-1")))


def test_timers_of_a_run_that_is_over_are_dropped() -> None:
    """Nothing is left in the heap once its time has come."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    assert book.state.timers != []
    book.passes(10**9)
    assert book.state.timers == []
