"""Decisions about a ticket, applied."""

from opensymphony.model import CommandKey, PersonMessage, TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.evolve import evolve
from tests.scheduler.playbook import Playbook, ticket

A_1 = TicketId("A-1")


def test_a_ticket_remembers_what_keeps_it_and_since_when() -> None:
    """Another reading with the same obstacle does not begin anew."""
    book = Playbook()
    for at_ms, state in ((2_000_000, "Backlog"), (2_500_000, "Backlog"), (3_000_000, "Done")):
        evolve(book.state, d.TicketTracked(at_ms=at_ms, ticket=ticket("A-1", state, description=str(at_ms))))
    entry = book.entry("A-1")
    assert (entry.hold, entry.hold_ms) == ("state", 2_000_000)
    evolve(book.state, d.TicketTracked(at_ms=4_000_000, ticket=ticket("A-1")))
    assert (entry.hold, entry.hold_ms) == ("", 4_000_000)


def test_messages_leave_the_queue_in_order_when_they_are_given() -> None:
    """What is being given is kept until it has arrived."""
    book = Playbook()
    book.ticket("A-1")
    for text in ("one", "two", "three"):
        evolve(book.state, d.MessageQueued(ticket_id=A_1, message=PersonMessage(text=text, at_ms=1)))
    evolve(book.state, d.MessagesTaken(ticket_id=A_1, count=2))
    entry = book.entry("A-1")
    assert entry.run is not None
    assert [message.text for message in entry.run.giving] == ["one", "two"]
    assert [message.text for message in entry.messages] == ["three"]
    evolve(book.state, d.TurnBegun(at_ms=1, ticket_id=A_1, message_key=CommandKey("k")))
    assert entry.run.giving == ()


def test_a_look_that_is_settled_is_not_under_way_any_more() -> None:
    """The next one may begin."""
    book = Playbook()
    entry = book.ticket("A-1")
    book.until(c.AwaitTurn)
    probe = c.ProbeAgent(key=CommandKey("p"), ticket_id=A_1, generation=1, conversation_id="c", working_dir="/ws")
    evolve(book.state, d.CommandIssued(command=probe))
    assert entry.run is not None
    assert entry.run.look_key == "p"
    evolve(book.state, d.CommandSettled(key=probe.key))
    assert entry.run.look_key is None
