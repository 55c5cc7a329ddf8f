"""A pull request is merged by itself only as it was checked, approved and passed; whatever is not certain keeps it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from opensymphony.model import CommitCheck, PullRequestReading, Review, ReviewThread
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.merging import is_merge_news
from opensymphony.workflow.policy import MergePolicy
from tests.scheduler.playbook import GOOD_WORK, Playbook
from tests.scheduler.test_requests import ask
from tests.scheduler.test_reviews import A_1, OURS, PULL, does, in_review, said

HEAD = GOOD_WORK.commit or ""
AT_HEAD = replace(PULL, head=HEAD[:12])
APPROVED = Review(author="{ada}", verdict="approved", commit=HEAD[:12])
PASSED = CommitCheck(key="p1", name="build", state="passed")


def merging(**fields: Any) -> Any:
    return msgspec.structs.replace(OURS, merge=MergePolicy(**{"when": "approved", **fields}))


def reading(**fields: Any) -> PullRequestReading:
    return PullRequestReading(**{"pull_request": AT_HEAD, "reviews": (APPROVED,), "checks": (PASSED,), **fields})


def look(book: Playbook, **fields: Any) -> tuple[Any, ...]:
    """What the poller does with a reading: it is told only when it is news."""
    seen = reading(**fields)
    book.now_ms += 1
    return book.send(e.PullRequestObserved(at_ms=book.now_ms, ticket_id=A_1, reading=seen))


def unmerged(book: Playbook) -> str:
    pull = book.entry("A-1").pull
    assert pull is not None
    return pull.unmerged


def merges(book: Playbook) -> list[c.MergePullRequest]:
    return [one for one in book.state.pending.values() if isinstance(one, c.MergePullRequest)]


def test_what_is_approved_and_has_passed_is_merged_and_its_ticket_moves_on() -> None:
    """At the commit that was checked, once; then as if a person had merged it."""
    book = in_review(merging(method="squash"))
    look(book)
    look(book)
    (command,) = merges(book)
    assert (command.pull_request_id, command.head, command.method) == ("7", HEAD[:12], "squash")
    book.answer(c.MergePullRequest, pull_request=replace(AT_HEAD, state="merged"))
    moved = book.until(c.TransitionTicket)
    assert isinstance(moved, c.TransitionTicket) and moved.to_state == "Done"
    book.settle_all()
    assert not merges(book)


def test_without_the_policy_nothing_is_merged_and_nothing_is_said() -> None:
    """Whoever wants it asks for it."""
    book = in_review()
    look(book)
    assert not merges(book) and unmerged(book) == ""
    assert not is_merge_news(book.state, book.entry("A-1"), reading())


KEPT_BACK: dict[str, tuple[dict[str, Any], str]] = {
    "no approval": ({"reviews": ()}, "0 of 1 approval"),
    "of an earlier commit": ({"reviews": (replace(APPROVED, commit="f" * 12),)}, "0 of 1 approval"),
    "of nobody knows which": ({"reviews": (replace(APPROVED, commit=""),)}, "0 of 1 approval"),
    "too short a name": ({"reviews": (replace(APPROVED, commit=HEAD[:3]),)}, "0 of 1 approval"),
    "by a stranger": ({"reviews": (replace(APPROVED, author="{eve}"),)}, "0 of 1 approval"),
    "by ourselves": ({"reviews": (replace(APPROVED, is_ours=True),)}, "0 of 1 approval"),
    "somebody objects": (
        {"reviews": (APPROVED, Review(author="{eve}", verdict="changes_requested"))},
        "somebody asks for changes",
    ),
    "a check has failed": ({"checks": (PASSED, CommitCheck(key="l", name="lint", state="failed"))}, "check"),
    "a check is running": ({"checks": (PASSED, CommitCheck(key="l", name="lint", state="pending"))}, "still running"),
    "no check": ({"checks": ()}, "no check has passed yet"),
    "a policy of earlier": ({"pull_request": replace(AT_HEAD, base="dev")}, "not into main"),
    "conflicts": ({"conflicts": ("a.py",)}, "not worked on yet"),
    "a draft": ({"pull_request": replace(AT_HEAD, is_draft=True)}, "it is a draft"),
    "somebody else's commits": ({"pull_request": replace(AT_HEAD, head="e" * 12)}, "not at the commit"),
    "no head": ({"pull_request": replace(AT_HEAD, head="")}, "not at the commit"),
}


@pytest.mark.parametrize(("fields", "reason"), KEPT_BACK.values(), ids=list(KEPT_BACK))
def test_what_is_not_certain_keeps_it_from_being_merged(fields: dict[str, Any], reason: str) -> None:
    """The picture says what; of what the agent gets as news it says no more once that waits to be worked on."""
    book = in_review(merging())
    look(book, **fields)
    assert not merges(book)
    if "conflicts" in fields or any(check.state == "failed" for check in fields.get("checks", ())):
        assert any(one.from_review for one in book.entry("A-1").messages)
    else:
        assert reason in unmerged(book)


def test_another_base_is_another_matter() -> None:
    """Somebody has pointed it elsewhere; whoever approves does not say where to."""
    book = in_review(merging())
    seen = reading(pull_request=replace(AT_HEAD, base="release"))
    assert is_merge_news(book.state, book.entry("A-1"), seen)
    for _ in range(3):
        look(book, pull_request=replace(AT_HEAD, base="release"))
        assert not merges(book) and "into release, and not into main" in unmerged(book)


@pytest.mark.parametrize(
    "changed", [{"state": "Backlog"}, {"assignee": "somebody"}, {"labels": ()}, {"dispatchable": False}]
)
def test_a_ticket_that_was_taken_away_is_not_merged(changed: dict[str, Any]) -> None:
    """Whatever was approved before: it is another's now, or put off."""
    tracker = replace(OURS.tracker, required_labels=("agent",), assignee="agent")
    book = in_review(replace(merging(), tracker=tracker), labels=("agent",), assignee="agent")
    entry = book.entry("A-1")
    book.send(e.TicketChanged(at_ms=book.now_ms, ticket=replace(entry.ticket, **changed), read_ms=book.now_ms))
    look(book)
    assert not merges(book) and "taken away" in unmerged(book)


