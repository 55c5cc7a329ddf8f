"""What follows from events that are not outcomes of commands."""

import msgspec
import pytest

from opensymphony.model import Claim, ClaimAnswer, TurnProgress, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.decide import decide
from opensymphony.scheduler.machine import IllegalEvent
from opensymphony.workflow.policy import AgentPolicy, TrackerPolicy
from tests.scheduler.playbook import Playbook, policy, ticket


def test_a_closed_ticket_stops_its_run_and_its_workspace_goes() -> None:
    """The stop is confirmed before anything is cleaned up."""
    book = Playbook()
    book.ticket("A-1")
    awaited = book.until(c.AwaitTurn)
    book.ticket("A-1", "Done")
    stop = book.pending(c.StopRun)
    assert stop.target_key == awaited.key
    assert stop.conversation_id is not None
    assert "CleanWorkspace" not in book.kinds()
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.workspace, entry.run) == ("closed", None, None)


def test_a_late_outcome_of_a_stopped_run_changes_nothing() -> None:
    """The turn's end may be reported while or after the stop: neither revives the run."""
    book = Playbook()
    book.ticket("A-1")
    awaited = book.until(c.AwaitTurn)
    book.ticket("A-1", "Backlog")
    book.settle_all()
    assert book.entry("A-1").phase == "closed"
    from opensymphony.model import TurnEnd

    late = e.TurnEnded(at_ms=book.now_ms, key=awaited.key, end=TurnEnd(status="finished"))
    assert book.send(late) == ()


def test_a_reopened_ticket_starts_its_next_generation() -> None:
    """Moved back to an active state by a person, a closed ticket is worked on again."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    book.ticket("A-1", "Done")
    book.settle_all()
    book.ticket("A-1", "Todo")
    assert book.pending(c.RereadTicket).generation == 2


def test_our_own_transition_does_not_wake_the_ticket() -> None:
    """What a poll shows after our own write is no news."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    book.ticket("A-1", "In Review")
    assert book.kinds() == []
    assert book.entry("A-1").phase == "in_review"


def test_a_ticket_that_waits_for_a_person_is_not_started_again_by_polls() -> None:
    """Only a change of the ticket wakes it, however often it is seen."""
    book = Playbook(policy(agent=AgentPolicy(max_turns=1)))
    book.ticket("A-1")
    book.until(c.VerifyWork)
    book.answer(c.VerifyWork, passed=False)
    book.settle_all()
    for _ in range(3):
        book.ticket("A-1", "In Progress")
        book.passes(3_600_000)
        assert book.kinds() == []
    book.ticket("A-1", "In Progress", description="Now with an answer")
    assert book.kinds() == ["RereadTicket"]


def test_a_vanished_ticket_is_stopped_and_its_workspace_kept() -> None:
    """Absence is not closure: work is never removed because a ticket cannot be seen."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.send(e.TicketVanished(at_ms=book.now_ms, ticket_id=book.entry("A-1").ticket.id))
    book.settle_all()
    entry = book.entry("A-1")
    assert entry.phase == "closed"
    assert entry.workspace is not None


def test_silence_of_an_agent_is_a_stall_and_is_stopped() -> None:
    """The stop is confirmed, the failure counted, and the backoff kept."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.passes(299_000)
    assert "StopRun" not in book.kinds()
    book.passes(2_000)
    assert "StopRun" in book.kinds()
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.outcome, entry.failures) == ("retrying", "stalled", 1)
    assert entry.due_ms is not None
    book.passes(1_000)
    assert book.kinds() == [], "no start before the backoff has passed"


