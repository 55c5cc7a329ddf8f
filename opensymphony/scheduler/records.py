"""A line of the journal, and how it is written: JSON, so that people and later releases can read it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from opensymphony.errors import StoreError
from opensymphony.scheduler.decisions import Decision
from opensymphony.scheduler.events import Event
from opensymphony.scheduler.state import State

FORMAT = 1
"""Of records and checkpoints; a change of their meaning raises it and brings an upcaster."""


class Record(Struct, frozen=True, kw_only=True):
    """An event and everything decided because of it."""

    sequence: int
    event: Event
    decisions: tuple[Decision, ...]


_encoder = msgspec.json.Encoder()
_records = msgspec.json.Decoder(Record)
_states = msgspec.json.Decoder(State)


def encode_record(record: Record) -> bytes:
    return _encoder.encode(record)


def decode_record(data: bytes) -> Record:
    """Raises `StoreError` when the bytes are not a record of a format we know."""
    try:
        return _records.decode(data)
    except msgspec.MsgspecError as error:
        raise StoreError(f"a journal record cannot be read: {error}") from error


def encode_state(state: State) -> bytes:
    return _encoder.encode(state)


def decode_state(data: bytes) -> State:
    """Raises `StoreError` when the bytes are not a checkpoint of a format we know."""
    try:
        return _states.decode(data)
    except msgspec.MsgspecError as error:
        raise StoreError(f"the journal's checkpoint cannot be read: {error}") from error
