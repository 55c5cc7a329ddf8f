"""When another conversation takes the place of one that there is."""

from __future__ import annotations

import pytest

from opensymphony.model import AgentFailure, Conversation, TurnEnd, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.view import explanation
from opensymphony.workflow.policy import ConversationPolicy, OpenHandsPolicy
from tests.scheduler.playbook import Playbook, policy

OVERFLOW = AgentFailure(code="LLMContextWindowExceedError", detail="too long", action="rehydrate", advice="it is full")


def opened(book: Playbook, **fields: object) -> c.OpenConversation:
    """Answer the pending opening; returns it."""
    command = book.until(c.OpenConversation)
    assert isinstance(command, c.OpenConversation)
    book.now_ms += 1
    conversation = Conversation(**{"id": command.conversation_id, "created": True, "status": "idle", **fields})  # pyright: ignore[reportArgumentType]
    book.send(e.ConversationOpened(at_ms=book.now_ms, key=command.key, conversation=conversation))
    return command


def turn(book: Playbook, prompt_tokens: int, failure: AgentFailure | None = None) -> None:
    book.until(c.AwaitTurn)
    used = Usage(prompt_tokens=prompt_tokens, model_calls=1)
    book.answer(c.AwaitTurn, end=TurnEnd(status="error" if failure else "finished", failure=failure, usage=used))


def asked(book: Playbook, request_id: str = "r1", text: str = "") -> tuple[bool, str]:
    entry = book.entry("A-1")
    book.now_ms += 1
    book.send(
        e.OperatorAsked(
            at_ms=book.now_ms, request_id=request_id, ticket_id=entry.ticket.id, action="rehydrate", text=text
        )
    )
    accepted, answer, _ = book.state.requests[request_id]
    return accepted, answer


def test_a_history_that_is_too_long_goes_on_in_another_conversation() -> None:
    """Within the run: full prompt, what was done, and the old conversation named; what it used stays counted."""
    book = Playbook()
    book.ticket("A-1")
    first = opened(book, prompted=False)
    turn(book, 700, OVERFLOW)
    second = opened(book, prompted=False, summary="Wrote ````parser.py````.")
    assert second.predecessor == first.conversation_id
    assert second.conversation_id != first.conversation_id
    text = book.pending(c.SendMessage).text
    assert text.startswith("Do Title of A-1.")
    assert "Wrote `\u200b```parser.py" in text
    turn(book, 50)
    entry = book.entry("A-1")
    assert entry.run is not None
    assert entry.run.usage.prompt_tokens == 750
    assert (entry.predecessor, "it is full" in entry.rehydrated) == (first.conversation_id, True)
    book.settle_all()
    assert (entry.outcome, entry.usage.prompt_tokens) == ("succeeded", 750)
    assert book.state.spent_project.prompt_tokens == 750


def test_a_second_history_that_is_too_long_needs_a_person() -> None:
    """Then it is not the history that is too much: no endless loop of new conversations."""
    book = Playbook()
    book.ticket("A-1")
    opened(book)
    turn(book, 700, OVERFLOW)
    opened(book)
    turn(book, 300, OVERFLOW)
    book.settle_all()
    entry = book.entry("A-1")
    assert (entry.phase, entry.outcome, entry.failures) == ("needs_person", "needs_input", 0)
    assert "make the ticket smaller" in entry.reason
    assert entry.usage.prompt_tokens == 1_000


def test_a_conversation_that_is_unfit_is_replaced() -> None:
    """A later run finds other tools in its conversation than the policy names: the reason is kept and shown."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    book.ticket("A-1", "Todo", description="more")
    known = book.entry("A-1").conversation_id
    unfit = opened(book, created=False, prompted=True, unfit="its tools are none", usage=Usage(prompt_tokens=130))
    assert unfit.conversation_id == known
    successor = opened(book, summary="Did it.")
    assert successor.predecessor == known
    assert "its tools are none" in book.pending(c.SendMessage).text
    view = explanation(book.state, book.entry("A-1")).ticket
    assert view.conversation_reason == "its tools are none"
    turn(book, 40)
    run = book.entry("A-1").run
    assert run is not None
    assert run.usage.prompt_tokens == 30 + 40, "what it used since it was heard of last is this run's"
    book.settle_all()
    book.ticket("A-1", "Todo", description="even more")
    again = book.until(c.OpenConversation)
    assert isinstance(again, c.OpenConversation)
    assert (again.conversation_id, again.predecessor) == (successor.conversation_id, None)


@pytest.mark.parametrize(("remembered", "found"), [(True, False), (False, True)])
def test_the_servers_history_decides_what_is_sent(remembered: bool, found: bool) -> None:
    """Full prompt exactly where the log has no message of ours, whatever we remember of it."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    book.ticket("A-1", "Todo", description="more")
    book.until(c.OpenConversation)
    book.entry("A-1").prompted = remembered
    command = book.pending(c.OpenConversation)
    conversation = Conversation(id=command.conversation_id, created=False, status="finished", prompted=found)
    book.fold_every = 1_000_000  # the memory was changed by hand
    book.send(e.ConversationOpened(at_ms=book.now_ms, key=command.key, conversation=conversation))
    assert book.pending(c.SendMessage).text.startswith("Do Title") is not found
    assert book.entry("A-1").prompted is found