def test_a_sign_of_life_moves_the_stall_away() -> None:
    """Liveness is measured from what was last heard."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.passes(200_000)
    progress = TurnProgress(status="running", usage=Usage(prompt_tokens=7), summary="reads")
    entry = book.entry("A-1")
    book.send(e.TurnProgressed(at_ms=book.now_ms, ticket_id=entry.ticket.id, generation=1, progress=progress))
    book.passes(200_000)
    assert "StopRun" not in book.kinds()
    assert entry.run is not None
    assert entry.run.usage.prompt_tokens == 7


def test_progress_of_an_older_generation_changes_nothing() -> None:
    """A late report of a run that is over is not the new run's sign of life."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    progress = TurnProgress(status="running")
    ticket_id = book.entry("A-1").ticket.id
    assert book.send(e.TurnProgressed(at_ms=book.now_ms, ticket_id=ticket_id, generation=0, progress=progress)) == ()


def test_shutdown_interrupts_and_the_next_start_goes_on() -> None:
    """Draining starts nothing, counts nothing as a failure, and keeps the ticket."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.send(e.ShutdownRequested(at_ms=book.now_ms))
    book.ticket("B-1")
    book.settle_all()
    assert book.state.running == {}
    assert book.entry("A-1").failures == 0
    book.send(e.DaemonStarted(at_ms=book.now_ms, instance="one", version="test"))
    assert sorted(command.ticket_id for command in book.state.pending.values()) == ["A-1", "B-1"]


def test_an_operator_stops_and_retries() -> None:
    """A stopped ticket waits for a person; `retry` starts it at once."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    ticket_id = book.entry("A-1").ticket.id
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="r1", ticket_id=ticket_id, action="stop"))
    book.settle_all()
    assert book.entry("A-1").phase == "needs_person"
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="r2", ticket_id=ticket_id, action="retry"))
    assert book.kinds() == ["RereadTicket"]


def test_trouble_of_the_tracker_is_noted_once_and_stops_nothing() -> None:
    """Agents keep working while the tracker cannot be read."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    assert book.send(e.PollFailed(at_ms=book.now_ms, error="no route")) != ()
    assert book.send(e.PollFailed(at_ms=book.now_ms + 1, error="no route")) == ()
    assert book.state.poll_error_since_ms == book.now_ms
    assert "AwaitTurn" in book.kinds()
    book.send(e.PollCompleted(at_ms=book.now_ms + 2))
    assert book.state.poll_error is None


def test_a_claim_is_renewed_while_the_run_lasts() -> None:
    """One heartbeat every five minutes, none after the end."""
    book = Playbook(policy(agent=AgentPolicy(stall_timeout_ms=0)))
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    before = book.entry("A-1").claim
    book.passes(300_001)
    book.answer(c.ClaimTicket)
    after = book.entry("A-1").claim
    assert before is not None and after is not None
    assert after.heartbeat_ms > before.heartbeat_ms
    book.settle_all()
    book.passes(300_001)
    assert book.kinds() == []


def test_an_event_that_nobody_knows_is_an_error() -> None:
    """A programmer's mistake is named, not swallowed."""
    book = Playbook()
    with pytest.raises(IllegalEvent, match="Happened"):
        decide(book.state, e.Happened(at_ms=1))  # type: ignore[arg-type]


def test_a_policy_that_did_not_change_is_no_decision() -> None:
    """Reading the same file twice writes nothing to the journal."""
    book = Playbook()
    same = msgspec.structs.replace(policy())
    assert book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=same)) == ()
    assert book.send(e.PolicyRejected(at_ms=book.now_ms, error="line 3")) != ()
    assert book.state.policy_error == "line 3"
    assert book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=same)) != (), "mended by putting the old text back"
    assert book.state.policy_error is None


def test_a_terminal_ticket_that_we_never_saw_is_not_tracked() -> None:
    """Closed work of the past costs nothing."""
    book = Playbook()
    book.send(e.TicketChanged(at_ms=book.now_ms, ticket=ticket("Z-1", "Done")))
    assert book.state.entries == {}


