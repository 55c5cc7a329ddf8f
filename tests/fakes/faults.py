"""What a fake service is told to do wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field


class Fault(Struct, kw_only=True):
    """What happens to the next calls that match: an answer instead, or the loss of the answer."""

    method: str
    path: str
    """A regular expression for the path behind where the fake's interface begins."""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: Any = None
    lost: bool = False
    """Done, but the answer does not arrive."""
    times: int = 1
    after: int = 0
    """So many calls that match are answered as ever before."""


def next_fault(faults: Iterable[Fault], method: str, path: str) -> Fault | None:
    """What goes wrong with this call; None when nothing does. Counts it."""
    for fault in faults:
        if fault.times > 0 and fault.method == method and re.fullmatch(fault.path, path):
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.times -= 1
            return fault
    return None
