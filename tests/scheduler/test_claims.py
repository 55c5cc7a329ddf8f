"""Tests of how long a claim holds."""

from opensymphony.model import Claim, ClaimAnswer, CommandKey, TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.claims import HEARTBEAT_MS, LET_GO_MS, STALE_AFTER_MS, is_alone, ran_out
from opensymphony.workflow.policy import AgentPolicy
from tests.scheduler.playbook import Playbook, policy

QUIET = policy(agent=AgentPolicy(stall_timeout_ms=0))


def at_work(*, alone: bool = False) -> Playbook:
    book = Playbook(QUIET)
    if not alone:
        book.ticket("B-1", "Backlog", claim=Claim(instance="two", generation=1, heartbeat_ms=1))
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    return book


def why_stopped(book: Playbook) -> tuple[str, str]:
    run = book.entry("A-1").run
    assert run is not None and run.stopping is not None
    return run.stopping.outcome, run.stopping.reason


def test_a_claim_that_cannot_be_renewed_ends_its_run_before_it_is_stale() -> None:
    """While the tracker is away the run goes on, and is stopped before another daemon may have the ticket."""
    book = at_work()
    claim = book.entry("A-1").claim
    assert claim is not None
    while "StopRun" not in book.kinds():
        book.passes(60_000)
        if "ClaimTicket" in book.kinds():
            book.fail(c.ClaimTicket)
        assert book.now_ms - claim.heartbeat_ms < STALE_AFTER_MS
    assert book.now_ms - claim.heartbeat_ms >= LET_GO_MS
    assert why_stopped(book) == (
        "interrupted",
        "our claim on it could not be renewed for 13 minutes; it goes on when it can",
    )


def test_one_lost_renewal_is_made_good() -> None:
    """The next one is in time."""
    book = at_work()
    for fails in (True, False, False):
        book.passes(HEARTBEAT_MS)
        if fails:
            book.fail(c.ClaimTicket)
        else:
            book.answer(c.ClaimTicket)
    assert "StopRun" not in book.kinds()


def test_a_claim_that_was_long_in_coming_is_made_anew() -> None:
    """To the others it is as old as the question, not as the answer."""
    book = Playbook(QUIET)
    book.ticket("A-1")
    first = book.until(c.ClaimTicket)
    book.now_ms += HEARTBEAT_MS
    book.answer(c.ClaimTicket, answer=ClaimAnswer(granted=True))
    second = book.pending(c.ClaimTicket)
    assert isinstance(first, c.ClaimTicket)
    assert second.claim.heartbeat_ms > first.claim.heartbeat_ms
    book.answer(c.ClaimTicket, answer=ClaimAnswer(granted=True))
    assert book.entry("A-1").claim == Claim(instance="one", generation=1, heartbeat_ms=second.claim.heartbeat_ms)


def test_a_daemon_that_was_away_too_long_lets_its_tickets_go() -> None:
    """What it held may be another one's now: the run is stopped, and not taken up again."""
    book = at_work()
    book.now_ms += LET_GO_MS
    assert ran_out(book.entry("A-1"), book.now_ms)
    book.send(e.DaemonStarted(at_ms=book.now_ms, instance="one", version="again"))
    assert "StopRun" in book.kinds()
    assert why_stopped(book)[0] == "interrupted"


def test_a_daemon_that_is_alone_keeps_its_agents_while_the_tracker_is_away() -> None:
    """For hours; nobody else could take the ticket. Its claim is asked for all the while."""
    book = at_work(alone=True)
    asked = 0
    for _ in range(240):
        book.passes(60_000)
        if "ClaimTicket" in book.kinds():
            asked += 1
            book.fail(c.ClaimTicket)
    assert "StopRun" not in book.kinds()
    assert asked > 100


def test_a_board_is_ours_alone_again_after_a_week() -> None:
    """Without a sign of anybody else."""
    book = at_work()
    assert not is_alone(book.state, book.now_ms)
    assert is_alone(book.state, book.now_ms + 8 * 86_400_000)


def test_a_heartbeat_that_came_through_after_the_end_leaves_no_claim() -> None:
    """While a tracker is away they pile up; what it hears when the ticket is not ours any more is taken back."""
    book = at_work(alone=True)
    theirs = ClaimAnswer(granted=False, holder=Claim(instance="two", generation=1, heartbeat_ms=1))
    book.passes(HEARTBEAT_MS)
    book.answer(c.ClaimTicket, answer=theirs)
    book.answer(c.StopRun)
    late = c.ClaimTicket(
        key=CommandKey("late"),
        ticket_id=TicketId("A-1"),
        generation=1,
        claim=Claim(instance="one", generation=1, heartbeat_ms=9),
        stale_after_ms=STALE_AFTER_MS,
    )
    book.state.pending[late.key] = late
    book.fold_every = 1_000_000
    book.answer(c.ClaimTicket)
    assert book.pending(c.ReleaseClaim).claim == late.claim
    entry = book.entry("A-1")
    entry.claim = Claim(instance="one", generation=2, heartbeat_ms=9)
    book.answer(c.ReleaseClaim)
    assert entry.claim is not None, "that of a newer run stays"