def test_an_answer_that_comes_while_the_run_ends_wakes_the_ticket() -> None:
    """The ticket is put down as it was when the ending was decided; what a person did since then is news."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.ReleaseClaim)
    book.ticket("A-1", "Todo", description="Once more, please")
    book.answer(c.ReleaseClaim)
    assert book.pending(c.RereadTicket).generation == 2


def test_a_ticket_reopened_while_it_is_stopped_keeps_its_workspace_and_goes_on() -> None:
    """Closed, then open again before the stop was confirmed."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.ticket("A-1", "Done")
    book.ticket("A-1", "Todo")
    book.answer(c.StopRun)
    assert "CleanWorkspace" not in book.kinds()
    book.until(c.RereadTicket)
    assert book.pending(c.RereadTicket).generation == 2


def test_an_old_reading_is_no_news() -> None:
    """A page that was read before we moved the ticket neither moves it back nor wakes it."""
    book = Playbook()
    book.ticket("A-1")
    began_ms = book.now_ms
    book.settle_all()
    old = e.TicketChanged(at_ms=book.now_ms, ticket=ticket("A-1", "Todo"), read_ms=began_ms)
    assert book.send(old) == ()
    assert book.entry("A-1").phase == "in_review"


def test_a_ticket_that_vanished_and_came_back_is_worked_on() -> None:
    """Unchanged or not: it was away, and somebody brought it back."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    ticket_id = book.entry("A-1").ticket.id
    book.send(e.TicketVanished(at_ms=book.now_ms, ticket_id=ticket_id))
    book.settle_all()
    assert book.send(e.TicketVanished(at_ms=book.now_ms, ticket_id=ticket_id)) == ()
    book.ticket("A-1", "In Progress")
    assert book.pending(c.RereadTicket).generation == 2


def test_a_forgotten_ticket_never_gets_an_old_number_again() -> None:
    """Keys and conversation ids are made of it."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.ClaimTicket)
    book.fail(c.ClaimTicket)
    ticket_id = book.entry("A-1").ticket.id
    book.send(e.TicketVanished(at_ms=book.now_ms, ticket_id=ticket_id))
    assert ticket_id not in book.state.entries
    book.ticket("A-1")
    assert book.pending(c.RereadTicket).generation == 2


def test_moving_a_resting_ticket_away_and_back_wakes_it() -> None:
    """Both moves are a person's."""
    book = Playbook(policy(agent=AgentPolicy(max_turns=1)))
    book.ticket("A-1")
    book.until(c.VerifyWork)
    book.answer(c.VerifyWork, passed=False)
    book.settle_all()
    book.ticket("A-1", "Backlog")
    assert book.kinds() == []
    book.ticket("A-1", "In Progress")
    assert book.kinds() == ["RereadTicket"]


def test_a_claim_that_is_lost_is_not_written_over() -> None:
    """No comment, no release: the ticket is another's; we look again later."""
    from opensymphony.model import Claim, ClaimAnswer

    book = Playbook(policy(agent=AgentPolicy(stall_timeout_ms=0)))
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.passes(300_001)
    holder = Claim(instance="two", generation=1, heartbeat_ms=book.now_ms)
    book.answer(c.ClaimTicket, answer=ClaimAnswer(granted=False, holder=holder))
    book.answer(c.StopRun)
    assert book.kinds("A-1") == ["RereadTicket"]


def test_a_stop_during_the_claim_takes_the_claim_off() -> None:
    """It may stand on the ticket although its answer never reached us."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.ClaimTicket)
    book.ticket("A-1", "Done")
    book.answer(c.StopRun)
    assert book.kinds() == ["ReleaseClaim"]


def test_no_heartbeat_follows_the_release() -> None:
    """A claim that was taken off is not written again."""
    book = Playbook(policy(agent=AgentPolicy(stall_timeout_ms=0)))
    book.ticket("A-1")
    book.until(c.ReleaseClaim)
    book.passes(300_001)
    assert book.kinds() == ["ReleaseClaim"]


def test_an_open_tool_call_that_closes_brings_the_stall_forward() -> None:
    """Silence after it is measured by the shorter limit at once."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    ticket_id = book.entry("A-1").ticket.id
    for tool_open in (True, False):
        progress = TurnProgress(status="running", tool_open=tool_open)
        book.send(e.TurnProgressed(at_ms=book.now_ms, ticket_id=ticket_id, generation=1, progress=progress))
        if tool_open:
            book.passes(299_999)
            book.passes(299_999)
    book.passes(300_001)
    assert "StopRun" in book.kinds()


