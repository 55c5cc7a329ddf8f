"""Deliveries of webhooks in a SQLite file: each is durable before it is acknowledged, and once whatever its sender does.

Many that arrive at the same moment share one transaction. What they mean is not known here.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from msgspec import Struct

from opensymphony.errors import StoreError
from opensymphony.interfaces import Delivery
from opensymphony.private_files import make_private_directory
from opensymphony.store.sqlite import unusable
from opensymphony.views import DeliveryView

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY,
    service TEXT NOT NULL, id TEXT NOT NULL, digest TEXT NOT NULL, received_ms INTEGER NOT NULL,
    event TEXT NOT NULL, ticket_id TEXT NOT NULL, ticket TEXT NOT NULL, author TEXT NOT NULL, changes TEXT NOT NULL,
    outcome TEXT NOT NULL DEFAULT 'pending', detail TEXT NOT NULL DEFAULT '', settled_ms INTEGER,
    replays INTEGER NOT NULL DEFAULT 0, body BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS by_id ON deliveries (service, id);
CREATE UNIQUE INDEX IF NOT EXISTS by_digest ON deliveries (service, digest);
CREATE INDEX IF NOT EXISTS waiting ON deliveries (number) WHERE outcome = 'pending';
"""
_COLUMNS = "number, service, id, received_ms, event, ticket_id, ticket, author, changes, outcome, detail, replays"
_FORMAT = 1


class Settled(Struct, frozen=True, kw_only=True):
    """What became of one delivery."""

    number: int
    outcome: str
    detail: str


class _Arriving:
    """Somebody who waits until a delivery is durable."""

    def __init__(self, delivery: Delivery, body: bytes, received_ms: int) -> None:
        self.delivery = delivery
        self.body = body
        self.received_ms = received_ms
        self.is_new: bool | None = None
        self.error: StoreError | None = None


class Inbox:
    """One daemon's deliveries. Every call runs in one worker thread at a time, never on the loop."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._limiter = anyio.CapacityLimiter(1)
        self._arriving: list[_Arriving] = []
        self._writing = anyio.Lock()

    @staticmethod
    async def open(path: Path) -> Inbox:
        """Open or make the file (0600). Raises `StoreError` for a damaged one, or one of a later format."""

        def connect() -> sqlite3.Connection:
            make_private_directory(path.parent)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                found = connection.execute("PRAGMA user_version").fetchone()[0]
                if found > _FORMAT:
                    raise StoreError(
                        f"{path} is of a later release (format {found}): use that release, or move it away"
                    )
                connection.executescript(_SCHEMA)
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
            except BaseException:
                connection.close()
                raise
            return connection

        try:
            return Inbox(await anyio.to_thread.run_sync(connect), path)
        except sqlite3.Error as error:
            raise unusable(path, error, what="the inbox") from error
        except OSError as error:
            raise StoreError(f"{path} cannot be opened ({error.strerror}): make its directory writable") from error

    async def close(self) -> None:
        await self._in_thread(self._connection.close)

    async def put(self, delivery: Delivery, body: bytes, received_ms: int) -> bool:
        """Write it durably; whether it is new. Raises `StoreError` when it cannot be written, and then it is not there."""
        arriving = _Arriving(delivery, body, received_ms)
        self._arriving.append(arriving)
        async with self._writing:
            if arriving.is_new is None and self._arriving:
                batch, self._arriving = self._arriving, []
                try:
                    await self._in_thread(lambda: self._write(batch))
                except StoreError as error:
                    for one in batch:
                        one.error = error
        if arriving.error is not None:
            raise arriving.error
        assert arriving.is_new is not None, "whoever held the lock has written it"
        return arriving.is_new

    def _write(self, batch: Sequence[_Arriving]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for one in batch:
                found = one.delivery
                digest = hashlib.sha256(one.body).hexdigest()
                values = (found.service, found.id or digest, digest, one.received_ms, found.event)
                more = (found.ticket_id, found.ticket or found.branch, found.author, found.changes, one.body)
                written = self._connection.execute(
                    "INSERT OR IGNORE INTO deliveries (service, id, digest, received_ms, event, ticket_id, ticket, author,"
                    " changes, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*values, *more),
                )
                one.is_new = written.rowcount == 1
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            for one in batch:
                one.is_new = None
            raise

    async def waiting(self, limit: int) -> list[DeliveryView]:
        """The oldest that nobody has looked at."""
        return await self._select("WHERE outcome = 'pending' ORDER BY number LIMIT ?", limit)

    async def newest(self, limit: int, *, before: int | None = None) -> list[DeliveryView]:
        """The newest first; `before` is a number to go on behind."""
        return await self._select("WHERE number < ? ORDER BY number DESC LIMIT ?", before or 2**62, limit)

    async def get(self, number: int) -> tuple[DeliveryView, bytes] | None:
        """One with its body."""

        def read() -> tuple[DeliveryView, bytes] | None:
            row = self._connection.execute(
                f"SELECT {_COLUMNS}, body FROM deliveries WHERE number = ?", (number,)
            ).fetchone()
            return (_view(row[:-1]), bytes(row[-1])) if row is not None else None

        return await self._in_thread(read)

    async def settle(self, settled: Sequence[Settled], now_ms: int) -> None:
        """Note what became of them."""
        rows = [(one.outcome, one.detail, now_ms, one.number) for one in settled]

        def write() -> None:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "UPDATE deliveries SET outcome = ?, detail = ?, settled_ms = ? WHERE number = ?", rows
            )
            self._connection.execute("COMMIT")

        await self._in_thread(write)

    async def replay(self, number: int) -> bool:
        """Let it be looked at once more; whether there is such a delivery."""
        statement = "UPDATE deliveries SET outcome = 'pending', replays = replays + 1 WHERE number = ?"
        return await self._in_thread(lambda: self._connection.execute(statement, (number,)).rowcount == 1)

    async def forget(self, before_ms: int, keep: int) -> int:
        """Remove those that are older, and all but so many; how many."""

        def delete() -> int:
            statement = (
                "DELETE FROM deliveries WHERE outcome != 'pending' AND (received_ms < ? OR number <= "
                "(SELECT MAX(number) FROM deliveries) - ?)"
            )
            return self._connection.execute(statement, (before_ms, keep)).rowcount

        return await self._in_thread(delete)

    async def _select(self, rest: str, *values: int) -> list[DeliveryView]:
        def read() -> list[DeliveryView]:
            return [_view(row) for row in self._connection.execute(f"SELECT {_COLUMNS} FROM deliveries {rest}", values)]

        return await self._in_thread(read)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            # Waited for in any case: SQLite in another thread would go on with the same connection.
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        except sqlite3.Error as error:
            raise unusable(self.path, error, what="the inbox") from error


def _view(row: tuple[object, ...]) -> DeliveryView:
    number, service, delivery_id, received_ms, event, ticket_id, ticket, author, changes, outcome, detail, replays = row
    return DeliveryView(
        number=int(str(number)),
        service=str(service),
        id=str(delivery_id),
        received_ms=int(str(received_ms)),
        event=str(event),
        ticket_id=str(ticket_id),
        ticket=str(ticket),
        author=str(author),
        changes=str(changes),
        outcome=str(outcome),
        detail=str(detail),
        replays=int(str(replays)),
    )
