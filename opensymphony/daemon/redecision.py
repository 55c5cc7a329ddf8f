"""Decides every record of a history anew with today's rules, beside what was decided then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from opensymphony.daemon.history import History
from opensymphony.daemon.loop import take
from opensymphony.daemon.recovery import fold, telling
from opensymphony.daemon.redaction import Rewriter, Shaper
from opensymphony.model import TicketId
from opensymphony.scheduler.decisions import Decision
from opensymphony.scheduler.events import CommandOutcome, Event, TicketChanged
from opensymphony.scheduler.records import decode_state, encode_state
from opensymphony.scheduler.state import State


class Difference(Struct, frozen=True, kw_only=True):
    """A record that would have other decisions today."""

    record: int
    event: str
    """Its kind."""
    ticket: str
    """Empty when it is about no ticket in particular."""
    missing: tuple[str, ...]
    """Decided then, and not today: the kind, and its fields as JSON; of a pair of one kind only those that differ."""
    added: tuple[str, ...]
    """Decided today, and not then."""


def redecided(history: History, until: int | None) -> Iterator[Difference | None]:
    """For each record what differs, or None. Each is decided in the state that was recorded, so that no difference causes
    the next. A redacted history is compared without its texts, which today's rules would compose of placeholders.
    """
    last = history.until(until)
    begin = history.beginnings[0]
    recorded = history.read_state(begin)
    today = history.read_state(begin)
    rewriter = Shaper() if history.redacted else Rewriter()
    for record in history.read_records(begin, last):
        about = _ticket(recorded, record.event)
        decisions, failure = _decided(today, record.event)
        today.now_ms = max(today.now_ms, record.event.at_ms)
        with telling(history.path, f"record {record.sequence}"):
            fold(recorded, record)
        then, now = _encoded(rewriter, record.decisions), _encoded(rewriter, decisions)
        if then == now and failure is None:
            yield None
            continue
        missing, added = _contrast(then, now) if failure is None else ((), (failure,))
        yield Difference(
            record=record.sequence, event=type(record.event).__name__, ticket=about, missing=missing, added=added
        )
        today = decode_state(encode_state(recorded))


def _decided(state: State, event: Event) -> tuple[tuple[Decision, ...], str | None]:
    """Today's decisions, or the defect of today's rules."""
    try:
        return take(state, event)[0], None
    except Exception as error:
        return (), f"{type(error).__name__}: {error}"


def _encoded(rewriter: Rewriter, decisions: Sequence[Decision]) -> list[bytes]:
    return [msgspec.json.encode(rewriter.rewritten(decision)) for decision in decisions]


def _ticket(state: State, event: Event) -> str:
    if isinstance(event, TicketChanged):
        return event.ticket.identifier
    if isinstance(event, CommandOutcome):
        ticket_id = TicketId(event.key.rpartition("#")[0])
    else:
        ticket_id = getattr(event, "ticket_id", None)
    entry = state.entries.get(ticket_id) if ticket_id is not None else None
    return entry.ticket.identifier if entry is not None else ticket_id or ""


def _contrast(then: list[bytes], now: list[bytes]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What only one of the two has; where they have the same in another order, both orders."""
    gone, new = Counter(then) - Counter(now), Counter(now) - Counter(then)
    if not gone and not new:
        return tuple(_kind(one) for one in then), tuple(_kind(one) for one in now)
    missing = [msgspec.json.decode(one) for one in then if _taken(gone, one)]
    added = [msgspec.json.decode(one) for one in now if _taken(new, one)]
    for before in missing:
        for after in added:
            if before["type"] == after["type"] and not before.get("contrasted") and not after.get("contrasted"):
                _keep_what_differs(before, after)
                break
    return tuple(map(_shown, missing)), tuple(map(_shown, added))


def _taken(left: Counter[bytes], one: bytes) -> bool:
    if left[one] <= 0:
        return False
    left[one] -= 1
    return True


def _keep_what_differs(before: dict[str, Any], after: dict[str, Any]) -> None:
    for name in before.keys() & after.keys() - {"type", "ticket_id"}:
        if before[name] == after[name]:
            del before[name], after[name]
    before["contrasted"] = after["contrasted"] = True


def _kind(encoded: bytes) -> str:
    return str(msgspec.json.decode(encoded)["type"])


def _shown(decision: dict[str, Any]) -> str:
    fields = {name: value for name, value in decision.items() if name not in ("type", "contrasted")}
    return f"{decision['type']} {msgspec.json.encode(fields).decode()}"
