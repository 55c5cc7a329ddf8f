"""The status comment is edited on changes, not too often, and what waits is never lost."""

from __future__ import annotations

import msgspec

from opensymphony.model import Claim, TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.workflow.policy import ReportingPolicy
from tests.scheduler.playbook import Playbook, policy

A_MINUTE = msgspec.structs.replace(policy().reporting, comment_interval_ms=60_000)


def comments(book: Playbook) -> list[c.WriteComment]:
    return [one for one in book.state.pending.values() if isinstance(one, c.WriteComment)]


def ended(chosen: ReportingPolicy = A_MINUTE) -> Playbook:
    """A run of a few milliseconds: its end is to be told right after its beginning."""
    book = Playbook(policy(reporting=chosen))
    book.ticket("A-1")
    book.settle_all()
    return book


def test_an_end_soon_after_the_beginning_waits_and_holds_nothing_up() -> None:
    """The run ends and lets the ticket go; the comment follows when the pause is over, and says how it ended."""
    book = ended()
    entry = book.entry("A-1")
    assert entry.phase == "in_review" and entry.claim is None and not comments(book)
    assert "Ready for review" in entry.comment
    book.passes(entry.comment_due_ms - book.now_ms - 1)
    assert not comments(book)
    book.passes(1)
    assert "Ready for review" in book.pending(c.WriteComment).body
    assert book.now_ms - A_MINUTE.comment_interval_ms < entry.comment_ms <= book.now_ms and not entry.comment_due_ms
    book.settle_all()
    book.passes(3_600_000)
    assert not comments(book), "said once"


def test_without_an_interval_everything_is_said_at_once() -> None:
    """0, as for trackers that mail nobody."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.answer(c.AwaitTurn)
    assert "Ready for review" in str(book.until(c.WriteComment))


def test_the_newest_takes_the_place_of_what_waits() -> None:
    """A run that begins while the end of the last one waits to be told is told instead, at the same moment."""
    book = ended()
    due_ms = book.entry("A-1").comment_due_ms
    asked = e.OperatorAsked(
        at_ms=book.now_ms, request_id="r", ticket_id=TicketId("A-1"), action="message", text="More."
    )
    book.send(asked)
    book.until(c.AwaitTurn)
    entry = book.entry("A-1")
    assert "Working on it" in entry.comment and entry.comment_due_ms == due_ms and not comments(book)
    book.passes(due_ms - book.now_ms)
    assert "Working on it" in book.pending(c.WriteComment).body


def test_a_policy_that_wants_a_longer_pause_is_kept_by_what_waits_already() -> None:
    """The pause that counts is that of the moment at which it would be said."""
    book = ended()
    longer = msgspec.structs.replace(A_MINUTE, comment_interval_ms=300_000)
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=policy(reporting=longer)))
    entry = book.entry("A-1")
    written_ms = entry.comment_ms
    book.passes(299_000 - (book.now_ms - written_ms))
    assert not comments(book) and entry.comment_due_ms == written_ms + 300_000
    book.passes(1_000)
    assert "Ready for review" in book.pending(c.WriteComment).body


def test_a_daemon_that_ends_says_everything_at_once() -> None:
    """Nobody looks at a comment of the day before that says that somebody works on it."""
    book = ended()
    book.send(e.ShutdownRequested(at_ms=book.now_ms))
    assert "Ready for review" in book.pending(c.WriteComment).body


def test_a_run_that_is_stopped_by_the_end_of_the_daemon_is_told_at_once() -> None:
    """Its last stage does not wait for a pause that ends after the daemon."""
    book = Playbook(policy(reporting=A_MINUTE))
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    book.send(e.ShutdownRequested(at_ms=book.now_ms))
    book.answer(c.StopRun)
    assert "Interrupted, will go on" in str(book.until(c.WriteComment))


def test_what_waits_is_not_written_over_another_daemon_s() -> None:
    """It took the ticket meanwhile: what we would say is not about its run."""
    book = ended()
    entry = book.entry("A-1")
    theirs = Claim(instance="two", generation=1, heartbeat_ms=book.now_ms)
    book.ticket("A-1", "In Review", claim=theirs)
    book.passes(120_000)
    assert not comments(book) and not entry.comment_due_ms


def test_a_comment_that_could_not_be_written_is_tried_again() -> None:
    """Also when the run that it tells of is over."""
    book = ended()
    entry = book.entry("A-1")
    book.passes(60_000)
    book.fail(c.WriteComment)
    assert not comments(book) and entry.comment_due_ms == book.now_ms + 60_000
    book.passes(60_000)
    assert "Ready for review" in book.pending(c.WriteComment).body
    book.fail(c.WriteComment, "final")
    book.passes(3_600_000)
    assert not comments(book), "what can never be written is given up"


def test_a_comment_that_failed_keeps_the_pause_too() -> None:
    """It may have been written all the same, and what is said then may be something newer."""
    book = ended(msgspec.structs.replace(A_MINUTE, comment_interval_ms=300_000))
    entry = book.entry("A-1")
    book.passes(300_000)
    book.fail(c.WriteComment)
    assert entry.comment_due_ms == entry.comment_ms + 300_000


def test_a_failed_comment_does_not_take_the_place_of_a_newer_one() -> None:
    """The answer of the tracker may be long in coming."""
    book = ended()
    book.passes(60_000)
    book.send(e.ShutdownRequested(at_ms=book.now_ms))  # nothing waits: nothing is said twice
    assert len(comments(book)) == 1
    newer = d.CommentDeferred(ticket_id=TicketId("A-1"), body="newer", due_ms=book.now_ms + 5)
    book.state.entries[TicketId("A-1")].comment_due_ms = newer.due_ms
    book.state.entries[TicketId("A-1")].comment = newer.body
    book.fold_every = 1_000_000
    book.fail(c.WriteComment)
    assert book.entry("A-1").comment == "newer"


def test_two_timers_of_a_ticket_at_one_moment_are_both_heard() -> None:
    """Only one is taken at a time; the comment's is not lost by that."""
    book = Playbook(policy(reporting=A_MINUTE))
    book.ticket("A-1")
    book.until(c.CollectWork)
    book.fail(c.CollectWork)
    book.settle_all()
    entry = book.entry("A-1")
    assert entry.phase == "retrying" and entry.comment_due_ms and entry.due_ms
    book.passes(max(entry.comment_due_ms, entry.due_ms) - book.now_ms)
    assert entry.phase == "running" and comments(book)


def test_what_waits_is_not_said_once_comments_are_turned_off() -> None:
    """By a policy that came in force meanwhile."""
    book = ended()
    entry = book.entry("A-1")
    silent = policy(reporting=msgspec.structs.replace(A_MINUTE, comment=False))
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=silent))
    book.passes(entry.comment_due_ms - book.now_ms)
    assert not comments(book) and not entry.comment_due_ms
