"""The two tables of the state machine."""

from typing import get_args

import pytest

from opensymphony.model import CommandKey, Phase
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.machine import LAST_STAGES, OUTCOME_OF, PHASES, STAGES, IllegalEvent, Stage, may_follow
from opensymphony.scheduler.outcomes import OUTCOMES, Outcome
from opensymphony.scheduler.plan import Plan
from tests.scheduler.playbook import Playbook


def test_every_stage_phase_command_and_outcome_has_its_row() -> None:
    """A word without a rule would be a hole in the machine."""
    assert set(STAGES) == set(get_args(Stage))
    assert set(PHASES) == set(get_args(Phase))
    assert set(OUTCOMES) == set(get_args(Outcome))
    assert set(OUTCOME_OF) == set(get_args(c.Command))
    assert set(OUTCOME_OF.values()) == {
        kind for kind in get_args(e.Event) if issubclass(kind, e.CommandOutcome) and kind is not e.CommandFailed
    }
    assert all(rule.meaning for rule in (*STAGES.values(), *PHASES.values()))


def test_an_outcome_leads_to_a_phase_that_a_run_can_lead_to() -> None:
    """The table of outcomes and the table of phases say the same."""
    assert {rule.phase for rule in OUTCOMES.values()} <= set(PHASES["running"].leads_to)


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        ("claiming", "preparing", True),
        ("claiming", "opening", False),
        ("working", "stopping", True),
        ("stopping", "after_run", True),
        ("stopping", "working", False),
        ("verifying", "reporting", True),
        ("reporting", "after_run", False),
        ("reporting", "stopping", False),
        ("releasing", "rereading", False),
        ("sending", "sending", True),
    ],
)
def test_a_run_goes_only_where_the_table_lets_it(before: Stage, after: Stage, allowed: bool) -> None:
    """On, to its own next try, to the stop, or to the last stages in their order."""
    assert may_follow(before, after) == allowed


def test_the_last_stages_lead_only_to_later_ones() -> None:
    """What has been done at the end of a run is not done again."""
    assert all(
        may_follow(one, other) == (LAST_STAGES.index(one) <= LAST_STAGES.index(other))
        for one in LAST_STAGES
        for other in LAST_STAGES
    )


def test_an_illegal_step_names_the_ticket_and_both_stages() -> None:
    """A defect of ours is an error before anything is written."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    plan = Plan(book.state, book.entry("A-1"), book.now_ms)
    with pytest.raises(IllegalEvent, match=r"A-1.*working.*claiming"):
        plan.enter("claiming", c.ReleaseClaim)


def test_an_outcome_of_another_kind_is_refused_and_changes_nothing() -> None:
    """The error names the state and the event; the command stays pending."""
    book = Playbook()
    book.ticket("A-1")
    command = book.pending(c.RereadTicket)
    records = len(book.records)
    with pytest.raises(IllegalEvent, match=r"A-1 in rereading \(run 1\): RereadTicket cannot end with CommitPushed"):
        book.send(e.CommitPushed(at_ms=book.now_ms, key=command.key))
    assert len(book.records) == records
    assert command.key in book.state.pending
    assert book.send(e.CommitPushed(at_ms=book.now_ms, key=CommandKey("nobody's"))) == ()
