"""People close, merge and decline whenever they like, and say more than anybody can read: a review copes with that."""

from __future__ import annotations

import msgspec
import pytest

from opensymphony.model import CommitCheck, PullRequestReading, ReviewComment, ReviewThread, TurnEnd
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.decide import decide
from opensymphony.scheduler.messages import THREADS_MAX
from opensymphony.scheduler.reviews import has_news
from opensymphony.workflow.policy import ReportingPolicy, TransitionsPolicy
from tests.scheduler.playbook import Playbook
from tests.scheduler.test_reviews import A_1, OURS, PULL, QUIET_MS, SECOND, does, in_review, message, observe, said

MERGED = msgspec.structs.replace(PULL, state="merged")
DECLINED = msgspec.structs.replace(PULL, state="declined")


def test_the_end_of_a_pull_request_moves_no_closed_ticket() -> None:
    """A look that was under way when somebody closed the ticket neither reopens nor moves it."""
    for end in (MERGED, DECLINED):
        book = in_review()
        book.ticket("A-1", state="Done")
        book.settle_all()
        observe(book, end)
        assert book.entry("A-1").phase == "closed" and not book.kinds()


def test_what_was_said_on_a_closed_ticket_waits_for_nobody() -> None:
    """Nothing is kept for an agent that will not come."""
    book = in_review()
    book.ticket("A-1", state="Done")
    book.settle_all()
    observe(book, threads=(said(1),))
    assert not book.entry("A-1").messages


def test_a_remark_just_before_the_merge_begins_no_round() -> None:
    """Also where the policy names no state for what was merged, so that the ticket stays where it is."""
    transitions = TransitionsPolicy(started="In Progress", succeeded="In Review")
    book = in_review(msgspec.structs.replace(OURS, reporting=ReportingPolicy(transitions=transitions)))
    observe(book, threads=(said(1),))
    observe(book, MERGED)
    book.settle_all()
    book.passes(QUIET_MS)
    assert not any(isinstance(one, c.TransitionTicket) for one in book.state.pending.values())
    assert book.entry("A-1").phase == "in_review" and book.entry("A-1").generation == 1


def test_a_link_that_is_refused_is_not_asked_for_for_ever() -> None:
    """Each look would write it down and ask again."""
    book = Playbook(OURS)
    book.ticket("A-1")
    book.until(c.LinkPullRequest)
    book.fail(c.LinkPullRequest, "person")
    book.settle_all()
    assert not observe(book)


def test_moving_the_ticket_back_counts_as_a_person_s_word() -> None:
    """As `retry` does: else the next remark would stop it again at once."""
    book = in_review()
    for number in range(1, 3):
        observe(book, threads=(said(number),))
        book.passes(QUIET_MS)
        does(book, f"Thread {number}: done: it", msgspec.structs.replace(SECOND, commit=f"{number}" * 40))
        book.settle_all()
    observe(book, threads=(said(3),))
    book.passes(QUIET_MS)
    book.settle_all()
    assert book.entry("A-1").phase == "needs_person"
    book.ticket("A-1", state="In Progress")
    assert "Thread 3" in message(book)
    pull = book.entry("A-1").pull
    assert pull is not None and pull.rounds == 0


def test_an_answer_that_outlives_what_was_known_of_its_ticket_harms_nobody() -> None:
    """A ticket that was forgotten and came back has no pull request yet."""
    book = Playbook(OURS)
    book.ticket("A-1")
    book.until(c.LinkPullRequest)
    link = book.pending(c.LinkPullRequest)
    book.entry("A-1").pull = None
    decided = decide(book.state, e.PullRequestLinked(at_ms=book.now_ms, key=link.key))
    assert decided == (d.CommandSettled(key=link.key),)


def talk(*said_by: tuple[str, str]) -> ReviewThread:
    """One thread, by author and text."""
    comments = tuple(
        ReviewComment(id=str(number), author=author, author_name=author.strip("{}"), text=text)
        for number, (author, text) in enumerate(said_by)
    )
    return ReviewThread(id="0", comments=comments)


def test_long_talk_of_others_does_not_displace_an_instruction() -> None:
    """What is new stands at the end of a thread: old comments are left out, and every fence is closed."""
    book = in_review()
    observe(book, threads=(talk(*[("{eve}", "x" * 4_000)] * 20, ("{ada}", "Rename it.")),))
    [told] = book.entry("A-1").messages
    assert "Rename it." in told.text and told.text.endswith("Thread ID: not done: why")
    assert "earlier comments are left out" in told.text
    assert told.text.count("<untrusted-") == told.text.count("</untrusted-") > 0


