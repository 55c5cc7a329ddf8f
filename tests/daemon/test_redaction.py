"""What is left of a journal when its texts are taken out."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from opensymphony.daemon.redaction import Names, Redactor, Rewriter, Shaper
from opensymphony.model import (
    Claim,
    CommandKey,
    ConversationId,
    PersonMessage,
    Ticket,
    TicketComment,
    TicketId,
    TicketRef,
    Verification,
)
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.eligibility import GONE, among, resting_mark, start_order
from opensymphony.scheduler.progress import failing_tests
from opensymphony.scheduler.records import Checkpoint, decode_record, encode_record
from opensymphony.scheduler.state import Entry, State
from opensymphony.workflow.policy import (
    AgentPolicy,
    HooksPolicy,
    NotifyPolicy,
    Policy,
    RepositoryPolicy,
    TrackerPolicy,
    WorkspacePolicy,
)
from tests.histories.record import STORIES
from tests.scheduler.playbook import Playbook, policy

CANARY = "Xanthippe"


def redactor_for(*things: Any) -> Redactor:
    names = Names()
    for thing in things:
        names.rewritten(thing)
    return Redactor(names)


def redacted(thing: Any) -> Any:
    return redactor_for(thing).rewritten(thing)


def canary(place: str) -> str:
    return f"{CANARY} {place}"


def canary_policy() -> Policy:
    return policy(
        tracker=TrackerPolicy(
            kind="files",
            provider={"path": f"/{CANARY}/board", CANARY: [{"deep": CANARY}]},
            required_labels=(f"{CANARY.lower()}-label",),
            active_states=(canary("todo"), "Todo", canary("doing"), "In Progress"),
            assignee=canary("ada"),
            instructions_from=(canary("eve").upper(), "*"),
        ),
        workspace=WorkspacePolicy(root=f"/{CANARY}/root"),
        repository=RepositoryPolicy(url=f"git@{CANARY}.example:x.git", base=CANARY, branch=CANARY + "/{{ issue.key }}"),
        hooks=HooksPolicy(before_run=canary("hook"), after_run=canary("hook")),
        agent=AgentPolicy(max_concurrent_agents_by_state={f"{CANARY.lower()} todo": 3}),
        notify=NotifyPolicy(command=canary("notify")),
        prompt=canary("prompt") + " {{ issue.title }}",
    )


def canary_ticket(number: int, **fields: Any) -> Ticket:
    base = Ticket(
        id=TicketId(f"{CANARY}-id-{number}"),
        identifier=f"{CANARY}-{number}",
        title=canary("title"),
        state=canary("todo"),
        description=canary("description"),
        labels=(f"{CANARY.lower()}-label", f"{CANARY.lower()}-other"),
        assignee=canary("ada"),
        parent=TicketRef(id=TicketId(f"{CANARY}-id-9"), identifier=f"{CANARY}-9", state=canary("open")),
        url=f"https://{CANARY}.example/1",
        branch_name=canary("branch"),
        comments=(TicketComment(id=canary("comment"), number=1, author=canary("bob"), text=canary("please")),),
        created_at="2026-01-02T03:04:05Z",
        claim=Claim(instance=canary("laptop"), generation=1, heartbeat_ms=1),
        native_ref={CANARY: {"path": f"/{CANARY}"}},
    )
    return msgspec.structs.replace(base, **fields)


class CanaryBook(Playbook):
    """A playbook in whose world every text is a canary."""

    def show(self, shown: Ticket) -> None:
        self.tickets[shown.id] = shown
        self.send(e.TicketChanged(at_ms=self.now_ms, ticket=shown))


def canary_life() -> CanaryBook:
    book = CanaryBook(canary_policy())
    for number in (1, 2, 3):
        book.show(canary_ticket(number))
    book.send(e.PollFailed(at_ms=book.now_ms, error=canary("board")))
    book.send(e.PolicyRejected(at_ms=book.now_ms, error=canary("line 3")))
    book.send(
        e.OperatorAsked(
            at_ms=book.now_ms,
            request_id=canary("request"),
            ticket_id=TicketId(f"{CANARY}-id-2"),
            action="message",
            text=canary("message"),
            author=canary("ada"),
        )
    )
    said = TicketComment(id=canary("later"), number=2, author=canary("eve"), text=f"/answer {canary('blue')}")
    book.send(e.TicketCommented(at_ms=book.now_ms, ticket_id=TicketId(f"{CANARY}-id-2"), comment=said))
    book.until(c.VerifyWork)
    said = Verification(
        passed=False, exit_code=1, output_tail=f"FAILED tests/test_{CANARY}.py\n{CANARY}", duration_ms=1
    )
    verify = next(one for one in book.state.pending.values() if isinstance(one, c.VerifyWork))
    book.send(e.WorkVerified(at_ms=book.now_ms, key=verify.key, verification=said))
    broken = next(iter(book.state.pending.values()))
    book.send(e.CommandFailed(at_ms=book.now_ms, key=broken.key, error=canary("broke"), error_class="person"))
    book.settle_all(400)
    return book


def test_no_word_of_a_ticket_is_left() -> None:
    """Neither in a record nor in the state at its end, in whatever spelling."""
    book = canary_life()
    names = Names()
    records = [decode_record(data) for data in book.records]
    for record in records:
        names.rewritten(record)
    names.rewritten(book.state)
    redactor = Redactor(names)
    lines = [encode_record(redactor.rewritten(record)) for record in records]
    lines.append(msgspec.json.encode(redactor.rewritten(Checkpoint(state=book.state))))
    assert CANARY.lower().encode() in b"".join(book.records).lower()
    found = [line for line in lines if CANARY.lower().encode() in line.lower()]
    assert found == []


@pytest.mark.parametrize("story", STORIES)
def test_nothing_but_texts_is_changed(story: str) -> None:
    """Numbers, times, kinds, lengths of lists and what is missing are those of the original."""
    book = STORIES[story]().book
    records = [decode_record(data) for data in book.records]
    redactor = redactor_for(*records)
    for record in records:
        assert shape(redactor.rewritten(record)) == shape(record)


def shape(thing: Any) -> Any:
    """The thing as plain data, every text replaced by whether it is one, but for kinds."""
    plain = msgspec.json.decode(msgspec.json.encode(thing))

    def of(value: Any) -> Any:
        if isinstance(value, dict):
            return [(of(item), key if key == "type" else None) for key, item in value.items()]
        if isinstance(value, list):
            return [of(item) for item in value]
        return bool(value) if isinstance(value, str) else value

    return of(plain)


def test_equal_texts_stay_equal_and_different_ones_different() -> None:
    """Wherever they stand; the same text has one placeholder in the whole journal."""
    redactor = redactor_for()
    assert redactor.text("ada") == redactor.text("ada") != redactor.text("bob")
    many = {redactor.text(f"text {number}") for number in range(2_000)}
    assert len(many) == 2_000
    assert not any(re.search(r"\d", text) for text in many), "digits are taken out of a check's output"


@pytest.mark.parametrize(("length", "shown"), [(1, 6), (6, 6), (40, 32), (64, 64), (1_000, 512), (20_000, 16_384)])
def test_a_placeholder_tells_about_how_long_the_text_was(length: int, shown: int) -> None:
    """As the power of two below, as far as it is longer than the placeholder itself."""
    assert len(redactor_for().text("x" * length)) == shown


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_a_blank_stays_blank(blank: str) -> None:
    """Whether there is a text is shape."""
    changed = redacted(e.PollFailed(at_ms=1, error=blank))
    assert changed.error == blank


def test_tickets_keep_their_order_and_their_keys() -> None:
    """Of tickets that are alike in all else the identifier decides; a command's key names its ticket."""
    tickets = [canary_ticket(number) for number in (12, 3, 7)]
    redactor = redactor_for(*tickets)
    changed = [redactor.rewritten(ticket) for ticket in tickets]
    order = [tickets.index(one) for one in sorted(tickets, key=start_order)]
    assert [changed.index(one) for one in sorted(changed, key=start_order)] == order
    key = CommandKey(f"{tickets[0].id}#4/17/await-turn")
    assert redactor.key(key) == f"{changed[0].id}#4/17/await-turn"


