"""Heaps that are read without being changed."""

from heapq import heapify

from hypothesis import given
from hypothesis import strategies as st

from opensymphony.scheduler.heaps import in_order


@given(st.lists(st.tuples(st.integers(), st.text(max_size=3)), max_size=60))
def test_items_come_in_order_and_the_heap_stays(items: list[tuple[int, str]]) -> None:
    """Reading is the same as sorting, and leaves no trace."""
    heap = list(items)
    heapify(heap)
    before = list(heap)
    assert list(in_order(heap)) == sorted(items)
    assert heap == before
