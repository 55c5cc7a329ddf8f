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

from opensymphony.errors import StoreError
from opensymphony.private_files import make_private_directory

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""

_CHECKPOINTS_KEPT = 2

START_ANEW = "restore a backup, or move the journal away to start anew"
"""What to do about a journal that cannot be read."""

_REMEDIES = {
    sqlite3.SQLITE_FULL: "free space on its disk, then start again",
    sqlite3.SQLITE_IOERR: "see that its disk is there, works and has space, then start again",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable",
    sqlite3.SQLITE_CANTOPEN: "make the file and its directory writable",
    sqlite3.SQLITE_BUSY: "end the program that holds it open",
    sqlite3.SQLITE_LOCKED: "end the program that holds it open",
}


class Journal:
    """One daemon's journal. Every call runs in one worker thread at a time, never on the loop."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._limiter = anyio.CapacityLimiter(1)

    @staticmethod
    async def open(path: Path, *, format_number: int) -> Journal:
        """Open or make the file (0600). Raises `StoreError` for a damaged file or one of another format."""

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
            raise _unusable(path, error) from error
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

    async def append(self, records: Sequence[tuple[int, bytes]]) -> None:
        """Write all of these or none, durably. Raises `StoreError`; then nothing was written."""

        def write() -> None:
            with _transaction(self._connection):
                self._connection.executemany("INSERT INTO records VALUES (?, ?)", records)

        await self._in_thread(write)

    async def write_checkpoint(self, sequence: int, body: bytes) -> None:
        """Keep the state as of `sequence`; recovery reads the newest and the records after it."""

        def write() -> None:
            with _transaction(self._connection):
                self._connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", (sequence, body))
                self._connection.execute(
                    "DELETE FROM checkpoints WHERE sequence NOT IN "
                    "(SELECT sequence FROM checkpoints ORDER BY sequence DESC LIMIT ?)",
                    (_CHECKPOINTS_KEPT,),
                )

        await self._in_thread(write)

    async def load(self) -> tuple[tuple[int, bytes] | None, list[tuple[int, bytes]]]:
        """The newest checkpoint, if any, and every record after it, in order."""

        def read() -> tuple[tuple[int, bytes] | None, list[tuple[int, bytes]]]:
            checkpoint = self._connection.execute(
                "SELECT sequence, body FROM checkpoints ORDER BY sequence DESC LIMIT 1"
            ).fetchone()
            after = checkpoint[0] if checkpoint else 0
            rows = self._connection.execute(
                "SELECT sequence, body FROM records WHERE sequence > ? ORDER BY sequence", (after,)
            ).fetchall()
            return checkpoint, rows

        return await self._in_thread(read)

    async def close(self) -> None:
        """Also when we are cancelled: a file left open keeps its log beside it."""
        with anyio.CancelScope(shield=True):
            await self._in_thread(self._connection.close)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(call, limiter=self._limiter)
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error


def _make_ready(connection: sqlite3.Connection, path: Path, format_number: int) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(_SCHEMA)
    connection.execute("INSERT OR IGNORE INTO facts VALUES ('format', ?)", (str(format_number),))
    found = connection.execute("SELECT value FROM facts WHERE name = 'format'").fetchone()[0]
    if found != str(format_number):
        raise StoreError(
            f"the journal {path} has format {found}, this release reads {format_number}: "
            "use the release that wrote it, or move the journal away to start anew"
        )


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


def _unusable(path: Path, error: sqlite3.Error) -> StoreError:
    # The extended codes of SQLite keep the kind of trouble in their lowest byte.
    kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return StoreError(f"the journal {path} cannot be used ({error}): {_REMEDIES.get(kind, START_ANEW)}")
