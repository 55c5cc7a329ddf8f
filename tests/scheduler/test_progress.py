"""Whether a run gets anywhere."""

import pytest

from opensymphony.model import TurnProgress, Usage, Verification
from opensymphony.scheduler.progress import describe, failing_tests, share_used, without_progress
from opensymphony.scheduler.state import Run
from opensymphony.workflow.policy import AgentPolicy


def failed(output: str) -> Verification:
    return Verification(passed=False, exit_code=1, output_tail=output, duration_ms=1)


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (
            "FAILED tests/test_a.py::test_one - assert 1 == 2\n1 failed in 0.31s",
            ["tests/test_a.py::test_one - assert # == #"],
        ),
        ("--- FAIL: TestParse (0.01s)\nFAIL\n", ["TestParse (#.#s)"]),
        ("not ok 3 - parses\nok 4 - writes", ["parses"]),
        ("test parser::empty ... FAILED\ntest parser::full ... ok", ["parser::empty"]),
        ("FAIL: test_a (suite.Case.test_a)", ["test_a (suite.Case.test_a)"]),
    ],
)
def test_failing_tests_are_found_in_what_common_runners_print(output: str, named: list[str]) -> None:
    """By name, without the figures that differ each time."""
    assert failing_tests(failed(output)) == frozenset(named)


def test_without_names_the_output_itself_counts() -> None:
    """Times and addresses in it do not."""
    assert failing_tests(failed("boom at 0x7f12 after 3 s")) == failing_tests(failed("boom at 0x9a after 14 s"))
    assert failing_tests(failed("boom")) != failing_tests(failed("bang"))


def test_what_passes_fails_in_nothing() -> None:
    """Whatever it prints."""
    passed = Verification(passed=True, exit_code=0, output_tail="FAILED is a word", duration_ms=1)
    assert failing_tests(passed) == frozenset()


def test_progress_is_counted_from_the_last_change() -> None:
    """A report with a new change counts nothing yet."""
    run = Run(generation=1, started_ms=0, changes=2, actions=30, progress_actions=20, progress_tokens=500)
    run.usage_now = Usage(prompt_tokens=900)
    assert without_progress(run) == (10, 400)
    same = TurnProgress(status="running", actions=35, changes=2, usage=Usage(prompt_tokens=1_000))
    assert without_progress(run, same) == (15, 500)
    assert without_progress(run, TurnProgress(status="running", actions=35, changes=3)) == (0, 0)


def test_the_nearer_limit_counts() -> None:
    """One that is off does not."""
    agent = AgentPolicy(max_actions_without_progress=100, max_tokens_without_progress=1_000)
    assert share_used(50, 100, agent) == 0.5
    assert share_used(10, 900, agent) == 0.9
    off = AgentPolicy(max_actions_without_progress=0, max_tokens_without_progress=0)
    assert share_used(10**6, 10**9, off) == 0.0
    assert describe(3, 4_000) == "3 actions and 4,000 tokens without a change of a file, the plan or the failing tests"
