"""One table: what each outcome of a run leads to, who wakes the ticket, and what the ticket says."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from opensymphony.model import Phase

Outcome = Literal[
    "succeeded",
    "needs_input",
    "needs_approval",
    "blocked",
    "failed",
    "gave_up",
    "stalled",
    "no_progress",
    "timed_out",
    "over_budget",
    "cancelled",
    "interrupted",
]
"""How a run ended. `failed` and `stalled` are tried again; `gave_up` is a failure that no further try would mend;
`no_progress` and `timed_out`: it was stopped because it went nowhere, or on for too long; `over_budget`: at a limit of what it
may spend; `cancelled`: the ticket was taken from us; `interrupted`: we were told to stop and go on at the next start."""


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
    "no_progress": OutcomeRule(
        phase="needs_person", woken_by="a change of the ticket, or `retry`", headline="Stopped: no progress"
    ),
    "timed_out": OutcomeRule(
        phase="needs_person", woken_by="a change of the ticket, or `retry`", headline="Stopped: it took too long"
    ),
    "over_budget": OutcomeRule(
        phase="needs_person",
        woken_by="a new day or a raised limit, a change of the ticket, or `retry`",
        headline="Stopped: its budget is used up",
    ),
    "cancelled": OutcomeRule(phase="closed", woken_by="a change of the ticket by a person", headline="Stopped"),
    "interrupted": OutcomeRule(
        phase="waiting_to_start",
        woken_by="the next start of the daemon, or `resume`",
        headline="Interrupted, will go on",
    ),
}
