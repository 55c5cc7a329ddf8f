"""Effects, each named once."""

from typing import get_args

import msgspec

from opensymphony.scheduler import commands as c
from tests.scheduler.playbook import Playbook, outcome


def test_a_key_is_never_used_again() -> None:
    """Over failures, retries and generations every command has a key of its own."""
    book = Playbook()
    book.ticket("A-1")
    keys: list[str] = []
    for _ in range(3):
        while book.state.pending:
            command = next(iter(book.state.pending.values()))
            keys.append(command.key)
            if isinstance(command, c.AwaitTurn):
                book.fail(c.AwaitTurn)
            else:
                book.answer_command(command)
        due_ms = book.entry("A-1").due_ms
        assert due_ms is not None
        book.passes(due_ms - book.now_ms)
    assert len(keys) == len(set(keys))
    assert all(key.startswith("A-1#") for key in keys)


def test_every_command_has_an_ordinary_outcome_and_travels_through_the_journal() -> None:
    """A new command without either would be noticed here."""
    book = Playbook()
    book.ticket("A-1")
    seen: dict[type, c.Command] = {}
    book.until(c.AwaitTurn)
    seen.update({type(command): command for command in book.state.pending.values()})
    book.ticket("A-1", "Done")
    while book.state.pending:
        seen.update({type(command): command for command in book.state.pending.values()})
        book.answer_command(next(iter(book.state.pending.values())))
    decoder = msgspec.json.Decoder(c.Command)
    for kind, command in seen.items():
        assert decoder.decode(msgspec.json.encode(command)) == command
        assert outcome(command, book.tickets[command.ticket_id], 1) is not None, kind
    assert set(seen) <= set(get_args(c.Command))