def test_states_and_labels_are_compared_as_before() -> None:
    """Without case and blanks; a gone ticket is known as such; every spelling is another text."""
    redactor = redactor_for()
    spellings = ["In Progress", "in progress", "IN PROGRESS", " In Progress "]
    changed = [redactor.state(one) for one in spellings]
    assert len(set(changed)) == 4
    assert all(among(one, (changed[0],)) for one in changed)
    assert not among(redactor.state("Todo"), tuple(changed))
    assert changed[0].strip().lower() == changed[1] == "state-1"
    assert redactor.state(GONE) == GONE
    assert redactor.limit("state in progress\x1flabel bug") == "state state-1\x1flabel label-1"
    assert len({redactor.state(word) for word in _spellings("abcdef")}) == 64


def _spellings(word: str) -> list[str]:
    return [
        "".join(char.upper() if number >> at & 1 else char for at, char in enumerate(word))
        for number in range(1 << len(word))
    ]


def test_a_resting_ticket_is_woken_by_the_same_changes() -> None:
    """Its mark is that of the redacted ticket."""
    ticket = canary_ticket(1)
    redactor = redactor_for(ticket)
    assert redactor.mark(resting_mark(ticket)) == resting_mark(redactor.rewritten(ticket))
    odd = "what\x1fever"
    assert redactor.mark(odd) == redactor.text(odd)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("FAILED test_a\nFAILED test_b in 3 s", "FAILED test_b in 4 s\nnoise\nFAILED test_a", True),
        ("FAILED test_a", "FAILED test_c", False),
        ("it broke after 3 s", "it broke after 5 s", True),
        ("it broke", "it held", False),
    ],
)
def test_the_same_tests_fail(one: str, other: str, same: bool) -> None:
    """Whether a check failed in another way than before is progress, and stays so."""
    redactor = redactor_for()

    def failed(output: str) -> Verification:
        return Verification(passed=False, exit_code=1, output_tail=output, duration_ms=1)

    before = [failing_tests(failed(output)) for output in (one, other)]
    after = [failing_tests(redactor.rewritten(failed(output))) for output in (one, other)]
    assert (before[0] == before[1]) is (after[0] == after[1]) is same
    assert [len(names) for names in before] == [len(names) for names in after]