def test_everything_that_a_long_review_says_is_told() -> None:
    """In one message as much as an agent can read, the rest in the next."""
    book = in_review()
    many = tuple(said(number, f"Mend {number}." + "y" * 3_000) for number in range(THREADS_MAX + 10))
    observe(book, threads=many)
    observe(book, threads=many)
    assert not observe(book, threads=many)
    first, second = book.entry("A-1").messages
    assert (len(first.threads), len(second.threads)) == (THREADS_MAX, 10)
    for number in range(THREADS_MAX):
        assert f"Mend {number}." in first.text
    assert len(first.text) < 80_000


def test_the_logs_of_very_many_checks_are_not_all_told() -> None:
    """How many more there are is."""
    book = in_review()
    observe(book, checks=tuple(CommitCheck(key=f"{n}", name=f"ci {n}", state="failed") for n in range(200)))
    [told] = book.entry("A-1").messages
    assert "180 more checks failed." in told.text and told.text.count("The check ci") == 20


def test_a_pull_request_with_very_many_comments_is_heard_once() -> None:
    """As many as a code host shows at once."""
    book = in_review()
    many = tuple(said(number, author="{bot}") for number in range(2_000))
    observe(book, threads=many)
    pull = book.entry("A-1").pull
    assert pull is not None
    assert not has_news(pull, PullRequestReading(pull_request=PULL, threads=many), OURS.review)


def test_a_review_that_nobody_works_on_does_not_pile_up() -> None:
    """What is too much waits at the code host, and a person's message still has room."""
    book = in_review()
    for number in range(60):
        observe(book, threads=(said(number),))
    assert len(book.entry("A-1").messages) == 20
    asked = e.OperatorAsked(at_ms=book.now_ms, request_id="r", ticket_id=A_1, action="message", text="And this.")
    book.send(asked)
    assert book.state.requests["r"][0]


def waiting(merged: str | None = None) -> Playbook:
    """Its review needs work, and it waits for a place."""
    transitions = TransitionsPolicy(started="In Progress", succeeded="In Review", merged=merged)
    book = in_review(msgspec.structs.replace(OURS, reporting=ReportingPolicy(transitions=transitions)))
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="p", ticket_id=A_1, action="pause"))
    observe(book, threads=(said(1),))
    book.passes(QUIET_MS)
    book.settle_all()
    assert book.entry("A-1").phase == "waiting_to_start"
    return book


def test_merged_while_its_review_waits_for_a_place_begins_no_run() -> None:
    """Nobody wants the remark any more; where no state is named for what was merged, a person says so."""
    book = waiting()
    observe(book, MERGED)
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="r", ticket_id=A_1, action="resume"))
    book.settle_all()
    entry = book.entry("A-1")
    assert entry.phase == "needs_person" and "merged" in entry.reason and entry.generation == 1
    assert entry.reason in entry.comment
    book = waiting(merged="Done")
    observe(book, MERGED)
    book.settle_all()
    assert book.entry("A-1").phase == "closed"


def test_declined_by_somebody_who_has_said_what_to_do_instead_asks_nobody() -> None:
    """The order of the two is an accident."""
    book = waiting()
    book.send(
        e.OperatorAsked(at_ms=book.now_ms, request_id="m", ticket_id=A_1, action="message", text="Begin anew, smaller.")
    )
    observe(book, DECLINED)
    assert book.entry("A-1").phase == "waiting_to_start" and not book.kinds()
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="r", ticket_id=A_1, action="resume"))
    assert "Begin anew, smaller." in message(book)


def test_merged_while_a_run_is_at_work_counts_however_it_ends() -> None:
    """Nobody looks at it again, so a ticket that then waits for a person would wait for ever."""
    book = in_review()
    observe(book, threads=(said(1),))
    book.passes(QUIET_MS)
    book.until(c.AwaitTurn)
    observe(book, MERGED)
    book.answer(c.AwaitTurn, end=TurnEnd(status="paused", final_text=""))
    book.settle_all()
    assert book.entry("A-1").phase == "closed" and book.entry("A-1").ticket.state == "Done"