def test_an_operator_replaces_the_conversation_of_a_run() -> None:
    """What runs is stopped first; the next run begins by itself in another conversation, and the reason is told."""
    book = Playbook()
    book.ticket("A-1")
    first = opened(book)
    book.until(c.AwaitTurn)
    accepted, answer = asked(book, text="it lost its way")
    assert (accepted, "goes on in another conversation" in answer) == (True, True)
    assert book.pending(c.StopRun).conversation_id == first.conversation_id
    assert asked(book, "r2") == (False, "that is wanted already: its next conversation is another one")
    assert explanation(book.state, book.entry("A-1")).ticket.rehydration.endswith("it lost its way")
    second = opened(book)
    assert second.predecessor == first.conversation_id
    assert "it lost its way" in book.pending(c.SendMessage).text
    assert book.entry("A-1").failures == 0


@pytest.mark.parametrize("within_a_run", [True, False])
def test_what_the_old_conversation_used_at_its_end_is_counted(within_a_run: bool) -> None:
    """A call that was cut off when it was stopped is told with its successor, and counts once."""
    book = Playbook()
    book.ticket("A-1")
    opened(book)
    turn(book, 700, OVERFLOW if within_a_run else None)
    if not within_a_run:
        book.settle_all()
        assert asked(book)[0]
        book.ticket("A-1", "Todo", description="more")
    opened(book, predecessor_usage=Usage(prompt_tokens=720))
    assert book.state.spent_project.prompt_tokens == 720
    turn(book, 50)
    view = explanation(book.state, book.entry("A-1")).ticket
    assert book.state.spent_project.prompt_tokens == view.usage.prompt_tokens == 770


def test_a_crash_in_between_changes_nothing() -> None:
    """Opened by a command that was carried out twice: the successor is found, and still gets everything."""
    book = Playbook()
    book.ticket("A-1")
    opened(book)
    turn(book, 700, OVERFLOW)
    opened(book, created=False, prompted=False, summary="Half.")
    text = book.pending(c.SendMessage).text
    assert text.startswith("Do Title")
    assert "Half." in text


def test_an_opening_that_fails_is_tried_again_by_the_next_run() -> None:
    """The wish for another conversation outlives a run that could not make it."""
    book = Playbook()
    book.ticket("A-1")
    first = opened(book)
    turn(book, 700, OVERFLOW)
    book.fail(c.OpenConversation)
    book.settle_all()
    book.passes(10_000_000)
    again = opened(book)
    assert again.predecessor == first.conversation_id
    assert book.entry("A-1").rehydration == ""


def test_what_rests_begins_anew_when_it_is_started() -> None:
    """A ticket that waits for a person is not started by it; without a conversation, or closed, there is nothing to replace."""
    book = Playbook()
    book.ticket("A-1")
    assert asked(book, "r0") == (False, "it has no conversation yet: its first run makes one")
    book.settle_all()
    accepted, answer = asked(book)
    assert accepted
    assert "opensymphony retry A-1" in answer
    assert book.entry("A-1").phase == "in_review"
    book.ticket("A-1", "Todo", description="more")
    assert opened(book).predecessor is not None
    book.settle_all()
    book.ticket("A-1", "Done")
    book.settle_all()
    assert asked(book, "r3")[0] is False


def test_a_fresh_conversation_each_run_is_told_nothing_unless_asked() -> None:
    """`fresh_each_run` begins anew without what was done before; `rehydrate` hands it over also there."""
    fresh = OpenHandsPolicy(conversation=ConversationPolicy(reuse_policy="fresh_each_run"))
    book = Playbook(policy(openhands=fresh))
    book.ticket("A-1")
    first = opened(book)
    book.settle_all()
    book.ticket("A-1", "Todo", description="more")
    second = opened(book)
    assert (second.predecessor, second.conversation_id != first.conversation_id) == (None, True)
    book.settle_all()
    assert asked(book)[0]
    book.ticket("A-1", "Todo", description="even more")
    assert opened(book).predecessor == second.conversation_id
