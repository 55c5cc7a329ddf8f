"""Decisions about a run, applied."""

from opensymphony.model import TicketId, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.evolve import evolve
from tests.scheduler.playbook import Playbook

A_1 = TicketId("A-1")


def noted(usage: Usage | None = None, **fields: int) -> d.ProgressNoted:
    return d.ProgressNoted(at_ms=1, ticket_id=A_1, status="running", tool_open=False, summary="", usage=usage, **fields)


def test_usage_is_spent_once_for_run_ticket_day_and_project() -> None:
    """Totals come in, differences are counted; a late report with lower figures takes nothing back."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    for prompt in (100, 250, 250, 120):
        evolve(book.state, noted(Usage(prompt_tokens=prompt, model_calls=1)))
    entry = book.entry("A-1")
    assert entry.run is not None
    spent = [entry.run.spent, entry.conversation_usage, book.state.spent_day, book.state.spent_project]
    assert [usage.prompt_tokens for usage in spent] == [250, 250, 250, 250]
    evolve(book.state, noted(Usage(prompt_tokens=260, model_calls=2)))
    assert book.state.spent_day.prompt_tokens == 260


def test_a_change_begins_the_count_of_steps_without_progress_anew() -> None:
    """From the steps and tokens at which it was seen."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    evolve(book.state, noted(actions=3, changes=0))
    evolve(book.state, noted(Usage(prompt_tokens=40), actions=9, changes=1))
    run = book.entry("A-1").run
    assert run is not None
    assert (run.progress_actions, run.progress_tokens) == (9, 40)
    evolve(book.state, noted(actions=12, changes=1))
    assert run.progress_actions == 9


def test_only_the_newest_ends_are_kept() -> None:
    """Ten of them, the newest first."""
    book = Playbook()
    book.fold_every = 1_000
    book.ticket("A-1")
    for round_ in range(12):
        book.settle_all()
        book.ticket("A-1", "Todo", description=str(round_))
    history = book.entry("A-1").history
    assert len(history) == 10
    assert history[0].startswith("run 12: ")


def test_a_planned_stage_waits_with_its_command() -> None:
    """No key is pending until it is due."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    send = c.SendMessage(key="k", ticket_id=A_1, generation=1, conversation_id="c", text="go on")
    evolve(book.state, d.StagePlanned(at_ms=5, ticket_id=A_1, stage="sending", command=send, due_ms=99))
    run = book.entry("A-1").run
    assert run is not None
    assert (run.stage, run.key, run.command, run.timers["stage_retry"]) == ("sending", None, send, 99)
