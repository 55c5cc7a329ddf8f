"""The state after a start: the newest checkpoint, and every record after it folded with `evolve`. Nothing is decided anew.

A last record that was cut short, as a power cut leaves one, is taken off; any other damage stops the start.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path

from opensymphony.errors import StoreError
from opensymphony.logs import get_logger
from opensymphony.model import CommandKey
from opensymphony.scheduler.commands import Command, StopRun
from opensymphony.scheduler.evolve import evolve
from opensymphony.scheduler.records import Record, decode_record, decode_state, is_torn
from opensymphony.scheduler.state import State
from opensymphony.store.sqlite import START_ANEW, Journal

log = get_logger(__name__)


async def recover(journal: Journal) -> tuple[State, int]:
    """The state and the sequence number of its last record. Raises `StoreError` when either cannot be read."""
    checkpoint, rows = await journal.load()
    state, sequence = State(), 0
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
            fold(state, decode_record(body))
        sequence = number
    return state, sequence


def fold(state: State, record: Record) -> None:
    """Apply what was decided then. Raises `KeyError` when the record does not fit the state."""
    for decision in record.decisions:
        evolve(state, decision)
    state.now_ms = max(state.now_ms, record.event.at_ms)


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
