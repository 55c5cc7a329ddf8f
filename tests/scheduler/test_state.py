"""What the scheduler knows."""

from opensymphony.model import Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler.state import Run, State, is_live_timer, next_due_ms
from tests.scheduler.playbook import Playbook


def test_nothing_is_due_in_an_empty_state() -> None:
    """The loop waits for events alone."""
    assert next_due_ms(State()) is None


def test_only_the_newest_timer_of_a_kind_is_alive() -> None:
    """A second turn sets its own stall timer; the first one's is dead."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.VerifyWork)
    book.answer(c.VerifyWork, passed=False)
    book.until(c.AwaitTurn)
    stalls = [item for item in book.state.timers if item[2] == "stall"]
    assert len(stalls) == 2
    assert [is_live_timer(book.state, item) for item in sorted(stalls)] == [False, True]


def test_usage_of_a_run_is_what_its_conversation_used_since_it_began() -> None:
    """A conversation that is reused brings its old totals along."""
    run = Run(generation=2, started_ms=0, usage_before=Usage(prompt_tokens=5), usage_now=Usage(prompt_tokens=7))
    assert run.usage.prompt_tokens == 2
