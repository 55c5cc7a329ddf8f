"""How long our claim on a ticket holds. Another daemon may take the ticket as soon as it is stale, so that we let go before.

Where other daemons were seen on the board, our agent must have stopped, confirmed, by the time the claim is stale: a claim
that was not renewed for `LET_GO_MS`, because the tracker was away, ends its run. A daemon that is alone keeps its agents at
work, however long the tracker is away. One that was away itself lets go in any case: somebody may have come meanwhile.
A single claim that fails is made again sooner than its next turn.
"""

from __future__ import annotations

from opensymphony.model import Claim
from opensymphony.scheduler import commands as c
from opensymphony.scheduler.endings import begin_stop
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.state import Entry, State

HEARTBEAT_MS = 300_000
"""A claim is renewed this often, and stale after three times that: one missed renewal is not a death."""
STALE_AFTER_MS = 3 * HEARTBEAT_MS
LET_GO_MS = STALE_AFTER_MS - 120_000
"""Two minutes for the stop and its confirmation."""

_AGAIN_MS = 60_000
_ALONE_AFTER_MS = 7 * 86_400_000
"""Without a claim of another daemon's on any ticket: then the board is ours alone again."""


def claim_now(plan: Plan) -> Claim:
    return Claim(instance=plan.state.instance, generation=plan.generation, heartbeat_ms=plan.at_ms)


def ran_out(entry: Entry, at_ms: int) -> bool:
    """Whether the claim of the ticket's run is so old that another daemon may have the ticket soon."""
    run = entry.run
    if run is None or not run.claimed or run.ending is not None or run.stopping is not None:
        return False
    return entry.claim is not None and at_ms - entry.claim.heartbeat_ms >= LET_GO_MS


def is_alone(state: State, at_ms: int) -> bool:
    """Whether no other daemon was seen on the board. One that was away itself cannot know."""
    return state.others_ms == 0 or at_ms - state.others_ms > _ALONE_AFTER_MS


def enter_claiming(plan: Plan) -> None:
    plan.enter("claiming", c.ClaimTicket, claim=claim_now(plan), stale_after_ms=STALE_AFTER_MS)


def renew(plan: Plan) -> None:
    """The claim is due again; also while the last stages wait for the tracker."""
    claim, run = plan.entry.claim, plan.run
    if claim is None or run.stage == "releasing":
        return
    if ran_out(plan.entry, plan.at_ms) and not is_alone(plan.state, plan.at_ms):
        let_go(plan)
        return
    ask_again(plan)
    late = plan.at_ms - claim.heartbeat_ms >= 2 * HEARTBEAT_MS
    next_ms = plan.at_ms + (_AGAIN_MS if late else HEARTBEAT_MS)
    plan.add(plan.timer("heartbeat", min(next_ms, max(claim.heartbeat_ms + LET_GO_MS, plan.at_ms + _AGAIN_MS))))


def ask_again(plan: Plan) -> None:
    """Write the claim anew; the answer says whether it is still ours."""
    plan.issue(c.ClaimTicket, claim=claim_now(plan), stale_after_ms=STALE_AFTER_MS)


def let_go(plan: Plan) -> None:
    """Stop the run before somebody else may take the ticket."""
    claim = plan.entry.claim
    assert claim is not None, "a claim that ran out was held"
    minutes = (plan.at_ms - claim.heartbeat_ms) // 60_000
    begin_stop(
        plan, "interrupted", f"our claim on it could not be renewed for {minutes} minutes; it goes on when it can"
    )
