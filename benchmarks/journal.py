"""Records a second into the journal, one by one and batched, durable both times; and the time of a start.

The floor of appending is the same bytes into SQLite with the same settings, in the same batches and none of our code; of a
start, reading and decoding the same bytes without folding them. The records appended are signs of life, as most are; "told" is
as if each stood in the timeline of a ticket. Goal: a start with 1,000 tickets and 100,000 records in less than 2 s. The first
line is what a daemon finds that was stopped or killed: a checkpoint every 2,000 records; the second, that every record has to
be folded.
"""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import anyio

from benchmarks.scheduler import board, run_to_work
from opensymphony.daemon.compaction import compact
from opensymphony.daemon.marking import TIMELINE
from opensymphony.daemon.recovery import recover
from opensymphony.model import TurnProgress, Usage
from opensymphony.scheduler import events as e
from opensymphony.scheduler import step
from opensymphony.scheduler.records import FORMAT, Record, decode_record, decode_state, encode_record, encode_state
from opensymphony.store.marks import Marks
from opensymphony.store.sqlite import Journal
from opensymphony.workflow.policy import RetentionPolicy

TICKETS, RECORDS, SINGLE, BATCHED, BATCH, CHECKPOINT_EVERY = 1_000, 100_000, 300, 20_000, 256, 2_000

Row = tuple[int, bytes]


async def main() -> None:
    state = board(TICKETS)
    run_to_work(state)
    first = encode_state(state)
    running = list(state.running)
    rows: list[Row] = []
    newest: Row = (0, first)
    for sequence in range(1, RECORDS + 1):
        progress = TurnProgress(status="running", usage=Usage(prompt_tokens=sequence), summary="reads a file")
        event = e.TurnProgressed(
            at_ms=state.now_ms + 1, ticket_id=running[sequence % len(running)], generation=1, progress=progress
        )
        rows.append((sequence, encode_record(Record(sequence=sequence, event=event, decisions=step(state, event)))))
        if sequence == RECORDS - CHECKPOINT_EVERY + 1:  # the loop was killed just before its next checkpoint
            newest = (sequence, encode_state(state))
    with tempfile.TemporaryDirectory() as place:
        await appends(Path(place), rows)
        await start(Path(place) / "start.db", "checkpoint as usual", rows, newest)
        await start(Path(place) / "cold.db", "no newer checkpoint", rows, (0, first))
        await shrink(Path(place) / "start.db", rows, newest)


def batches(rows: Sequence[Row]) -> list[list[Row]]:
    return [list(rows[at : at + BATCH]) for at in range(0, len(rows), BATCH)]


async def appends(place: Path, rows: list[Row]) -> None:
    """Each beside its floor, in turn, so that both see the same disk."""
    for name, marked, groups in (
        ("one by one", False, [[row] for row in rows[:SINGLE]]),
        (f"by {BATCH}", False, batches(rows[SINGLE : SINGLE + BATCHED])),
        (f"by {BATCH}, told", True, batches(rows[SINGLE : SINGLE + BATCHED])),
    ):
        journal = await Journal.open(place / f"{name}.db", format_number=FORMAT)
        marks = [[mark(row) for row in group] if marked else [] for group in groups]
        began = time.perf_counter()
        for group, found in zip(groups, marks, strict=True):
            await journal.append(group, found)
        ours = time.perf_counter() - began
        await journal.close()
        records, least = sum(map(len, groups)), floor(place / f"{name}-floor.db", groups)
        print(f"append {name:<12} {records / ours:>10,.0f} records/s   floor {records / least:>10,.0f}")


def mark(row: Row) -> Marks:
    """As of a record that is in the timeline of a ticket; signs of life, which most records are, have none."""
    return Marks(sequence=row[0], about=((TIMELINE, f"TICKET-{row[0] % TICKETS}"),))


def floor(path: Path, groups: list[list[Row]]) -> float:
    """Seconds."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE records (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    began = time.perf_counter()
    for group in groups:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO records VALUES (?, ?)", group)
        connection.execute("COMMIT")
    elapsed = time.perf_counter() - began
    connection.close()
    return elapsed


async def start(path: Path, name: str, rows: list[Row], checkpoint: Row) -> None:
    """From opening the file to the recovered state."""
    journal = await Journal.open(path, format_number=FORMAT)
    await journal.write_checkpoint(*checkpoint)
    for group in batches(rows):
        await journal.append(group)
    await journal.close()
    began = time.perf_counter()
    journal = await Journal.open(path, format_number=FORMAT)
    state, sequence = await recover(journal)
    whole = time.perf_counter() - began
    assert (sequence, len(state.entries)) == (RECORDS, TICKETS)
    await journal.close()
    least, read = least_start(path, checkpoint[0])
    print(
        f"start, {TICKETS:,} tickets, {len(rows):,} records, {name} ({read:,} to fold)  {whole:.2f} s   floor {least:.2f} s"
    )


def least_start(path: Path, after: int) -> tuple[float, int]:
    """Seconds to read and decode the same, and how many records that are."""
    began = time.perf_counter()
    connection = sqlite3.connect(path)
    decode_state(connection.execute("SELECT body FROM checkpoints").fetchone()[0])
    read = 0
    for (body,) in connection.execute("SELECT body FROM records WHERE sequence > ? ORDER BY sequence", (after,)):
        decode_record(body)
        read += 1
    elapsed = time.perf_counter() - began
    connection.close()
    return elapsed, read


def size(path: Path) -> int:
    return path.stat().st_size


async def shrink(path: Path, rows: list[Row], newest: Row) -> None:
    """Deleting nearly everything, and the longest that an append had to wait meanwhile."""
    journal = await Journal.open(path, format_number=FORMAT)
    await journal.write_checkpoint(RECORDS, newest[1])
    before = size(path)
    waits: list[float] = []

    async def append() -> None:
        for sequence in itertools.count(RECORDS + 1):
            began = time.perf_counter()
            await journal.append([(sequence, rows[0][1])])
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append)
        deleted = await compact(journal, RetentionPolicy(journal_days=0, journal_bytes=1), 0)
        tasks.cancel_scope.cancel()
    elapsed = time.perf_counter() - began
    await journal.close()
    print(
        f"compaction, {deleted:,} records in {elapsed:.2f} s, {before / 1e6:.0f} MB to {size(path) / 1e6:.0f} MB, "
        f"longest append meanwhile {max(waits) * 1000:.0f} ms, median {sorted(waits)[len(waits) // 2] * 1000:.1f} ms"
    )


if __name__ == "__main__":
    anyio.run(main)
