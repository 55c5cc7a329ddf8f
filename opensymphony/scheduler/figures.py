"""What a run took, for the record of its end."""

from __future__ import annotations

from opensymphony.scheduler.decisions.runs import RunTotals
from opensymphony.scheduler.state import Entry, Run, State


def run_totals(state: State, entry: Entry, run: Run) -> RunTotals:
    """What is known of a run when nothing of it is left in flight."""
    return RunTotals(
        identifier=entry.ticket.identifier,
        generation=run.generation,
        day=state.day,
        waited_ms=run.waited_ms,
        started_ms=run.started_ms,
        usage=run.spent,
    )
