"""What people say on a ticket is heard once, and obeyed where its author may instruct."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from opensymphony.model import TicketComment, TicketId, TurnEnd
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.comments import may_instruct, read_instruction, unheard
from opensymphony.scheduler.state import Entry
from opensymphony.workflow.policy import TrackerPolicy
from tests.scheduler.playbook import Playbook, policy, ticket
from tests.scheduler.test_asks import APPROVAL, DIGEST, QUESTION, sending, turn_ends

A_1 = TicketId("A-1")
OURS = TrackerPolicy(kind="files", instructions_from=("ada-1",))


def comment(number: int, text: str, author: str = "ada-1") -> TicketComment:
    return TicketComment(id=f"c{number}", number=number, author=author, author_name="Ada", text=text)


def say(book: Playbook, number: int, text: str, author: str = "ada-1") -> tuple[d.Decision, ...]:
    book.now_ms += 1
    return book.send(e.TicketCommented(at_ms=book.now_ms, ticket_id=A_1, comment=comment(number, text, author)))


def at_work(**fields: Any) -> Playbook:
    book = Playbook(policy(tracker=OURS))
    book.ticket("A-1", **fields)
    book.until(c.AwaitTurn)
    return book


def resting(asked: Any = None) -> Playbook:
    book = at_work()
    if asked is None:
        book.settle_all()
    else:
        status: Any = "paused" if asked.kind == "question" else "waiting_for_confirmation"
        turn_ends(book, TurnEnd(status=status, asked=asked))
        book.settle_all()
    return book


def answer_of(book: Playbook, number: int) -> tuple[bool, str]:
    return book.state.requests[f"comment/A-1/c{number}"][:2]


@pytest.mark.parametrize(
    ("text", "action", "rest", "digest"),
    [
        ("Use the old parser.", "message", "Use the old parser.", ""),
        ("/stop", "stop", "", ""),
        ("  /stop it is wrong\nreally ", "stop", "it is wrong\nreally", ""),
        ("/retry\n\nwith more care", "retry", "with more care", ""),
        ("/answer Blue.", "message", "Blue.", ""),
        ("/approve 3F2A9C81D04E", "approve", "", "3f2a9c81d04e"),
        ("/approve `3f2a9c81d04e` fine", "approve", "fine", "3f2a9c81d04e"),
        ("/reject too dangerous", "reject", "too dangerous", ""),
        ("/etc/passwd is readable", "message", "/etc/passwd is readable", ""),
        ("/Stop", "message", "/Stop", ""),
        ("/stopped", "message", "/stopped", ""),
        ("I would /stop here", "message", "I would /stop here", ""),
        ("> /approve 3f2a9c81d04e", "message", "> /approve 3f2a9c81d04e", ""),
        ("", "message", "", ""),
    ],
)
def test_only_a_verb_at_the_very_beginning_is_one(text: str, action: str, rest: str, digest: str) -> None:
    """A quotation, a path, or another spelling is a message like any other."""
    found = read_instruction(text)
    assert (found.action, found.text, found.digest) == (action, rest, digest)


def test_who_may_instruct_is_a_setting() -> None:
    """By the account's id without case; nobody by default; an account that the tracker hides never by its name."""
    assert not may_instruct("ada-1", TrackerPolicy(kind="files"))
    assert may_instruct("ADA-1", OURS)
    assert not may_instruct("", OURS)
    assert not may_instruct("eve", OURS)
    assert may_instruct("eve", TrackerPolicy(kind="files", instructions_from=("*",)))


def test_a_comment_reaches_the_agent_with_its_next_turn() -> None:
    """While it works, and once; said again by a later reading it is no news."""
    book = at_work()
    assert any(isinstance(one, d.MessageQueued) for one in say(book, 1, "Use the old parser."))
    assert say(book, 1, "Use the old parser.") == ()
    assert [message.author for message in book.entry("A-1").messages] == ["Ada"]
    book.answer(c.AwaitTurn)
    assert "A message from Ada:\n\nUse the old parser." in sending(book).text


def test_a_stranger_is_heard_and_not_obeyed() -> None:
    """Neither his words nor his verbs; and not later, when he may instruct."""
    book = at_work()
    for number, text in ((1, "/stop"), (2, "Do something else.")):
        assert [type(one) for one in say(book, number, text, "eve")] == [d.CommentHeard]
    everybody = msgspec.structs.replace(OURS, instructions_from=("*",))
    book.send(e.PolicyLoaded(at_ms=book.now_ms, policy=policy(tracker=everybody)))
    assert say(book, 1, "/stop", "eve") == ()
    assert book.entry("A-1").messages == ()


