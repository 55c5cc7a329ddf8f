"""The journal in one SQLite file: records go in by whole transactions and come out in order.

Written with synchronous FULL: when `append` returns, the records outlive a power cut. The store knows bytes and sequence
numbers; what they mean is `scheduler/records.py`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from opensymphony.errors import StoreError, StoreUnwritable
from opensymphony.private_files import make_private_directory
from opensymphony.store import marks as m
from opensymphony.store.marks import Marks

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""

BODY = "CAST(body AS BLOB)"
"""Bytes, whatever somebody's database browser has made of them."""

CHECKPOINTS_KEPT = 8
"""The newest two are for starts, the second in case; the others let the past be folded from near by. Spread evenly."""
_FOR_STARTS = 2

_LOG_BYTES_KEPT = 8_388_608
"""Of the log beside the file once it has been written back: a burst does not hold its space for ever."""

START_ANEW = "restore a backup, or move the journal away to start anew"
"""What to do about a journal that cannot be read."""

_REMEDIES = {
    sqlite3.SQLITE_FULL: "free space on its disk",
    sqlite3.SQLITE_IOERR: "see that its disk is there, works and has space",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable",
    sqlite3.SQLITE_CANTOPEN: "make the file and its directory writable",
    sqlite3.SQLITE_BUSY: "end the program that holds it open",
    sqlite3.SQLITE_LOCKED: "end the program that holds it open",
}


