"""Decisions about a review, applied."""

import msgspec
import pytest

from opensymphony.model import PersonMessage, PullRequest, ThreadAnswer, TicketId
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.evolve import evolve
from tests.scheduler.playbook import Playbook

A_1 = TicketId("A-1")
PULL = PullRequest(id="7", url="https://host/7", title="x", state="open", branch="b", base="main")


def with_pull() -> Playbook:
    book = Playbook()
    book.ticket("A-1")
    evolve(book.state, d.PullRequestNoted(ticket_id=A_1, pull_request=PULL))
    return book


def test_another_pull_request_begins_with_nothing_heard() -> None:
    """The same one keeps what was heard of it."""
    book = with_pull()
    evolve(book.state, d.ReviewHeard(ticket_id=A_1, heard=("comment/1",)))
    evolve(book.state, d.PullRequestNoted(ticket_id=A_1, pull_request=msgspec.structs.replace(PULL, state="declined")))
    pull = book.entry("A-1").pull
    assert pull is not None and pull.heard == ("comment/1",) and pull.pull_request.state == "declined"
    evolve(book.state, d.PullRequestNoted(ticket_id=A_1, pull_request=msgspec.structs.replace(PULL, id="8")))
    pull = book.entry("A-1").pull
    assert pull is not None and pull.heard == () and pull.pull_request.id == "8"


def test_threads_are_owed_from_when_they_are_given_until_they_are_answered() -> None:
    """Not before, and each once."""
    book = with_pull()
    pull = book.entry("A-1").pull
    assert pull is not None
    for text in ("one", "two"):
        message = PersonMessage(text=text, at_ms=1, threads=("t1", text), from_review=True)
        evolve(book.state, d.MessageQueued(ticket_id=A_1, message=message))
    assert pull.owed == ()
    evolve(book.state, d.MessagesTaken(ticket_id=A_1, count=2))
    assert pull.owed == ("t1", "one", "two")
    answer = ThreadAnswer(thread_id="one", marker="m", body="Done.")
    evolve(book.state, d.ThreadsSettled(ticket_id=A_1, answers=(answer,)))
    assert (pull.owed, pull.answers) == (("t1", "two"), (answer,))
    evolve(book.state, d.ThreadDone(ticket_id=A_1, thread_id="one"))
    assert pull.answers == ()


def test_why_it_is_not_merged_is_the_newest_word() -> None:
    """What a host refused in is forgotten as soon as it is another reason."""
    book = with_pull()
    pull = book.entry("A-1").pull
    assert pull is not None
    evolve(book.state, d.MergeAwaited(ticket_id=A_1, reason="no", refused="h ada"))
    assert (pull.unmerged, pull.refused) == ("no", "h ada")
    evolve(book.state, d.MergeAwaited(ticket_id=A_1, reason=""))
    assert (pull.unmerged, pull.refused) == ("", "")


def test_a_review_of_no_pull_request_is_a_corrupt_journal() -> None:
    """As anything about a ticket that nobody knows."""
    book = Playbook()
    book.ticket("A-1")
    with pytest.raises(KeyError):
        evolve(book.state, d.RoundsCounted(ticket_id=A_1, rounds=1))