def test_tickets_that_share_a_pull_request_are_all_asked() -> None:
    """Under the run of one of them nothing is merged for the other."""
    book = in_review(merging())
    book.ticket("A-2")
    book.settle_all()
    pull = book.entry("A-2").pull
    assert pull is not None and pull.pull_request.id == PULL.id
    ask(book, "pause", "A-2")
    look(book)
    assert not merges(book) and unmerged(book) == "A-2 has it too: it is paused"
    ask(book, "resume", "A-2")
    look(book)
    assert merges(book)


def test_what_was_refused_is_asked_again_under_another_policy_or_at_another_start() -> None:
    """It may have been a token."""
    book = in_review(merging())
    look(book)
    book.fail(c.MergePullRequest, "person")
    assert not is_merge_news(book.state, book.entry("A-1"), reading())
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=merging(method="squash")))
    assert is_merge_news(book.state, book.entry("A-1"), reading())
    look(book)
    book.fail(c.MergePullRequest, "person")
    book.send(e.DaemonStarted(at_ms=book.now_ms, instance="me", version="1"))
    assert is_merge_news(book.state, book.entry("A-1"), reading())


def test_nothing_is_said_of_it_while_it_is_being_merged() -> None:
    """It goes on; its outcome is told."""
    book = in_review(merging())
    look(book)
    ask(book, "pause")
    look(book)
    assert merges(book) and unmerged(book) == ""


def test_as_many_must_have_approved_as_the_policy_says() -> None:
    """Different people, in whatever case their ids are written."""
    book = in_review(merging(approvals=2, approvers=("{ADA}", "{bob}")))
    look(book, reviews=(APPROVED, APPROVED))
    assert "1 of 2 approvals" in unmerged(book) and not merges(book)
    look(book, reviews=(APPROVED, replace(APPROVED, author="{bob}")))
    assert merges(book)


def test_named_checks_must_be_there() -> None:
    """By name; a repository without any can do without."""
    book = in_review(merging(required_checks=("build", "lint")))
    look(book)
    assert "the check lint has not been seen" in unmerged(book) and not merges(book)
    look(book, checks=(PASSED, CommitCheck(key="l", name="lint", state="passed")))
    assert merges(book)
    free = in_review(merging(without_checks=True))
    look(free, checks=())
    assert merges(free)


def test_what_is_being_worked_on_is_not_merged() -> None:
    """A thread without an answer, a run at work; afterwards it is the new commit that counts."""
    book = in_review(merging())
    look(book, threads=(said(1),))
    assert not merges(book) and book.entry("A-1").messages
    book.passes(OURS.review.quiet_ms)
    look(book)
    assert not merges(book) and "not worked on yet" in unmerged(book)
    book.until(c.SendMessage)
    look(book)
    assert not merges(book) and "not in review" in unmerged(book)
    does(book, "Thread 1: done: renamed")
    book.settle_all()
    look(book)
    assert not merges(book) and "not at the commit" in unmerged(book)
    new = "d" * 40
    look(book, pull_request=replace(PULL, head=new[:12]), reviews=(replace(APPROVED, commit=new[:12]),))
    assert merges(book)


def test_a_refusal_is_said_and_tried_again_when_something_is_different() -> None:
    """The host's own conditions; the same question is not asked twice."""
    book = in_review(merging())
    look(book)
    book.fail(c.MergePullRequest, "person")
    assert "the code host refuses it: it broke" in unmerged(book)
    assert not is_merge_news(book.state, book.entry("A-1"), reading())
    look(book)
    assert not merges(book)
    look(book, reviews=(APPROVED, replace(APPROVED, author="{bob}")))
    assert merges(book)


def test_trouble_is_over_at_the_next_look() -> None:
    """Nothing is given up because a host was away."""
    book = in_review(merging())
    look(book)
    book.fail(c.MergePullRequest, "retry")
    assert "could not be asked" in unmerged(book)
    assert is_merge_news(book.state, book.entry("A-1"), reading())
    look(book)
    assert merges(book)


def test_what_a_reading_saw_first_is_not_told_twice() -> None:
    """It is merged there, and the answer comes later: the ticket moves once."""
    book = in_review(merging())
    look(book)
    done = replace(AT_HEAD, state="merged")
    look(book, pull_request=done)
    book.answer(c.MergePullRequest, pull_request=done)
    moves = [one for one in book.state.pending.values() if isinstance(one, c.TransitionTicket)]
    assert len(moves) == 1


def test_a_pause_holds_the_merge() -> None:
    """Of the ticket, or of everything."""
    book = in_review(merging())
    ask(book, "pause")
    look(book)
    assert not merges(book) and unmerged(book) == "it is paused"
    ask(book, "resume")
    ask(book, "pause", None)
    look(book)
    assert not merges(book) and unmerged(book) == "it is paused"
    ask(book, "resume", None)
    look(book)
    assert merges(book)


def _threads() -> tuple[ReviewThread, ...]:
    return (said(3, "Nice.", "{eve}"),)


@pytest.mark.parametrize("threads", [tuple, _threads])
def test_words_of_strangers_change_nothing(threads: Callable[[], tuple[ReviewThread, ...]]) -> None:
    """They are context, for the merge too."""
    book = in_review(merging())
    look(book, threads=threads())
    assert merges(book)
