"""Keeps the journal small: what no start needs any more goes when it is old, or when the file is too big.

The journal is cut at checkpoints only, so that whatever is left can be folded from its beginning. Every step is short, and the
loop's own writes go on between two of them.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
import msgspec
from msgspec import Struct

from opensymphony.clock import Clock, iso
from opensymphony.errors import StoreError
from opensymphony.logs import get_logger
from opensymphony.store.sqlite import Journal
from opensymphony.workflow.policy import RetentionPolicy

_LOOK_EVERY_S = 600
_RECORDS_A_STEP = 500
_PAGES_A_STEP = 250
"""A megabyte: a few milliseconds of the journal's thread."""
_DAY_MS = 86_400_000
_FIGURES_KEPT_MS = 400 * _DAY_MS
"""How runs ended and what days cost outlives their records: a year, and a month to compare it with."""

log = get_logger(__name__)


class _Timed(Struct, frozen=True):
    at_ms: int


class _Dated(Struct, frozen=True):
    """Of a record no more than its time: whatever release wrote it."""

    event: _Timed


async def keep_small(journal: Journal, retention: Callable[[], RetentionPolicy], clock: Clock) -> None:
    """Compact now and then, until cancelled. What goes wrong is told and tried again the next time."""
    while True:
        try:
            deleted = await compact(journal, retention(), clock.now_ms())
            if deleted:
                log.info("deleted old records of the journal", records=deleted, bytes_left=await journal.size())
            await journal.forget_figures(iso(clock.now_ms() - _FIGURES_KEPT_MS)[:10])
        except StoreError as error:
            log.warning("the journal was not made smaller", error=str(error))
        await anyio.sleep(_LOOK_EVERY_S)


async def compact(journal: Journal, retention: RetentionPolicy, now_ms: int) -> int:
    """Delete what the policy does not keep, and give its space back to the disk. Returns how many records went."""
    deleted = 0
    for cut in (await journal.checkpoints())[:-1]:
        if not (await _is_too_old(journal, cut, retention, now_ms) or await _is_too_big(journal, retention)):
            break
        deleted += await _forget(journal, cut)
    while await journal.shrink(_PAGES_A_STEP):
        pass
    return deleted


async def _forget(journal: Journal, cut: int) -> int:
    deleted = 0
    while step := await journal.forget(cut, _RECORDS_A_STEP):
        deleted += step
    return deleted


async def _is_too_old(journal: Journal, cut: int, retention: RetentionPolicy, now_ms: int) -> bool:
    """Whether the youngest record before the cut is."""
    if not retention.journal_days:
        return False
    body = await journal.record(cut)
    if body is None:
        return True  # its records are gone already
    try:
        at_ms = msgspec.json.decode(body, type=_Dated).event.at_ms
    except (msgspec.MsgspecError, UnicodeError):
        return False  # damaged: its successors tell how old it must be
    return at_ms < now_ms - retention.journal_days * _DAY_MS


async def _is_too_big(journal: Journal, retention: RetentionPolicy) -> bool:
    return 0 < retention.journal_bytes < await journal.size()
