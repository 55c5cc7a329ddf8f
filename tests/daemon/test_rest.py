"""When there is nothing left to do."""

from __future__ import annotations

import pytest

from opensymphony.daemon.poller import Poller
from opensymphony.daemon.rest import at_rest
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.state import State
from tests.daemon.world import World
from tests.scheduler.playbook import Playbook, policy


def test_nothing_known_is_rest() -> None:
    """An empty board."""
    assert at_rest(State())
    assert at_rest(Playbook().state)


def test_work_is_not_rest() -> None:
    """Neither a run nor its last stages are; a ticket that waits for a person is."""
    book = Playbook(policy(verify_command=None))
    book.ticket("A-1")
    while book.state.pending:
        assert not at_rest(book.state)
        book.answer_command(next(iter(book.state.pending.values())))
    assert book.entry("A-1").phase == "in_review"
    assert at_rest(book.state)


def test_a_retry_that_is_due_some_time_is_not_rest() -> None:
    """`once` waits for it."""
    book = Playbook(policy(verify_command=None))
    book.ticket("A-1")
    book.until(c.PrepareWorkspace)
    book.fail(c.PrepareWorkspace)
    book.settle_all()
    assert book.entry("A-1").phase == "retrying"
    assert not at_rest(book.state)


def test_a_ticket_that_nothing_lets_start_is_rest() -> None:
    """While everything is paused, `once` would wait for ever; also for a retry that is due."""
    book = Playbook(policy(verify_command=None))
    book.ticket("A-1")
    book.until(c.PrepareWorkspace)
    book.fail(c.PrepareWorkspace)
    book.settle_all()
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="p", ticket_id=None, action="pause"))
    book.ticket("B-1")
    assert book.entry("B-1").ready_stamp
    assert at_rest(book.state)
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="r", ticket_id=None, action="resume"))
    assert not at_rest(book.state)


async def test_an_empty_board_is_looked_at_before_it_is_at_rest(world: World) -> None:
    """`once` ends by itself, after the tracker was read."""
    snapshot = await world.once(seconds=20)
    assert snapshot.tickets == ()
    assert snapshot.polled_ms is not None


async def test_a_ticket_that_appears_at_the_last_moment_is_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look, before it ends, finds what the first one missed."""
    original = Poller.poll
    polls = 0

    async def late(self: Poller) -> None:
        nonlocal polls
        polls += 1
        if polls == 2:
            world.ticket("A-1")
        await original(self)

    monkeypatch.setattr(Poller, "poll", late)
    [ticket] = (await world.once()).tickets
    assert ticket.phase == "in_review"