def test_an_edit_of_the_policy_stops_what_is_no_longer_ours() -> None:
    """A label that is required from now on is missing: the run is stopped as if it had been taken off."""
    from opensymphony.workflow.policy import TrackerPolicy

    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    stricter = policy(tracker=TrackerPolicy(kind="files", required_labels=("agent",)))
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=stricter))
    assert "StopRun" in book.kinds()


def test_an_operator_stops_a_ticket_that_waits() -> None:
    """It does not start again until a person says so."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.fail(c.AwaitTurn)
    book.settle_all()
    ticket_id = book.entry("A-1").ticket.id
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="r", ticket_id=ticket_id, action="stop"))
    book.passes(10**7)
    assert book.kinds() == []
    assert book.entry("A-1").phase == "needs_person"


def test_an_agent_server_that_was_given_up_is_no_tickets_fault() -> None:
    """Nothing more starts, nothing is parked, and the next boot goes on."""
    book = Playbook(policy(agent=AgentPolicy(max_concurrent_agents=1)))
    book.ticket("A-1")
    book.ticket("A-2")
    book.until(c.OpenConversation)
    book.fail(c.OpenConversation, "server")
    book.settle_all()
    assert {entry.phase for entry in book.state.entries.values()} == {"waiting_to_start"}
    assert book.entry("A-1").failures == 0
    book.send(e.DaemonStarted(at_ms=book.now_ms, instance="one", version="x"))
    assert book.kinds() == ["RereadTicket"]


def test_a_claim_that_the_ticket_no_longer_shows_is_looked_into_at_once() -> None:
    """Another's on it, or ours gone: the renewal is the question, and its answer stops the run or goes on. Once each."""
    book = Playbook(policy(agent=AgentPolicy(stall_timeout_ms=0)))
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    ours, theirs = book.entry("A-1").claim, Claim(instance="two", generation=1, heartbeat_ms=1)
    assert ours is not None
    for shown, asked in ((ours, False), (None, True), (None, False), (ours, False), (theirs, True)):
        book.ticket("A-1", "In Progress", claim=shown)
        assert ("ClaimTicket" in book.kinds()) == asked
        if asked and shown is None:
            book.answer(c.ClaimTicket)
    book.answer(c.ClaimTicket, answer=ClaimAnswer(granted=False, holder=theirs))
    entry = book.entry("A-1")
    assert entry.run is not None
    assert entry.claim is None
    assert "two claimed it" in str(entry.run.stopping)


def test_a_ticket_that_another_daemon_lets_go_starts_at_once() -> None:
    """Its claim is gone from the ticket; a heartbeat of it is none of our business."""
    book = Playbook()
    theirs = Claim(instance="two", generation=1, heartbeat_ms=1)
    book.ticket("A-1", claim=theirs)
    book.until(c.ClaimTicket)
    book.answer(c.ClaimTicket, answer=ClaimAnswer(granted=False, holder=theirs))
    book.ticket("A-1", claim=Claim(instance="two", generation=1, heartbeat_ms=2))
    assert book.kinds() == []
    book.ticket("A-1", claim=None)
    assert book.kinds() == ["RereadTicket"]


def test_a_policy_that_makes_a_ticket_ours_again_wakes_it() -> None:
    """A ticket that was put away for want of a label is worked on when the label is not asked for any more."""
    book = Playbook()
    book.ticket("A-1")
    strict = policy(tracker=TrackerPolicy(kind="files", required_labels=("agent",)))
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=strict))
    book.settle_all()
    assert book.entry("A-1").phase == "closed"
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=policy()))
    assert book.entry("A-1").phase == "running"
