"""Conclusions, each of which the state understands."""

from types import ModuleType
from typing import get_args

from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import evolve
from tests.scheduler.playbook import Playbook


def kinds_in(module: ModuleType) -> list[type]:
    """The kinds of decisions that a module defines."""
    return [kind for kind in get_args(d.Decision) if kind.__module__ == module.__name__]


def test_only_stages_and_issued_commands_carry_an_effect() -> None:
    """Whatever is to be done outside stands in one of the two."""
    book = Playbook()
    book.ticket("A-1")
    command = book.pending(c.RereadTicket)
    staged = d.StageEntered(at_ms=1, ticket_id=command.ticket_id, stage="rereading", command=command)
    assert d.command_of(staged) is command
    assert d.command_of(d.CommandIssued(command=command)) is command
    assert d.command_of(d.DrainBegun()) is None


def test_every_kind_of_decision_is_applied_by_evolve() -> None:
    """A decision that nobody applies would be lost at a restart."""
    from opensymphony.scheduler.evolve import APPLY

    assert set(get_args(d.Decision)) == set(APPLY)
    assert callable(evolve)
