"""The past as a journal keeps it, read while a daemon writes on: some records about a ticket, ended runs, what days cost.

Every reading has a connection of its own and takes what is durable at its moment; the writer never waits for one. Blocking.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from opensymphony.store.sqlite import BODY, unusable

_WAIT_S = 2.0
_BYTES_MAX = 16 * 1024 * 1024
"""Of the records of one answer; one at least is in it."""

ABOUT = (
    f"SELECT subjects.sequence, {BODY} FROM subjects JOIN records USING (sequence)"
    " WHERE ticket_id = ? AND topic = ? AND subjects.sequence < ? ORDER BY subjects.sequence DESC LIMIT ?"
)


class DayRow(Struct, frozen=True, kw_only=True):
    """How many runs ended on a day."""

    runs: int
    succeeded: int


class Past:
    """One moment of a journal."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def about(
        self, ticket_id: str, topic: str, *, before: int | None = None, limit: int
    ) -> tuple[list[tuple[int, bytes]], bool]:
        """The newest records of a topic about a ticket, newest first, and whether there are older ones."""
        found: list[tuple[int, bytes]] = []
        taken = 0
        rows = self._connection.execute(ABOUT, (ticket_id, topic, 1 << 62 if before is None else before, limit + 1))
        for sequence, body in rows:
            taken += len(body)
            if len(found) == limit or (found and taken > _BYTES_MAX):
                return found, True
            found.append((sequence, body))
        return found, False

    def runs(self, since: str, limit: int) -> list[bytes]:
        """Of the days from this one on, newest first."""
        rows = self._connection.execute(
            "SELECT body FROM runs WHERE day >= ? ORDER BY day DESC, sequence DESC LIMIT ?", (since, limit)
        )
        return [row[0] for row in rows]

    def counts(self, since: str) -> dict[str, DayRow]:
        """Ended runs of the days from this one on."""
        rows = self._connection.execute(
            "SELECT day, count(*), sum(succeeded) FROM runs WHERE day >= ? GROUP BY day", (since,)
        )
        return {day: DayRow(runs=runs, succeeded=succeeded) for day, runs, succeeded in rows}

    def days(self, since: str) -> list[tuple[str, bytes]]:
        """What was spent on the days from this one on that have ended; a day that was turned to twice is there twice."""
        return self._connection.execute("SELECT day, body FROM days WHERE day >= ?", (since,)).fetchall()


@contextmanager
def open_past(path: Path) -> Generator[Past]:
    """Raises `StoreError` when the journal cannot be read, also from within."""
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_WAIT_S, isolation_level=None
        )
        try:
            connection.execute("BEGIN")  # what is read below is of one moment
            yield Past(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise unusable(path, error) from error
