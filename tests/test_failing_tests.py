"""Output of test runners, as they print it."""

from __future__ import annotations

import pytest

from opensymphony.failing_tests import named_failures, without_numbers


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("FAILED tests/test_a.py::test_one - assert 3 == 4", "tests/test_a.py::test_one - assert # == #"),
        ("ERROR tests/test_a.py::test_two", "tests/test_a.py::test_two"),
        ("FAIL: test_three (tests.A.test_three)", "test_three (tests.A.test_three)"),
        ("--- FAIL: TestFour (0.01s)", "TestFour (#.#s)"),
        ("not ok 5 - adds up", "adds up"),
        ("test six::works ... FAILED", "six::works"),
        ("✕ sums (12 ms)", "sums (# ms)"),
    ],
)
def test_the_usual_runners_are_understood(line: str, name: str) -> None:
    """Each names its failure in a line of its own; times and addresses in it do not count."""
    assert named_failures(f"collected 3 items\n{line}\ndone\n") == {name}


def test_output_without_names_has_none() -> None:
    """Words in the middle of a line are no failures."""
    assert named_failures("3 passed\nit FAILED somehow\nnot okay\n") == frozenset()


def test_numbers_are_one_and_the_same() -> None:
    """Addresses and counts become one character."""
    assert without_numbers("at 0x7fa3 after 12 s") == "at # after # s"
