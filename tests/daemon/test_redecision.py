"""What today's rules would decide, beside what was decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from opensymphony import scheduler
from opensymphony.daemon import loop, redecision
from opensymphony.daemon.history import History
from opensymphony.daemon.redaction import Names, Redactor
from opensymphony.daemon.redecision import Difference, redecided
from opensymphony.model import CommandKey
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import endings
from opensymphony.scheduler import events as e
from opensymphony.scheduler.backoff import retry_delay_ms
from opensymphony.scheduler.records import Record, decode_record, encode_record
from opensymphony.scheduler.state import State
from tests.histories.record import as_history
from tests.scheduler.playbook import Playbook

Decided = tuple[d.Decision, ...]


@pytest.fixture
def records() -> list[bytes]:
    """One ticket that fails once and is then delivered."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.PrepareWorkspace)
    book.fail(c.PrepareWorkspace)
    book.settle_all()
    book.passes(600_000)
    book.settle_all()
    return book.records


def differences(history: History, until: int | None = None) -> list[Difference]:
    return [found for found in redecided(history, until) if found is not None]


def changed(records: list[bytes], change: Callable[[Record], Record | None]) -> list[bytes]:
    found = (change(decode_record(data)) for data in records)
    return [encode_record(record) for record in found if record is not None]


def test_the_same_rules_decide_the_same(records: list[bytes]) -> None:
    """To the letter; every record is looked at."""
    assert list(redecided(as_history(records), None)) == [None] * len(records)
    assert len(list(redecided(as_history(records), 7))) == 7


def test_a_changed_rule_shows_where_it_counts(records: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The record, the event, the ticket, and of two decisions of one kind only what differs; nothing that follows from it."""

    def slower(failures: int, jitter: float, **limits: int) -> int:
        return retry_delay_ms(failures, jitter, **limits) + 77

    monkeypatch.setattr(endings, "retry_delay_ms", slower)
    [found] = differences(as_history(records))
    ended = decode_record(records[found.record - 1])
    [then] = [one for one in ended.decisions if isinstance(one, d.RunEnded)]
    assert (found.event, found.ticket) == ("ClaimReleased", "A-1")
    assert then.due_ms is not None
    assert found.missing == (f'RunEnded {{"ticket_id":"A-1","due_ms":{then.due_ms}}}',)
    assert found.added == (f'RunEnded {{"ticket_id":"A-1","due_ms":{then.due_ms + 77}}}',)


def test_a_decision_too_many_or_too_few_is_named(records: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """With its kind and its fields."""
    real = scheduler.step

    def eager(state: State, event: e.Event) -> Decided:
        found = real(state, event)
        return found[:-1] if isinstance(event, e.TicketReread) else found

    monkeypatch.setattr(loop, "step", eager)
    found = differences(as_history(records))
    assert {one.event for one in found} == {"TicketReread"}
    assert all(one.added == () and one.missing[0].startswith("StageEntered ") for one in found)
    assert len(found) == sum(isinstance(decode_record(data).event, e.TicketReread) for data in records)


def test_what_nobody_decides_any_more_is_missing(records: list[bytes]) -> None:
    """With its fields."""
    at = next(number for number, data in enumerate(records) if isinstance(decode_record(data).event, e.PolicyLoaded))
    last = decode_record(records[at])
    extra = d.PolicyErrorNoted(error="line 3")
    turned = msgspec.structs.replace(last, decisions=(extra, *last.decisions))
    [found] = differences(as_history([*records[:at], encode_record(turned)]))
    assert (found.missing, found.added) == (('PolicyErrorNoted {"error":"line 3"}',), ())


def test_the_same_decisions_in_another_order_differ(records: list[bytes]) -> None:
    """Both orders are shown by their kinds."""
    at = next(number for number, data in enumerate(records) if isinstance(decode_record(data).event, e.TicketReread))
    last = decode_record(records[at])
    settled, *others = last.decisions
    turned = msgspec.structs.replace(last, decisions=(*others, settled))
    [found] = differences(as_history([*records[:at], encode_record(turned)]))
    assert found.added == tuple(type(one).__name__ for one in last.decisions)
    assert found.missing == (*found.added[1:], found.added[0])


def test_rules_that_break_are_a_difference(records: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of today's code is shown at its record, and the others are still looked at."""

    def broken(state: State, event: e.Event) -> Any:
        if isinstance(event, e.TicketReread):
            raise AssertionError("cannot be")
        return real(state, event)

    real = redecision.take
    monkeypatch.setattr(redecision, "take", broken)
    found = differences(as_history(records))
    assert len(found) == 2
    assert all((one.missing, one.added) == ((), ("AssertionError: cannot be",)) for one in found)


def test_a_redacted_history_is_compared_without_its_texts(records: list[bytes]) -> None:
    """Comments, prompts and conversations are composed of placeholders today; all else is compared."""
    names = Names()
    for data in records:
        names.rewritten(decode_record(data))
    redactor = Redactor(names)
    lines = changed(records, redactor.rewritten)
    assert differences(as_history(lines)) != []
    redacted = msgspec.structs.replace(as_history(lines), redacted=True)
    assert differences(redacted) == []

    def later(record: Record) -> Record:
        moved = [
            msgspec.structs.replace(one, due_ms=(one.due_ms or 0) + 1) if isinstance(one, d.RunEnded) else one
            for one in record.decisions
        ]
        return msgspec.structs.replace(record, decisions=tuple(moved))

    found = differences(msgspec.structs.replace(as_history(changed(lines, later)), redacted=True))
    assert {one.event for one in found} == {"ClaimReleased"}
    assert found[0].ticket == "KEY-0001"


def test_an_event_that_was_refused_is_refused_again(records: list[bytes]) -> None:
    """As the loop does: it fails its own command, and that is on record."""
    state = State()
    for data in records[:3]:
        redecision.fold(state, decode_record(data))
    [key] = state.pending
    wrong = e.CommitPushed(at_ms=decode_record(records[2]).event.at_ms, key=CommandKey(key))
    decisions, refused = redecision.take(state, wrong)
    assert refused is not None
    lines = [*records[:3], encode_record(Record(sequence=4, event=wrong, decisions=decisions))]
    assert differences(as_history(lines)) == []
