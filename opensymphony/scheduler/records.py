"""A line of the journal, and how it is written: JSON, so that people and later releases can read it.

Records and checkpoints carry the number of their format. What an older release wrote is led through `UPCASTERS`, one small
pure function from each format to the next, and only then understood; what a newer one wrote is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec
from msgspec import Struct

from opensymphony.errors import StoreError
from opensymphony.scheduler.decisions import Decision
from opensymphony.scheduler.events import Event
from opensymphony.scheduler.state import State

Raw = dict[str, Any]
"""Decoded JSON that is not understood yet."""


class Upcaster(Struct, frozen=True, kw_only=True):
    """How one format becomes the next. Both functions return what they are given or something new, and know no later format."""

    record: Callable[[Raw], Raw]
    """Takes `{"sequence", "event", "decisions"}`."""
    checkpoint: Callable[[Raw], Raw]
    """Takes the state."""


UPCASTERS: tuple[Upcaster, ...] = ()
"""The first leads from format 1 to 2, and so on. A change of what records or states mean adds one; none is ever taken away."""

FORMAT = 1 + len(UPCASTERS)
"""What this release writes."""


class Record(Struct, frozen=True, kw_only=True):
    """An event and everything decided because of it."""

    format: int = FORMAT
    sequence: int
    event: Event
    decisions: tuple[Decision, ...]


class Checkpoint(Struct, frozen=True, kw_only=True):
    """The whole state, as it is written."""

    format: int = FORMAT
    state: State


_encoder = msgspec.json.Encoder()
_records = msgspec.json.Decoder(Record)
_checkpoints = msgspec.json.Decoder(Checkpoint)


def encode_record(record: Record) -> bytes:
    return _encoder.encode(record)


def decode_record(data: bytes) -> Record:
    """Raises `StoreError` when the bytes are not a record of a format that we know."""
    try:
        if _is_of_today(data):
            return _records.decode(data)
        raw, number = _raw(data)
        for upcaster in UPCASTERS[number - 1 :]:
            raw = upcaster.record(raw)
        return msgspec.convert({**raw, "format": FORMAT}, Record)
    except (msgspec.MsgspecError, UnicodeError, KeyError, TypeError) as error:
        raise StoreError(f"a journal record cannot be read: {error}") from error


def encode_state(state: State) -> bytes:
    return _encoder.encode(Checkpoint(state=state))


def decode_state(data: bytes) -> State:
    """Raises `StoreError` when the bytes are not a checkpoint of a format that we know."""
    try:
        if _is_of_today(data):
            return _checkpoints.decode(data).state
        raw, number = _raw(data)
        state: Raw = raw["state"]
        for upcaster in UPCASTERS[number - 1 :]:
            state = upcaster.checkpoint(state)
        return msgspec.convert(state, State)
    except (msgspec.MsgspecError, UnicodeError, KeyError, TypeError) as error:
        raise StoreError(f"the journal's checkpoint cannot be read: {error}") from error


def is_torn(data: bytes) -> bool:
    """Whether these cannot be the bytes of any record: what a write leaves that was cut short, or a page of garbage."""
    try:
        return not isinstance(msgspec.json.decode(data), dict)
    except (msgspec.MsgspecError, UnicodeError):
        return True


def refuse_newer(number: int, what: str) -> None:
    """Raises `StoreError` for a format that only a later release can read."""
    if number > FORMAT:
        raise StoreError(
            f"{what} has format {number}, this release reads up to {FORMAT}: use the release that wrote it, or a later one"
        )


def _is_of_today(data: bytes) -> bool:
    """Nearly every record: its first bytes tell, and it is decoded once."""
    return data.startswith(b'{"format":%d,' % FORMAT)


def _raw(data: bytes) -> tuple[Raw, int]:
    raw = msgspec.json.decode(data)
    if not isinstance(raw, dict):
        raise msgspec.ValidationError(f"Expected `object`, got `{type(raw).__name__}`")
    found = cast(Raw, raw)
    number = found.get("format")
    if not isinstance(number, int) or number < 1:
        raise msgspec.ValidationError("it carries no format number")
    refuse_newer(number, "it")
    return found, number
