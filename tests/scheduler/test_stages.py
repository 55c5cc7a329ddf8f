"""The stages of a run, one outcome after another."""

from opensymphony.model import TurnEnd, Verification, Work
from opensymphony.scheduler import commands as c
from tests.scheduler.playbook import Playbook, policy


def test_a_ticket_goes_from_todo_to_review() -> None:
    """Each stage asks for one effect, and the ticket ends in review with its commit pushed."""
    book = Playbook()
    book.ticket("A-1")
    seen = []
    while book.state.pending:
        command = next(iter(book.state.pending.values()))
        seen.append(type(command).__name__)
        book.answer_command(command)
    assert seen == [
        "RereadTicket",
        "ClaimTicket",
        "TransitionTicket",
        "WriteComment",
        "PrepareWorkspace",
        "OpenConversation",
        "SendMessage",
        "AwaitTurn",
        "CollectWork",
        "VerifyWork",
        "PushCommit",
        "TransitionTicket",
        "WriteComment",
        "ReleaseClaim",
    ]
    entry = book.entry("A-1")
    assert entry.phase == "in_review"
    assert entry.ticket.state == "In Review"
    assert entry.commit == "c" * 40
    assert entry.verified is True
