"""Heaps that can be read in order without being changed: `decide` looks, `evolve` takes."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import TypeVar

T = TypeVar("T", bound=tuple[object, ...])


def in_order(heap: list[T]) -> Iterator[T]:
    """The items from the smallest on; the first k cost O(k log k), and the heap stays as it is."""
    if not heap:
        return
    frontier: list[tuple[T, int]] = [(heap[0], 0)]
    while frontier:
        item, index = heappop(frontier)
        yield item
        for child in (2 * index + 1, 2 * index + 2):
            if child < len(heap):
                heappush(frontier, (heap[child], child))
