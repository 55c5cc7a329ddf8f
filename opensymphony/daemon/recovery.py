"""The state after a start: the newest checkpoint, and every record after it folded with `evolve`. Nothing is decided anew."""

from __future__ import annotations

from opensymphony.errors import StoreError
from opensymphony.scheduler.commands import Command, StopRun
from opensymphony.scheduler.evolve import evolve
from opensymphony.scheduler.records import decode_record, decode_state
from opensymphony.scheduler.state import State
from opensymphony.store.sqlite import Journal


async def recover(journal: Journal) -> tuple[State, int]:
    """The state and the sequence number of its last record. Raises `StoreError` when either cannot be read."""
    checkpoint, rows = await journal.load()
    state, sequence = (decode_state(checkpoint[1]), checkpoint[0]) if checkpoint else (State(), 0)
    for number, body in rows:
        if number != sequence + 1:
            raise StoreError(
                f"the journal lacks record {sequence + 1}: restore a backup, or move the journal away to start anew"
            )
        record = decode_record(body)
        for decision in record.decisions:
            try:
                evolve(state, decision)
            except KeyError as error:
                raise StoreError(f"journal record {number} does not fit those before it ({error})") from error
        state.now_ms = max(state.now_ms, record.event.at_ms)
        sequence = number
    return state, sequence


def unfinished(state: State) -> list[Command]:
    """The commands to take up again, in order; what a pending stop was to end is not begun a second time."""
    stopped = {command.target_key for command in state.pending.values() if isinstance(command, StopRun)}
    return [command for key, command in state.pending.items() if key not in stopped]
