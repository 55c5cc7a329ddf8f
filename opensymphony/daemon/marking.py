"""Which records are about which ticket, how runs ended, what days cost: what the store keeps beside a record to find it again.

The loop marks each record as it writes it; what an earlier release wrote is marked by `recovery.py`, once.
"""

from __future__ import annotations

import msgspec

from opensymphony.model import TicketId
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.decisions.runs import RunTotals
from opensymphony.scheduler.events import CommandFailed
from opensymphony.scheduler.records import Record
from opensymphony.scheduler.timeline import TELLERS, entries
from opensymphony.store.marks import Marks, RunRow
from opensymphony.views import RunFigures

TIMELINE = "timeline"
VERIFICATIONS = "verifications"
_MARKED = frozenset((*TELLERS, d.DayTurned))


def marks_of(record: Record) -> Marks | None:
    """None for a record that nobody looks for."""
    for decision in record.decisions:  # most records are signs of life, and this is all that they cost
        if type(decision) in _MARKED:
            break
    else:
        if not isinstance(record.event, CommandFailed):
            return None
    about = dict.fromkeys((TIMELINE, ticket_id) for ticket_id, _ in entries(record))
    runs: list[RunRow] = []
    days: list[tuple[str, bytes]] = []
    for decision in record.decisions:
        if isinstance(decision, d.VerificationNoted):
            about[VERIFICATIONS, decision.ticket_id] = None
        elif isinstance(decision, d.RunEnded) and decision.totals is not None:
            runs.append(_run_row(decision.ticket_id, decision, decision.totals))
        elif isinstance(decision, d.DayTurned) and decision.before:
            days.append((decision.before, msgspec.json.encode(decision.spent)))
    if not about and not days:
        return None
    return Marks(sequence=record.sequence, about=tuple(about), runs=tuple(runs), days=tuple(days))


def _run_row(ticket_id: TicketId, decision: d.RunEnded, totals: RunTotals) -> RunRow:
    figures = RunFigures(
        identifier=totals.identifier,
        generation=totals.generation,
        waited_ms=totals.waited_ms,
        started_ms=totals.started_ms,
        ended_ms=decision.at_ms,
        outcome=decision.outcome,
        usage=totals.usage,
    )
    return RunRow(
        ticket_id=ticket_id,
        generation=totals.generation,
        day=totals.day,
        succeeded=decision.outcome == "succeeded",
        body=msgspec.json.encode(figures),
    )
