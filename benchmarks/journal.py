"""Records a second into the journal, one by one and batched, durable both times; and the time of a start.

The floor of appending is the same bytes into SQLite with the same settings and none of our code; of a start, reading and
decoding the records without folding them. Goal: a start with 1,000 tickets and 100,000 records in less than 2 s.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path

import anyio

from benchmarks.scheduler import board, run_to_work
from opensymphony.daemon.recovery import recover
from opensymphony.model import TurnProgress, Usage
from opensymphony.scheduler import events as e
from opensymphony.scheduler import step
from opensymphony.scheduler.records import FORMAT, Record, decode_record, encode_record, encode_state
from opensymphony.store.sqlite import Journal

TICKETS, RECORDS, SINGLE, BATCH = 1_000, 100_000, 300, 256


async def main() -> None:
    state = board(TICKETS)
    run_to_work(state)
    checkpoint = encode_state(state)
    running = list(state.running)
    rows: list[tuple[int, bytes]] = []
    for sequence in range(1, RECORDS + 1):
        progress = TurnProgress(status="running", usage=Usage(prompt_tokens=sequence), summary="reads a file")
        event = e.TurnProgressed(
            at_ms=sequence, ticket_id=running[sequence % len(running)], generation=1, progress=progress
        )
        rows.append((sequence, encode_record(Record(sequence=sequence, event=event, decisions=step(state, event)))))
    with tempfile.TemporaryDirectory() as place:
        await appends(Path(place), rows)
        await start(Path(place), rows, checkpoint)


async def appends(place: Path, rows: list[tuple[int, bytes]]) -> None:
    journal = await Journal.open(place / "appends.db", format_number=FORMAT)
    began = time.perf_counter()
    for row in rows[:SINGLE]:
        await journal.append([row])
    single = SINGLE / (time.perf_counter() - began)
    began = time.perf_counter()
    for first in range(SINGLE, 20_000, BATCH):
        await journal.append(rows[first : first + BATCH])
    batched = (20_000 - SINGLE) / (time.perf_counter() - began)
    await journal.close()
    print(f"append one by one  {single:>10,.0f} records/s   floor {floor(place, rows[:SINGLE]):>10,.0f}")
    print(f"append by {BATCH}      {batched:>10,.0f} records/s")


def floor(place: Path, rows: list[tuple[int, bytes]]) -> float:
    connection = sqlite3.connect(place / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE records (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    began = time.perf_counter()
    for row in rows:
        connection.execute("INSERT INTO records VALUES (?, ?)", row)
    rate = len(rows) / (time.perf_counter() - began)
    connection.close()
    return rate


async def start(place: Path, rows: list[tuple[int, bytes]], checkpoint: bytes) -> None:
    journal = await Journal.open(place / "start.db", format_number=FORMAT)
    await journal.write_checkpoint(0, checkpoint)
    await journal.append(rows)
    began = time.perf_counter()
    await recover(journal)
    whole = time.perf_counter() - began
    began = time.perf_counter()
    for _, body in (await journal.load())[1]:
        decode_record(body)
    print(
        f"start, {len(rows):,} records after the checkpoint  {whole:.2f} s   floor {time.perf_counter() - began:.2f} s"
    )
    await journal.close()


if __name__ == "__main__":
    anyio.run(main)
