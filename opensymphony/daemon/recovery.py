"""The state after a start: the newest checkpoint, and every record after it folded with `evolve`. Nothing is decided anew.

A last record that was cut short, as a power cut leaves one, is taken off; any other damage stops the start. Records that an
earlier release has written are marked on the way, so that timelines and figures begin where the journal does.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path

from msgspec import structs

from opensymphony.daemon.marking import marks_of
from opensymphony.errors import StoreError
from opensymphony.logs import get_logger
from opensymphony.model import CommandKey
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.commands import Command, StopRun
from opensymphony.scheduler.evolve import evolve
from opensymphony.scheduler.figures import run_totals
from opensymphony.scheduler.records import Record, decode_record, decode_state, is_torn
from opensymphony.scheduler.state import State
from opensymphony.store.marks import Marks
from opensymphony.store.sqlite import START_ANEW, Journal

_RECORDS_A_STEP = 500

_UNFIT = (StoreError, KeyError, TypeError)
"""What a record or a state raises that cannot be read, or does not fit what is before it."""

log = get_logger(__name__)


async def recover(journal: Journal) -> tuple[State, int]:
    """The state and the sequence number of its last record. Raises `StoreError` when either cannot be read."""
    checkpoint, rows = await journal.load()
    state, sequence = State(), 0
    marked, marks = await journal.marked(), list[Marks]()
    if checkpoint is not None:
        sequence = checkpoint[0]
        with telling(journal.path, f"the checkpoint after record {sequence}"):
            state = decode_state(checkpoint[1])
    last = rows[-1][0] if rows else 0
    for number, body in rows:
        if number != sequence + 1:
            raise StoreError(f"the journal {journal.path} lacks record {sequence + 1}: {START_ANEW}")
        if number == last and is_torn(body):
            await journal.drop_last(number)
            log.warning("the last record of the journal is cut short and was dropped", record=number)
            break
        with telling(journal.path, f"record {number}"):
            record = fold(state, decode_record(body))
        found = marks_of(record) if number > marked else None
        if found is not None:
            marks.append(found)
        sequence = number
    await _mark(journal, marks, marked, checkpoint[0] if checkpoint is not None else 0, sequence)
    return state, sequence


async def _mark(journal: Journal, marks: list[Marks], marked: int, checkpoint: int, last: int) -> None:
    """What an earlier release wrote is found again from now on. No start needs that: what fails is put off to the next."""
    journal.all_marked = False
    try:
        if marked < checkpoint:
            await _mark_older(journal, marked, checkpoint)
        if marked < last:
            await journal.mark(marks, last)
    except StoreError as error:
        log.warning("the past is not complete", error=str(error))
    else:
        journal.all_marked = True


def fold(state: State, record: Record) -> Record:
    """Apply what was decided then, and say of it what records of earlier releases do not.

    Raises `KeyError` when the record does not fit the state.
    """
    completed: dict[int, d.Decision] = {}
    for at, decision in enumerate(record.decisions):
        if isinstance(decision, d.RunEnded) and decision.totals is None:
            entry = state.entries[decision.ticket_id]
            if entry.run is not None:
                completed[at] = structs.replace(decision, totals=run_totals(state, entry, entry.run))
        elif isinstance(decision, d.DayTurned) and not decision.before:
            completed[at] = structs.replace(decision, before=state.day, spent=state.spent_day)
        evolve(state, decision)
    state.now_ms = max(state.now_ms, record.event.at_ms)
    if not completed:
        return record
    decisions = tuple(completed.get(at, decision) for at, decision in enumerate(record.decisions))
    return structs.replace(record, decisions=decisions)


async def _mark_older(journal: Journal, after: int, until: int) -> None:
    """Mark the records behind `after` up to `until`. One that cannot be read is passed over: no start needs it."""
    checkpoints = frozenset(await journal.checkpoints())
    position = max((one for one in checkpoints if one <= after), default=0)
    state = State() if not position else None
    log.info("marking records of an earlier release", records=until - after)
    while rows := await journal.records(position, until, _RECORDS_A_STEP):
        marks: list[Marks] = []
        for number, body in rows:
            if number != position + 1 or state is None:
                state = await _state_at(journal, number - 1) if number - 1 in checkpoints else None
            position = number
            try:
                record = decode_record(body)
                record = fold(state, record) if state is not None else record
                found = marks_of(record) if number > after else None
            except _UNFIT as error:
                log.warning("a record is not in the timeline", record=number, error=str(error))
                state = None
                continue
            if found is not None:
                marks.append(found)
        await journal.mark(marks, position)


async def _state_at(journal: Journal, sequence: int) -> State | None:
    body = await journal.checkpoint(sequence)
    try:
        return decode_state(body) if body is not None else None
    except _UNFIT:
        return None


@contextmanager
def telling(path: Path, what: str, remedy: str = START_ANEW) -> Generator[None]:
    """Whatever is wrong with a journal: which file, which part, and what to do."""
    try:
        yield
    except KeyError as error:
        detail = f"it does not fit the records before it ({error})"
        raise StoreError(f"the journal {path}: {what}: {detail}: {remedy}") from error
    except (StoreError, TypeError) as error:
        raise StoreError(f"the journal {path}: {what}: {error}: {remedy}") from error


def unfinished(state: State, wanted_before: Collection[CommandKey] | None = None) -> list[Command]:
    """The commands to take up again, in order. What is being stopped is not begun a second time, whether its stop is under
    way or waits for its next try.

    `wanted_before`: the keys that were pending when this boot began; None: all that are pending now.
    """
    left = {command.target_key for command in state.pending.values() if isinstance(command, StopRun)}
    for ticket_id in state.running:
        run = state.entries[ticket_id].run
        if run is not None and run.stage == "stopping" and isinstance(run.command, StopRun):
            left.add(run.command.target_key)
    return [
        command
        for key, command in state.pending.items()
        if key not in left and (wanted_before is None or key in wanted_before)
    ]