class Journal:
    """One daemon's journal. Every call runs in one worker thread at a time, never on the loop."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self.all_marked = True
        """Whether a checkpoint may note that every record before it is marked. Not while an earlier release's are left."""
        self._connection = connection
        self._limiter = anyio.CapacityLimiter(1)

    @staticmethod
    async def open(path: Path, *, format_number: int) -> Journal:
        """Open or make the file (0600). Raises `StoreError` for a damaged file or one of a later format.

        A file of an earlier format is of this one from now on: what is appended is, and so no earlier release may open it.
        """

        def connect() -> sqlite3.Connection:
            make_private_directory(path.parent)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            try:
                _make_ready(connection, path, format_number)
            except BaseException:
                connection.close()
                raise
            return connection

        try:
            return Journal(await anyio.to_thread.run_sync(connect), path)
        except sqlite3.Error as error:
            raise unusable(path, error) from error
        except OSError as error:
            raise StoreError(
                f"the journal {path} cannot be opened ({error.strerror}): make its directory writable, "
                "or name another store"
            ) from error

    async def fact(self, name: str, default: str) -> str:
        """A small lasting fact of this store, such as its instance name; `default` is kept if there is none yet."""

        def read() -> str:
            self._connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, default))
            return str(self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()[0])

        return await self._in_thread(read)

    async def append(self, records: Sequence[tuple[int, bytes]], marks: Sequence[Marks] = ()) -> None:
        """Write all of these or none, durably, with their marks. Raises `StoreError`; then nothing was written.

        `StoreUnwritable` says that the same records may be accepted later.
        """

        def write() -> None:
            with _transaction(self._connection):
                self._connection.executemany("INSERT INTO records VALUES (?, ?)", records)
                m.write_marks(self._connection, marks)

        await self._in_thread(write, writing=True)

    async def marked(self) -> int:
        """The record up to which all are marked for certain."""
        return await self._in_thread(lambda: m.marked_until(self._connection))

    async def mark(self, marks: Sequence[Marks], until: int) -> None:
        """Write the marks of records that are there already; all up to `until` are marked then."""

        def write() -> None:
            with _transaction(self._connection):
                m.write_marks(self._connection, marks)
                m.note_marked(self._connection, until)

        await self._in_thread(write, writing=True)

    async def write_checkpoint(self, sequence: int, body: bytes) -> None:
        """Keep the state as of `sequence`; recovery reads the newest and the records after it."""

        def write() -> None:
            with _transaction(self._connection):
                self._connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", (sequence, body))
                if self.all_marked:
                    m.note_marked(self._connection, sequence)
                superfluous = _superfluous(_checkpoints(self._connection))
                self._connection.executemany(
                    "DELETE FROM checkpoints WHERE sequence = ?", [(number,) for number in superfluous]
                )

        await self._in_thread(write, writing=True)

    async def load(self) -> tuple[tuple[int, bytes] | None, list[tuple[int, bytes]]]:
        """The newest checkpoint, if any, and every record after it, in order.

        A last record that cannot even be read from its page comes back without bytes.
        """

        def read() -> tuple[tuple[int, bytes] | None, list[tuple[int, bytes]]]:
            checkpoint = self._connection.execute(
                f"SELECT sequence, {BODY} FROM checkpoints ORDER BY sequence DESC LIMIT 1"
            ).fetchone()
            after = checkpoint[0] if checkpoint else 0
            return checkpoint, _records_after(self._connection, after)

        return await self._in_thread(read)

    async def drop_last(self, sequence: int) -> None:
        """Take the last record off, which cannot be read."""

        def write() -> None:
            with _transaction(self._connection):
                deleted = self._connection.execute(
                    "DELETE FROM records WHERE sequence = ? AND sequence = (SELECT max(sequence) FROM records)",
                    (sequence,),
                ).rowcount
                if deleted:
                    m.drop_marks_of(self._connection, sequence)

        await self._in_thread(write)

    async def checkpoints(self) -> list[int]:
        """After which records there is one, oldest first."""
        return await self._in_thread(lambda: _checkpoints(self._connection))

    async def records(self, after: int, until: int, limit: int) -> list[tuple[int, bytes]]:
        """Some of the records behind one, in order, at most `limit`."""
        query = f"SELECT sequence, {BODY} FROM records WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"
        return await self._in_thread(lambda: self._connection.execute(query, (after, until, limit)).fetchall())

    async def checkpoint(self, sequence: int) -> bytes | None:
        """One of them; None when there is none after this record."""
        return await self._in_thread(lambda: _body(self._connection, "checkpoints", sequence))

    async def record(self, sequence: int) -> bytes | None:
        """One record; None when there is none of this number (any more)."""
        return await self._in_thread(lambda: _body(self._connection, "records", sequence))

    async def size(self) -> int:
        """Bytes that are in use; free pages inside the file are not."""

        def read() -> int:
            pages, free, page = (
                self._connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            return (pages - free) * page

        return await self._in_thread(read)

    async def forget(self, until: int, limit: int) -> int:
        """Delete some of the oldest records up to `until`, and the checkpoints before it once they are gone.

        Returns how many were deleted, at most `limit`; 0 when nothing is left to delete. Never a record after the older
        of the two checkpoints that starts rely on, whatever is asked.
        """

        def write() -> int:
            kept = _checkpoints(self._connection)
            if len(kept) < _FOR_STARTS:
                return 0
            allowed = min(until, kept[-_FOR_STARTS])
            with _transaction(self._connection):
                deleted = self._connection.execute(
                    "DELETE FROM records WHERE sequence IN "
                    "(SELECT sequence FROM records WHERE sequence <= ? ORDER BY sequence LIMIT ?)",
                    (allowed, limit),
                ).rowcount
                first = self._connection.execute("SELECT min(sequence) FROM records").fetchone()[0]
                m.forget_subjects(self._connection, allowed if first is None else first - 1)
                if not deleted:
                    self._connection.execute("DELETE FROM checkpoints WHERE sequence < ?", (allowed,))
            return deleted

        return await self._in_thread(write, writing=True)

    async def forget_figures(self, before: str) -> None:
        """Forget how runs ended and what was spent on days before this one."""

        def write() -> None:
            with _transaction(self._connection):
                m.forget_figures(self._connection, before)

        await self._in_thread(write, writing=True)

    async def shrink(self, pages: int) -> bool:
        """Give some free pages of the file back to the disk; False when there are none."""

        def write() -> bool:
            before = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
            if not before:
                return False
            self._connection.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()
            after = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # the file shrinks only now
            return 0 < after < before

        return await self._in_thread(write, writing=True)

    async def close(self) -> None:
        """Also when we are cancelled: a file left open keeps its log beside it."""
        with anyio.CancelScope(shield=True):
            await self._in_thread(self._connection.close)

    async def _in_thread(self, call: Callable[[], T], *, writing: bool = False) -> T:
        try:
            return await anyio.to_thread.run_sync(call, limiter=self._limiter)
        except sqlite3.Error as error:
            raise unusable(self.path, error, writing=writing) from error


def _make_ready(connection: sqlite3.Connection, path: Path, format_number: int) -> None:
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # of a new file only; an old one keeps its size
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES_KEPT:d}")
    connection.executescript(_SCHEMA + m.SCHEMA)
    connection.execute("INSERT OR IGNORE INTO facts VALUES ('format', ?)", (str(format_number),))
    found = format_of(connection, path, format_number)
    if found < format_number:
        connection.execute("UPDATE facts SET value = ? WHERE name = 'format'", (str(format_number),))


