"""Decisions live beside what applies them."""

from opensymphony.scheduler.decisions import reviews
from opensymphony.scheduler.evolve import APPLY
from opensymphony.scheduler.evolve import reviews as applied
from tests.scheduler.decisions.test_init import kinds_in


def test_each_is_applied_by_the_module_of_the_same_name() -> None:
    """Whoever reads a decision finds what it changes at the first guess."""
    found = kinds_in(reviews)
    assert found
    assert [kind.__name__ for kind in found if APPLY[kind].__module__ != applied.__name__] == []
