"""What a journal tells afterwards: the state after any of its records, and what today's rules would decide instead.

Reads the journal of a store, also while a daemon runs on it, or a file that `exported` has written. Nothing here changes
either.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from opensymphony import __version__
from opensymphony.daemon.recovery import fold, telling
from opensymphony.daemon.redaction import Names, Redactor
from opensymphony.errors import StoreError
from opensymphony.model import ServerState
from opensymphony.scheduler.records import (
    FORMAT,
    Checkpoint,
    Record,
    decode_record,
    decode_state,
    encode_record,
    is_torn,
    refuse_newer,
)
from opensymphony.scheduler.state import State
from opensymphony.scheduler.view import snapshot
from opensymphony.store.reader import JournalReader, open_reader
from opensymphony.views import Snapshot

KIND = "opensymphony-journal"
_LINE_BYTES_MAX = 256 * 1024 * 1024
_EXPORT_AGAIN = "export it again"


class Header(Struct, frozen=True, kw_only=True):
    """The first line of an exported journal."""

    kind: str = KIND
    format: int
    version: str
    """The release that exported it."""
    redacted: bool = True
    first: int
    last: int
    records: int
    tickets: int
    checkpoint: int | None = None
    """After which record the second line is the state; None: the records are all there are, from the first."""


class History(Struct, frozen=True, kw_only=True):
    """Records in order, with the places where folding can begin."""

    path: Path
    first: int
    last: int
    redacted: bool
    beginnings: tuple[int, ...]
    """After which records the state is known, oldest first; 0 is before all."""
    read_state: Callable[[int], State]
    read_records: Callable[[int, int], Iterator[Record]]
    """Those after one number, up to another."""

    def until(self, wanted: int | None) -> int:
        """The record asked for, or the last. Raises `StoreError` for one that is not there."""
        if not self.beginnings:
            raise StoreError(f"the journal {self.path} holds no record that can be folded")
        if wanted is None:
            return self.last
        if not self.beginnings[0] <= wanted <= self.last or wanted < 1:
            raise StoreError(
                f"there is no record {wanted} to show in {self.path}: it has {max(1, self.beginnings[0])} to {self.last}"
            )
        return wanted

    def state_after(self, number: int) -> State:
        """Folded from the nearest beginning before it."""
        begin = max(one for one in self.beginnings if one <= number)
        state = self.read_state(begin)
        for record in self.read_records(begin, number):
            with telling(self.path, f"record {record.sequence}"):
                fold(state, record)
        return state


@contextmanager
def open_store(store: Path) -> Generator[History]:
    """The journal of a store. Raises `StoreError` when there is none, or none that can be read."""
    path = store / "journal.db"
    with open_reader(path, format_number=FORMAT) as reader:
        first, last = reader.bounds
        kept = reader.checkpoints()
        last = max([last, *kept])
        if not last:
            raise StoreError(f"the journal {path} is empty: nothing has happened yet")
        from_start = [0] if first == 1 else []
        yield History(
            path=path,
            first=first,
            last=last,
            redacted=False,
            beginnings=(*from_start, *(one for one in kept if not first or one >= first - 1)),
            read_state=lambda sequence: _stored_state(reader, sequence),
            read_records=lambda after, until: _stored_records(reader, after, until, last),
        )


def _stored_state(reader: JournalReader, sequence: int) -> State:
    if not sequence:
        return State()
    with telling(reader.path, f"the checkpoint after record {sequence}"):
        return decode_state(reader.checkpoint(sequence))


def _stored_records(reader: JournalReader, after: int, until: int, last: int) -> Iterator[Record]:
    expected = after + 1
    for number, body in reader.records(after, until):
        if number != expected:
            raise StoreError(f"the journal {reader.path} lacks record {expected}: restore a backup")
        if number == last and is_torn(body):
            raise StoreError(
                f"the journal {reader.path}: record {number}, the last, is cut short: the next start of the daemon "
                f"drops it; until then use --until {number - 1}"
            )
        with telling(reader.path, f"record {number}"):
            record = decode_record(body)
        yield record
        expected += 1
    if expected <= until:
        raise StoreError(f"the journal {reader.path} lacks record {expected}: restore a backup")


@contextmanager
def open_export(path: Path) -> Generator[History]:
    """A file that `exported` has written. Raises `StoreError` when it is none."""
    try:
        with path.open("rb") as file:
            header = _header(path, file.readline(_LINE_BYTES_MAX))
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read ({error.strerror}): give a file of `opensymphony journal export`"
        ) from error
    begin = header.checkpoint or 0
    yield History(
        path=path,
        first=header.first,
        last=header.last,
        redacted=header.redacted,
        beginnings=(begin,),
        read_state=lambda sequence: _exported_state(path, header),
        read_records=lambda after, until: _exported_records(path, header, after, until),
    )


def _header(path: Path, line: bytes) -> Header:
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise StoreError(f"{path} is not an exported journal: make one with `opensymphony journal export`") from error
    if header.kind != KIND or not 0 <= (header.checkpoint or 0) <= header.last:
        raise StoreError(f"{path} is not an exported journal: make one with `opensymphony journal export`")
    refuse_newer(header.format, str(path))
    return header


def _exported_state(path: Path, header: Header) -> State:
    if header.checkpoint is None:
        return State()
    with path.open("rb") as file, telling(path, "line 2", _EXPORT_AGAIN):
        file.readline(_LINE_BYTES_MAX)
        return decode_state(file.readline(_LINE_BYTES_MAX))


def _exported_records(path: Path, header: Header, after: int, until: int) -> Iterator[Record]:
    expected = (header.checkpoint or 0) + 1
    with path.open("rb") as file:
        number = 1 if header.checkpoint is None else 2
        for _ in range(number):
            file.readline(_LINE_BYTES_MAX)
        while expected <= until:
            number += 1
            line = file.readline(_LINE_BYTES_MAX)
            if not line:
                raise StoreError(f"{path} ends before record {expected}: {_EXPORT_AGAIN}")
            with telling(path, f"line {number}", _EXPORT_AGAIN):
                record = decode_record(line)
            if record.sequence != expected:
                raise StoreError(
                    f"{path}: line {number} holds record {record.sequence}, not {expected}: {_EXPORT_AGAIN}"
                )
            if expected > after:
                yield record
            expected += 1


def replayed(history: History, until: int | None) -> Snapshot:
    """What `status` would have shown after a record."""
    number = history.until(until)
    state = history.state_after(number)
    return snapshot(state, sequence=number, at_ms=state.now_ms, server=ServerState(status="stopped"), status="stopped")


def exported(history: History, since: int | None, until: int | None) -> Iterator[bytes]:
    """The lines of an exported journal: header, the state that it begins with (unless that is nothing), records."""
    last = history.until(until)
    begin = history.beginnings[0]
    if since is not None:
        if not begin < since <= last:
            raise StoreError(
                f"there is no record {since} to begin with in {history.path}: it has {begin + 1} to {last}"
            )
        begin = since - 1
    state = history.state_after(begin)
    names = Names()
    names.rewritten(state)
    records = 0
    for record in history.read_records(begin, last):
        names.rewritten(record)
        records += 1
    yield msgspec.json.encode(
        Header(
            format=FORMAT,
            version=__version__,
            first=begin + 1,
            last=last,
            records=records,
            tickets=len(names.tickets),
            checkpoint=begin or None,
        )
    )
    redactor = Redactor(names)
    if begin:
        yield msgspec.json.encode(redactor.rewritten(Checkpoint(state=state)))
    for record in history.read_records(begin, last):
        yield encode_record(redactor.rewritten(record))