def test_what_was_there_before_us_is_context() -> None:
    """Also a verb of somebody who may instruct; and what comes to light when newer ones are deleted."""
    early = (comment(5, "/stop"), comment(6, "Please."))
    book = at_work(comments=early)
    entry = book.entry("A-1")
    assert list(unheard(entry, ticket("A-1", comments=(comment(4, "/retry"), *early)))) == []
    assert list(unheard(entry, ticket("A-1", comments=(*early, comment(7, "x"))))) == [comment(7, "x")]
    assert say(book, 4, "/stop") == ()
    assert "/stop" in str(book.entry("A-1").ticket.comments)


def test_before_a_ticket_is_ours_people_talk_among_themselves() -> None:
    """That is context; a verb counts all the same; what is said to a ticket that waits for its turn comes with its prompt."""
    book = Playbook(policy(tracker=OURS))
    book.ticket("A-1", "Backlog")
    assert [type(one) for one in say(book, 1, "Use the old parser.")] == [d.CommentHeard]
    say(book, 2, "/pause")
    assert book.entry("A-1").paused
    book.ticket("A-1")
    say(book, 3, "Use the new parser.")
    say(book, 4, "/resume")
    text = sending(book).text
    assert "Use the new parser." in text
    assert "old parser" not in text


def test_verbs_do_what_the_commands_do() -> None:
    """Who asked stands in the reason."""
    book = at_work()
    say(book, 1, "/stop it is wrong")
    book.settle_all()
    assert book.entry("A-1").phase == "needs_person"
    assert "an operator stopped it (Ada): it is wrong" in book.entry("A-1").reason
    say(book, 2, "/retry")
    book.until(c.AwaitTurn)
    assert answer_of(book, 2)[0]


def test_an_answer_and_an_approval_by_comment() -> None:
    """A question is answered by any comment; an approval by its number alone, and only as long as it is what is asked."""
    book = resting(QUESTION)
    say(book, 1, "Blue.")
    assert "The answer to your question:\n\nBlue." in sending(book).text
    book = resting(APPROVAL)
    say(book, 1, "/approve")
    assert answer_of(book, 1) == (False, "name what you approve, as the comment shows it: `/approve` and its number")
    assert book.entry("A-1").granted == ()
    say(book, 2, "/approve 000000000000")
    assert not answer_of(book, 2)[0]
    say(book, 3, "I approve this.")
    assert book.entry("A-1").granted == (), "a message is no approval"
    book = resting(APPROVAL)
    say(book, 1, f"/approve {DIGEST[:12]}")
    assert book.entry("A-1").granted == (DIGEST,)
    book = resting(APPROVAL)
    say(book, 1, "/reject not on this machine")
    assert "Because: not on this machine" in sending(book).text


def test_the_comment_tells_how_to_answer_on_the_ticket() -> None:
    """Where anybody may; and what was refused stands below it, the last one only."""
    for asked, told in ((QUESTION, "answer with a comment here"), (APPROVAL, f"`/approve {DIGEST[:12]}`")):
        assert told in resting(asked).entry("A-1").comment
    book = resting()
    for number in (1, 2):
        say(book, number, f"/reject {number}")
        comments = [one for one in book.state.pending.values() if isinstance(one, c.WriteComment)]
        assert comments[-1].body.count("Asked on the ticket: `/reject` was refused: no approval is waited for") == 1
        book.settle_all()


def test_a_closed_ticket_takes_no_message() -> None:
    """It is over; nothing is queued for a run that will not come."""
    book = resting()
    book.ticket("A-1", "Done")
    book.settle_all()
    assert book.entry("A-1").phase == "closed"
    assert [type(one) for one in say(book, 1, "Thanks!")] == [d.CommentHeard]


def test_what_was_heard_is_bounded() -> None:
    """The oldest are forgotten, which no reading shows any more."""
    book = at_work()
    for number in range(1, 260):
        say(book, number, "noise", "eve")
    entry: Entry = book.entry("A-1")
    assert len(entry.heard) == 200
    assert entry.heard[-1] == "c259"