def format_of(connection: sqlite3.Connection, path: Path, format_number: int) -> int:
    """The file's format. Raises `StoreError` for one that is later than `format_number`, or none."""
    row = connection.execute("SELECT value FROM facts WHERE name = 'format'").fetchone()
    found = str(row[0]) if row else ""
    if not found.isdecimal():
        raise StoreError(f"the journal {path} does not say which format it has: {START_ANEW}")
    if int(found) > format_number:
        raise StoreError(
            f"the journal {path} has format {found}, this release reads up to {format_number}: "
            "use the release that wrote it, or move the journal away to start anew"
        )
    return int(found)


def _body(connection: sqlite3.Connection, table: str, sequence: int) -> bytes | None:
    row = connection.execute(f"SELECT {BODY} FROM {table} WHERE sequence = ?", (sequence,)).fetchone()
    return row[0] if row else None


def _checkpoints(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT sequence FROM checkpoints ORDER BY sequence")]


def _superfluous(sequences: list[int]) -> list[int]:
    """Which checkpoints can go: of those that no start needs, the ones whose neighbours are nearest to each other.

    The oldest stays: records before it may be gone, and then those after it have no other beginning.
    """
    left, gone = list(sequences), list[int]()
    while len(left) > CHECKPOINTS_KEPT:
        nearest = min(range(1, len(left) - _FOR_STARTS), key=lambda at: left[at + 1] - left[at - 1])
        gone.append(left.pop(nearest))
    return gone


def _records_after(connection: sqlite3.Connection, after: int) -> list[tuple[int, bytes]]:
    query = f"SELECT sequence, {BODY} FROM records WHERE sequence > ? AND sequence < ? ORDER BY sequence"
    try:
        return connection.execute(query, (after, 1 << 62)).fetchall()
    except sqlite3.DatabaseError as error:
        if _kind(error) != sqlite3.SQLITE_CORRUPT:
            raise
        last = connection.execute("SELECT max(sequence) FROM records").fetchone()[0]
        return [*connection.execute(query, (after, last)).fetchall(), (last, b"")]


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled it back already
            connection.execute("ROLLBACK")
        raise


def _kind(error: sqlite3.Error) -> int:
    """The extended codes of SQLite keep the kind of trouble in their lowest byte."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def unusable(path: Path, error: sqlite3.Error, *, writing: bool = False, what: str = "the journal") -> StoreError:
    """What to tell and raise. `writing`: a write may be tried again as soon as the cause is gone."""
    remedy = _REMEDIES.get(_kind(error))
    if remedy is None:
        return StoreError(f"{what} {path} cannot be used ({error}): {START_ANEW}")
    if writing:
        return StoreUnwritable(f"{what} {path} cannot be written ({error}): {remedy}")
    return StoreError(f"{what} {path} cannot be used ({error}): {remedy}, then start again")
