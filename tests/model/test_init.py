"""The nouns that compute something."""

from __future__ import annotations

import opensymphony.model as model
from opensymphony.model import Usage


def test_usage_is_added_and_taken_away() -> None:
    """Field by field; a counter that went down counts as nothing, never as negative."""
    one = Usage(prompt_tokens=10, completion_tokens=2, cost_micros=5, model_calls=1, cache_read_tokens=3)
    two = Usage(prompt_tokens=4, completion_tokens=3, cost_micros=1, model_calls=2, reasoning_tokens=7)
    both = one + two
    assert (both.prompt_tokens, both.total_tokens, both.cost_micros, both.model_calls) == (14, 19, 6, 3)
    assert both.since(one) == two
    assert one.since(both) == Usage()


def test_all_nouns_are_found_in_one_place() -> None:
    """Also those of trackers, which have a module of their own."""
    assert sorted(model.__all__, key=str.casefold) == sorted(set(model.__all__), key=str.casefold)
    assert all(hasattr(model, name) for name in model.__all__)
