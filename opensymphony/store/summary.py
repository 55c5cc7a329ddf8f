"""What a journal holds, for people: read from beside, whether or not a daemon has it open, and never written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from opensymphony.errors import StoreError

_WAIT_S = 2.0


class Summary(Struct, frozen=True, kw_only=True):
    """Of one journal."""

    records: int
    first: int
    """Number of the oldest record that is still there; 0 when there is none."""
    oldest: bytes | None
    """The body of that record."""


def summarise(path: Path) -> Summary | None:
    """None when there is no journal yet. Raises `StoreError` when it cannot be read. Blocking."""
    if not path.is_file():
        return None
    address = f"file:{quote(str(path))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_WAIT_S, isolation_level=None)) as connection:
            records, first = connection.execute("SELECT count(*), min(sequence) FROM records").fetchone()
            row = connection.execute("SELECT CAST(body AS BLOB) FROM records WHERE sequence = ?", (first,)).fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"the journal {path} cannot be read ({error})") from error
    return Summary(records=records, first=first or 0, oldest=bytes(row[0]) if row is not None else None)
