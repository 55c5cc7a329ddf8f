"""The state after a start: the newest checkpoint, and every record after it folded with `evolve`. Nothing is decided anew."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from opensymphony.errors import StoreError
from opensymphony.scheduler.claims import ran_out
from opensymphony.scheduler.commands import Command, StopRun
from opensymphony.scheduler.evolve import evolve
from opensymphony.scheduler.records import decode_record, decode_state
from opensymphony.scheduler.state import State
from opensymphony.store.sqlite import START_ANEW, Journal


async def recover(journal: Journal) -> tuple[State, int]:
    """The state and the sequence number of its last record. Raises `StoreError` when either cannot be read."""
    checkpoint, rows = await journal.load()
    state, sequence = State(), 0
    if checkpoint is not None:
        sequence = checkpoint[0]
        with _telling(journal, f"the checkpoint after record {sequence}"):
            state = decode_state(checkpoint[1])
    for number, body in rows:
        if number != sequence + 1:
            raise StoreError(f"the journal {journal.path} lacks record {sequence + 1}: {START_ANEW}")
        with _telling(journal, f"record {number}"):
            record = decode_record(body)
            for decision in record.decisions:
                evolve(state, decision)
        state.now_ms = max(state.now_ms, record.event.at_ms)
        sequence = number
    return state, sequence


@contextmanager
def _telling(journal: Journal, what: str) -> Generator[None]:
    """Whatever is wrong with it: which file, which part, and what to do."""
    try:
        yield
    except KeyError as error:
        detail = f"it does not fit the records before it ({error})"
        raise StoreError(f"the journal {journal.path}: {what}: {detail}: {START_ANEW}") from error
    except (StoreError, TypeError) as error:
        raise StoreError(f"the journal {journal.path}: {what}: {error}: {START_ANEW}") from error


def unfinished(state: State, at_ms: int) -> list[Command]:
    """The commands to take up again, in order. What is being stopped is not begun a second time, whether its stop is under way,
    waits for its next try, or is what the first event of this boot will lead to, because our claim ran out.
    """
    left = {command.target_key for command in state.pending.values() if isinstance(command, StopRun)}
    for ticket_id in state.running:
        entry = state.entries[ticket_id]
        run = entry.run
        if run is None:
            continue
        if ran_out(entry, at_ms):
            left.add(run.key)
        elif run.stage == "stopping" and isinstance(run.command, StopRun):
            left.add(run.command.target_key)
    return [command for key, command in state.pending.items() if key not in left]
