"""What is found again of records without reading them all: which are about a ticket, how runs ended, what days cost.

Written in the transaction of its record, so that neither is there without the other, and safe to write again. What is about a
ticket goes with the record; figures of runs and days outlive it. Names and bytes: what they mean is not known here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec import Struct

SCHEMA = """
CREATE TABLE IF NOT EXISTS subjects (
    sequence INTEGER NOT NULL, topic TEXT NOT NULL, ticket_id TEXT NOT NULL, PRIMARY KEY (sequence, topic, ticket_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS subjects_of_tickets ON subjects (ticket_id, topic, sequence);
CREATE TABLE IF NOT EXISTS runs (
    ticket_id TEXT NOT NULL, generation INTEGER NOT NULL, sequence INTEGER NOT NULL, day TEXT NOT NULL,
    succeeded INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (ticket_id, generation)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_of_days ON runs (day, sequence);
CREATE TABLE IF NOT EXISTS days (
    day TEXT NOT NULL, sequence INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (day, sequence)
) WITHOUT ROWID;
"""

_FACT = "marked"
_RULES = 1
"""Which records are marked, and how; with another number everything that is there is marked anew."""


class RunRow(Struct, frozen=True, kw_only=True):
    """How one run ended."""

    ticket_id: str
    generation: int
    day: str
    succeeded: bool
    body: bytes


class Marks(Struct, frozen=True, kw_only=True):
    """Of one record."""

    sequence: int
    about: tuple[tuple[str, str], ...] = ()
    """Topic and ticket."""
    runs: tuple[RunRow, ...] = ()
    days: tuple[tuple[str, bytes], ...] = ()
    """Days that have ended, and what they cost."""


def write_marks(connection: sqlite3.Connection, marks: Sequence[Marks]) -> None:
    """Within the caller's transaction."""
    subjects = [(one.sequence, *about) for one in marks for about in one.about]
    runs = [
        (run.ticket_id, run.generation, one.sequence, run.day, run.succeeded, run.body)
        for one in marks
        for run in one.runs
    ]
    days = [(day, one.sequence, body) for one in marks for day, body in one.days]
    for statement, rows in (
        ("INSERT OR IGNORE INTO subjects VALUES (?, ?, ?)", subjects),
        ("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)", runs),
        ("INSERT OR REPLACE INTO days VALUES (?, ?, ?)", days),
    ):
        if rows:
            connection.executemany(statement, rows)


def note_marked(connection: sqlite3.Connection, sequence: int) -> None:
    """Every record up to this one is marked; never called for less than before."""
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (_FACT, f"{_RULES}:{sequence}"))


def marked_until(connection: sqlite3.Connection) -> int:
    """The last record up to which all are marked for certain; later ones may be too. What an older release wrote is not."""
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (_FACT,)).fetchone()
    rules, _, sequence = str(row[0]).partition(":") if row else ("", "", "")
    return int(sequence) if rules == str(_RULES) and sequence.isdecimal() else 0


def drop_marks_of(connection: sqlite3.Connection, sequence: int) -> None:
    """Of a record that is taken off."""
    for table in ("subjects", "runs", "days"):
        connection.execute(f"DELETE FROM {table} WHERE sequence = ?", (sequence,))


def forget_subjects(connection: sqlite3.Connection, until: int) -> None:
    """Of records that are deleted; figures stay."""
    connection.execute("DELETE FROM subjects WHERE sequence <= ?", (until,))


def forget_figures(connection: sqlite3.Connection, before: str) -> None:
    """Of days before this one."""
    connection.execute("DELETE FROM runs WHERE day < ?", (before,))
    connection.execute("DELETE FROM days WHERE day < ?", (before,))