def test_what_looks_like_one_of_our_words_stays() -> None:
    """Kinds and codes explain; a sentence in their place is a text like any other. Dates stay too."""
    rewriter = redactor_for()
    assert rewriter.word("LLMServiceUnavailable") == "LLMServiceUnavailable"
    assert rewriter.word("a secret sentence").startswith("text-")
    assert rewriter.date("2026-01-02T03:04:05+02:00") == "2026-01-02T03:04:05+02:00"
    assert rewriter.date("on Ada's birthday").startswith("text-")


def test_a_state_keeps_its_heaps() -> None:
    """Order in the heaps, classes, timers and tables, all under the new names."""
    state = State(
        entries={TicketId("b"): Entry(ticket=canary_ticket(1, id=TicketId("b"), identifier="B"))},
        pending={
            CommandKey("b#1/1/x"): c.RereadTicket(key=CommandKey("b#1/1/x"), ticket_id=TicketId("b"), generation=1)
        },
        running={TicketId("b"): "state todo"},
        ready={"state todo": [(1, 2, "B", "b", 3)], "": []},
        timers=[(5, 1, "retry", "b", 2)],
        occupied={"state todo": 1},
        requests={"ada-1": (True, "done", "stop b")},
    )
    changed = redacted(state)
    [ticket] = changed.entries
    assert changed.pending[CommandKey(f"{ticket}#1/1/x")].ticket_id == ticket
    [known] = changed.running.values()
    assert changed.running == {ticket: known}
    identifier = changed.entries[ticket].ticket.identifier
    assert changed.ready == {known: [(1, 2, identifier, ticket, 3)], "": []}
    assert (changed.timers, changed.occupied) == ([(5, 1, "retry", ticket, 2)], {known: 1})
    assert msgspec.json.decode(msgspec.json.encode(changed), type=State) == changed


def test_a_conversation_stays_a_uuid() -> None:
    """The same one everywhere."""
    one, other = (ConversationId(f"{number}" * 8 + "-0000-5000-8000-000000000000") for number in (1, 2))
    redactor = redactor_for()
    assert redactor.conversation(one) == redactor.conversation(one) != redactor.conversation(other)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", redactor.conversation(one))


def test_a_rewriter_alone_changes_nothing() -> None:
    """Every record of a story comes out as it went in."""
    rewriter = Rewriter()
    for data in STORIES["stops_and_restarts"]().book.records:
        assert encode_record(rewriter.rewritten(decode_record(data))) == data


def test_the_shape_says_only_whether_there_is_a_text() -> None:
    """Ids, states and numbers are still compared."""
    message = PersonMessage(text="use the blue one", at_ms=1, author="")
    queued = d.MessageQueued(ticket_id=TicketId("A-1"), message=message)
    changed = Shaper().rewritten(queued)
    assert (changed.ticket_id, changed.message) == ("A-1", PersonMessage(text="*", at_ms=1, author=""))
    assert Shaper().rewritten(canary_ticket(1)).state == canary("todo")


def test_what_instructions_are_decided_by_stays() -> None:
    """The verb and the number behind it, who everybody is, and that an account is the one that the policy names."""
    said = TicketComment(id="1", number=1, author="Ada-1", text=f"/approve 3F2A9C81D04E {CANARY}")
    tracker = TrackerPolicy(kind="files", instructions_from=("ADA-1", "*"))
    redactor = redactor_for(said, tracker)
    text = redactor.rewritten(said).text
    assert text.startswith("/approve 3f2a9c81d04e text-")
    named, everybody = redactor.rewritten(tracker).instructions_from
    assert (redactor.rewritten(said).author, everybody) == (named, "*")
    assert redactor.digest("3f2a9c81d04e") == "3f2a9c81d04e"
    assert CANARY not in redactor.digest(CANARY)
