"""Every fact is understood."""

from typing import get_args

import pytest

from opensymphony.model import CommandKey, PullRequest, PullRequestReading, TicketComment, TicketId, TurnProgress
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decide
from opensymphony.scheduler import events as e
from tests.scheduler.playbook import Playbook, policy, ticket

PULL = PullRequest(id="7", url="https://host/7", title="x", state="open", branch="b", base="main")
SAMPLES: dict[type, dict[str, object]] = {
    e.DaemonStarted: {"instance": "one", "version": "x"},
    e.PolicyLoaded: {"policy": policy()},
    e.PolicyRejected: {"error": "x"},
    e.TicketChanged: {"ticket": ticket("A-1")},
    e.TicketCommented: {
        "ticket_id": TicketId("A-1"),
        "comment": TicketComment(id="1", number=1, author="ada", text="/stop"),
    },
    e.PullRequestObserved: {"ticket_id": TicketId("A-1"), "reading": PullRequestReading(pull_request=PULL)},
    e.TicketVanished: {"ticket_id": TicketId("A-1")},
    e.PollFailed: {"error": "x"},
    e.OperatorAsked: {"request_id": "r", "ticket_id": TicketId("A-1"), "action": "stop"},
    e.DayBegan: {"day": "2026-11-25"},
    e.StorageNoted: {"error": "no space is left"},
    e.WorkspaceExpired: {"ticket_id": TicketId("A-1")},
    e.TurnProgressed: {"ticket_id": TicketId("A-1"), "generation": 1, "progress": TurnProgress(status="running")},
}


@pytest.mark.parametrize("kind", get_args(e.Event))
def test_every_kind_of_event_is_decided_on(kind: type) -> None:
    """An event that the scheduler forgot would raise; an outcome of nothing pending changes nothing."""
    book = Playbook()
    book.ticket("A-1")
    if issubclass(kind, e.CommandOutcome):
        fields = {name: None for name in kind.__struct_fields__ if name not in ("at_ms", "key", "jitter")}
        assert decide(book.state, kind(at_ms=1, key=CommandKey("nobody's"), **fields)) == ()
    else:
        assert isinstance(decide(book.state, kind(at_ms=book.now_ms, **SAMPLES.get(kind, {}))), tuple)


def test_deciding_changes_nothing() -> None:
    """`decide` looks and says; the state is the same afterwards."""
    from opensymphony.scheduler.records import encode_state

    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    before = encode_state(book.state)
    for event in (
        e.ShutdownRequested(at_ms=book.now_ms),
        e.TicketChanged(at_ms=book.now_ms, ticket=ticket("A-1", "Done")),
        e.TimePassed(at_ms=book.now_ms + 10**9),
    ):
        assert decide(book.state, event) != ()
    assert encode_state(book.state) == before


def test_the_random_number_of_an_event_is_the_only_one() -> None:
    """Jitter travels inside events, so that replay needs no luck."""
    assert e.jitter_of(e.TimePassed(at_ms=1, jitter=0.25)) == 0.25
    assert e.jitter_of(e.PollCompleted(at_ms=1)) == 0.0