@pytest.mark.parametrize("error_class", ["retry", "server"])
@pytest.mark.parametrize("merged", ["Done", None])
def test_merged_while_a_run_is_at_work_is_not_tried_again(error_class: str, merged: str | None) -> None:
    """Another try would open a second pull request for what is merged."""
    moves = msgspec.structs.replace(OURS.reporting.transitions, merged=merged)
    book = in_review(msgspec.structs.replace(OURS, reporting=ReportingPolicy(transitions=moves)))
    observe(book, threads=(said(1),))
    book.passes(QUIET_MS)
    book.until(c.AwaitTurn)
    observe(book, MERGED)
    book.fail(c.AwaitTurn, error_class)
    book.settle_all()
    book.passes(86_400_000)
    book.settle_all()
    entry = book.entry("A-1")
    assert entry.phase == ("closed" if merged else "needs_person") and entry.generation == 2
    if not merged:
        assert "merged while a run was at work" in entry.reason and entry.reason in entry.comment


def test_what_was_merged_long_ago_moves_no_ticket_that_asks_again() -> None:
    """A person has opened it again for more; the old pull request has been settled."""
    transitions = TransitionsPolicy(started="In Progress", succeeded="In Review", needs_attention="Blocked")
    book = in_review(msgspec.structs.replace(OURS, reporting=ReportingPolicy(transitions=transitions)))
    observe(book, MERGED)
    book.settle_all()
    moves = msgspec.structs.replace(transitions, merged="Done")
    later = msgspec.structs.replace(OURS, reporting=ReportingPolicy(transitions=moves))
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=later))
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="m", ticket_id=A_1, action="message", text="One more."))
    book.until(c.AwaitTurn)
    book.answer(c.AwaitTurn, end=TurnEnd(status="paused", final_text=""))
    book.settle_all()
    assert book.entry("A-1").phase == "needs_person" and book.entry("A-1").ticket.state == "Blocked"


def test_a_ticket_that_cannot_be_moved_back_for_its_review_asks_a_person() -> None:
    """Else its reviewers would wait, and nobody would know for what."""
    book = in_review()
    observe(book, threads=(said(1),))
    book.passes(QUIET_MS)
    assert book.pending(c.TransitionTicket).to_state == "In Progress"
    book.fail(c.TransitionTicket, "person")
    entry = book.entry("A-1")
    assert entry.phase == "needs_person" and "could not be moved to In Progress" in entry.reason
    assert entry.reason in entry.comment


def test_without_a_code_host_an_old_pull_request_is_no_reason_to_ask() -> None:
    """It was declined, and then the policy gave up pull requests."""
    book = in_review()
    observe(book, DECLINED)
    book.settle_all()
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=msgspec.structs.replace(OURS, code_host=None)))
    book.send(e.OperatorAsked(at_ms=book.now_ms, request_id="m", ticket_id=A_1, action="message", text="Anew."))
    does(book, "Done.")
    book.settle_all()
    assert book.entry("A-1").phase == "in_review"


def test_the_outcome_of_an_old_answer_says_nothing_of_a_new_one() -> None:
    """Both are about one thread, and the old one was slow: the new one is said again after it has failed."""
    book = in_review()
    observe(book, threads=(said(1),))
    book.passes(QUIET_MS)
    does(book, "Thread 1: done: it")
    book.until(c.PublishPullRequest)
    reply = ReviewComment(id="2", author="{ada}", author_name="Ada", text="Not quite.")
    observe(book, threads=(msgspec.structs.replace(said(1), comments=(*said(1).comments, reply)),))
    book.answer(c.PublishPullRequest, pull_request=PULL)
    old = book.pending(c.AnswerThread)
    book.answer(c.SendMessage)
    third = msgspec.structs.replace(SECOND, commit="e" * 40)
    book.answer(c.AwaitTurn, end=TurnEnd(status="finished", final_text="Thread 1: done: quite"))
    book.answer(c.CollectWork, work=third)
    book.answer(c.PushCommit)
    book.answer(c.PublishPullRequest, pull_request=PULL)
    book.send(e.ThreadAnswered(at_ms=book.now_ms, key=old.key))
    pull = book.entry("A-1").pull
    assert pull is not None and [answer.marker for answer in pull.answers] != [old.marker]
    book.fail(c.AnswerThread)
    book.settle_all()
    observe(book, threads=(said(1),))
    assert "quite" in book.pending(c.AnswerThread).body
