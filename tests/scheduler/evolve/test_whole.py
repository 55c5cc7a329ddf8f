"""Decisions about everything, applied."""

from opensymphony.model import Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.evolve import evolve
from opensymphony.workflow.policy import AgentPolicy
from tests.scheduler.playbook import Playbook, policy


def test_a_boot_counts_places_anew_and_forgets_what_the_last_one_knew() -> None:
    """Also from a checkpoint of a release that counted otherwise."""
    book = Playbook(policy(agent=AgentPolicy(max_concurrent_agents_by_label={"db": 2})))
    book.ticket("A-1", labels=("db",))
    state = book.state
    state.occupied, state.storage_error, state.server_error = {"label other": 7}, "full", "gone"
    evolve(state, d.BootNoted(at_ms=book.now_ms, instance="one"))
    assert state.occupied == {"label db": 1}
    assert (state.storage_error, state.server_error) == (None, None)


def test_a_new_policy_counts_places_by_its_own_limits() -> None:
    """Running tickets take places of limits that did not exist when they started."""
    book = Playbook()
    book.ticket("A-1", labels=("db",))
    changed = policy(agent=AgentPolicy(max_concurrent_agents_by_label={"db": 2}))
    evolve(book.state, d.PolicyAdopted(policy=changed))
    assert book.state.occupied == {"label db": 1}
    evolve(book.state, d.PolicyAdopted(policy=policy()))
    assert book.state.occupied == {}


def test_a_day_begins_with_nothing_spent() -> None:
    """The project goes on counting."""
    book = Playbook()
    book.state.spent_day = book.state.spent_project = Usage(prompt_tokens=5)
    evolve(book.state, d.DayTurned(day="2026-11-26"))
    assert (book.state.spent_day, book.state.spent_project) == (Usage(), Usage(prompt_tokens=5))


def test_timers_that_were_looked_at_are_gone_and_later_ones_stay() -> None:
    """By their time."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    due = sorted(item[0] for item in book.state.timers)
    evolve(book.state, d.TimersTaken(until_ms=due[0]))
    assert all(item[0] > due[0] for item in book.state.timers)
