"""A second look at a journal, whether or not a daemon has it open: reads one moment of it and changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from opensymphony.errors import StoreError
from opensymphony.store.sqlite import BODY, format_of, unusable


class JournalReader:
    """The journal as of the moment in which it was opened."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection

    @property
    def bounds(self) -> tuple[int, int]:
        """The numbers of the first and the last record that are there; (0, 0) when there are none."""
        with _told(self.path):
            first, last = self._connection.execute("SELECT min(sequence), max(sequence) FROM records").fetchone()
        return first or 0, last or 0

    def checkpoints(self) -> list[int]:
        """After which records there is one, oldest first."""
        with _told(self.path):
            return [row[0] for row in self._connection.execute("SELECT sequence FROM checkpoints ORDER BY sequence")]

    def checkpoint(self, sequence: int) -> bytes:
        """One of them."""
        with _told(self.path):
            row = self._connection.execute(f"SELECT {BODY} FROM checkpoints WHERE sequence = ?", (sequence,)).fetchone()
        return row[0]

    def records(self, after: int, until: int) -> Iterator[tuple[int, bytes]]:
        """In order, one at a time: a journal may be bigger than the memory."""
        with _told(self.path):
            yield from self._connection.execute(
                f"SELECT sequence, {BODY} FROM records WHERE sequence > ? AND sequence <= ? ORDER BY sequence",
                (after, until),
            )


@contextmanager
def open_reader(path: Path, *, format_number: int) -> Generator[JournalReader]:
    """Raises `StoreError` when there is no journal, or none that we can read."""
    if not path.is_file():
        raise StoreError(f"there is no journal at {path}: it is made by the first `opensymphony run`")
    with _told(path):
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    try:
        with _told(path):
            connection.execute("BEGIN")  # what is read below is of one moment, whatever the daemon writes meanwhile
            format_of(connection, path, format_number)
        yield JournalReader(connection, path)
    finally:
        connection.close()


@contextmanager
def _told(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise unusable(path, error) from error
