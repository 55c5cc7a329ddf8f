"""Which tests failed, read from what a test run printed: the set of names, by which one run is told from the next."""

from __future__ import annotations

import re

_FAILURES = re.compile(
    r"^(?:FAILED|ERROR|FAIL:?|--- FAIL:|not ok(?: \d+)?(?: -)?|[\u2715\u2717\u00d7]|\d+\))\s+(\S.*)$"
    r"|^test (\S+) \.\.\. FAILED$",
    re.MULTILINE,
)
_CHANGING = re.compile(r"0x[0-9a-f]+|\d+")
"""Addresses, times and counts differ in every run of the same failure."""


def named_failures(output: str) -> frozenset[str]:
    """The tests that the output names as failed, without the numbers in what it says of them; empty when it names none."""
    return frozenset(without_numbers(one or other).strip() for one, other in _FAILURES.findall(output))


def without_numbers(text: str) -> str:
    """The text with every number as `#`."""
    return _CHANGING.sub("#", text)
