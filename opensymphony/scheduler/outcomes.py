"""One table: what each outcome of a run leads to, who wakes the ticket, and what the ticket says."""

from __future__ import annotations

from msgspec import Struct

from opensymphony.model import Phase
from opensymphony.scheduler.decisions import Outcome


class OutcomeRule(Struct, frozen=True, kw_only=True):
    """What follows from an outcome."""

    phase: Phase
    woken_by: str
    headline: str
    """First words of the comment on the ticket."""
    counts_as_failure: bool = False


OUTCOMES: dict[Outcome, OutcomeRule] = {
    "succeeded": OutcomeRule(
        phase="in_review", woken_by="a change of the ticket by a person", headline="Ready for review"
    ),
    "needs_input": OutcomeRule(
        phase="needs_person", woken_by="a change of the ticket, or `retry`", headline="Needs your input"
    ),
    "needs_approval": OutcomeRule(
        phase="needs_person", woken_by="an approval, a change of the ticket, or `retry`", headline="Needs your approval"
    ),
    "blocked": OutcomeRule(
        phase="waiting_to_start", woken_by="the blocker's progress", headline="Blocked by another ticket"
    ),
    "failed": OutcomeRule(
        phase="retrying", woken_by="its backoff", headline="Failed, will be tried again", counts_as_failure=True
    ),
    "gave_up": OutcomeRule(
        phase="needs_person", woken_by="a change of the ticket, or `retry`", headline="Needs attention"
    ),
    "stalled": OutcomeRule(
        phase="retrying", woken_by="its backoff", headline="Stalled, will be tried again", counts_as_failure=True
    ),
    "cancelled": OutcomeRule(phase="closed", woken_by="a change of the ticket by a person", headline="Stopped"),
    "interrupted": OutcomeRule(
        phase="waiting_to_start", woken_by="the next start of the daemon", headline="Interrupted, will go on"
    ),
}
