"""Killed at any moment, a daemon finishes at its next start what it began, once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import Struct, to_builtins

from opensymphony.daemon import app
from opensymphony.daemon.executor import Executor
from opensymphony.daemon.recovery import recover, unfinished
from opensymphony.errors import StoreError
from opensymphony.model import CommandKey, TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler.records import FORMAT, encode_state
from opensymphony.scheduler.state import State
from opensymphony.store.sqlite import Journal
from opensymphony.views import Snapshot
from tests.daemon.world import BAD, GOOD, HOLDS, World, until, until_phase, view
from tests.fakes.scripted_runtime import Step

SCENARIOS: dict[str, Sequence[Step]] = {"review": [GOOD], "sent back": [BAD, GOOD], "cancelled": [HOLDS]}

# Every command has its crash points: in which scenario, and at which of its occurrences there.
POINTS: dict[type[c.Effect], Sequence[tuple[str, int]]] = {
    c.RereadTicket: [("review", 1)],
    c.ClaimTicket: [("review", 1)],
    c.TransitionTicket: [("review", 1), ("review", 2)],
    c.WriteComment: [("review", 1), ("review", 2)],
    c.PrepareWorkspace: [("review", 1)],
    c.RunHook: [("review", 1), ("review", 2)],
    c.OpenConversation: [("review", 1)],
    c.SendMessage: [("review", 1), ("sent back", 2)],
    c.AwaitTurn: [("review", 1), ("sent back", 2)],
    c.CollectWork: [("review", 1)],
    c.VerifyWork: [("review", 1), ("sent back", 1)],
    c.PushCommit: [("review", 1)],
    c.ReleaseClaim: [("review", 1)],
    c.StopRun: [("cancelled", 1)],
    c.CleanWorkspace: [("cancelled", 1)],
}


class Killed(BaseException):
    """Nothing of ours catches it: what follows in the code does not happen."""


class CrashPoint(Struct, frozen=True, kw_only=True):
    kind: type[c.Effect]
    scenario: str
    occurrence: int
    edge: str

    def __str__(self) -> str:
        return f"{self.edge} {self.kind.__name__} {self.occurrence}, {self.scenario}"


CRASHES = [
    CrashPoint(kind=kind, scenario=scenario, occurrence=occurrence, edge=edge)
    for kind in get_args(c.Command)
    for scenario, occurrence in POINTS.get(kind, ())
    for edge in ("before", "after")
]


def test_every_command_has_a_crash_point() -> None:
    """A new command is not finished before it was killed at."""
    assert set(get_args(c.Command)) == set(POINTS)


def crash_at(monkeypatch: pytest.MonkeyPatch, point: CrashPoint) -> None:
    """The daemon dies there: without doing the command, or without a word of its outcome."""
    seen = 0

    class Dying(Executor):
        async def _attempt(self, command: c.Command, recovered: bool) -> Any:
            nonlocal seen
            seen += isinstance(command, point.kind)
            mine = isinstance(command, point.kind) and seen == point.occurrence
            if mine and point.edge == "before":
                raise Killed
            event = await super()._attempt(command, recovered)
            if mine:
                raise Killed
            return event

    monkeypatch.setattr(app, "Executor", Dying)


async def play(world: World, scenario: str) -> Snapshot:
    """A life of the ticket A-1, as far as the daemon lives."""
    if scenario != "cancelled":
        return await world.once()
    async with world.running() as daemon:
        await until(daemon, lambda: (found := view(daemon, "A-1")) and found.stage == "working" and world.agents.talks)
        world.move("A-1", "Done")
        await until_phase(daemon, "A-1", "closed")
    assert daemon.control is not None
    return daemon.control.snapshot()


def traces(world: World, snapshot: Snapshot, board: dict[str, Any]) -> dict[str, Any]:
    """Everything that is left outside and what the daemon says about it, without times and hashes."""
    [ticket] = snapshot.tickets
    said = to_builtins(ticket)
    for name in ("since_ms", "started_ms", "ended_ms", "last_activity_ms", "commit", "conversation_id", "workspace"):
        del said[name]
    comment = re.sub(r"\b(\d+ s|[0-9a-f]{12})\b", "*", world.comment("A-1"))
    return {
        "board": {name: (found.state, found.claim) for name, found in board.items()},
        "branch": git_log(world),
        "comment": re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "*", comment),
        "messages": world.agents.talk("A-1").messages,
        "running": world.agents.talk("A-1").running,
        "hooks": sorted(set(world.hooks.read_text().split())),
        "workspace": ticket.workspace is not None and Path(ticket.workspace).is_dir(),
        "left": sorted(path.name for path in world.root.iterdir()),
        "view": said,
    }


def git_log(world: World) -> list[str]:
    try:
        return world.commits("A-1")
    except Exception:
        return []


_uncrashed: dict[str, dict[str, Any]] = {}


async def uncrashed(scenario: str, directory: Path) -> dict[str, Any]:
    """What the scenario leaves when nobody dies in it."""
    if scenario not in _uncrashed:
        world = World(directory / "uncrashed", {"A-1": SCENARIOS[scenario]})
        world.ticket("A-1")
        snapshot = await play(world, scenario)
        _uncrashed[scenario] = traces(world, snapshot, await world.tickets())
    return _uncrashed[scenario]


@pytest.mark.parametrize("point", CRASHES, ids=str)
async def test_a_crash_changes_nothing_in_the_end(
    point: CrashPoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before or after a command and started again: the world is the one of a daemon that was never killed."""
    expected = await uncrashed(point.scenario, tmp_path)
    world = World(tmp_path / "world", {"A-1": SCENARIOS[point.scenario]})
    world.ticket("A-1")
    with monkeypatch.context() as patched, pytest.raises(BaseExceptionGroup) as died:
        crash_at(patched, point)
        await play(world, point.scenario)
    assert died.value.split(Killed)[1] is None, "it died of the crash alone"
    snapshot = await world.once()
    assert traces(world, snapshot, await world.tickets()) == expected
    delivered = world.agents.talk("A-1").messages
    assert set(world.agents.sends) == set(delivered)
    if point.kind is c.SendMessage and point.edge == "after":
        assert sum(world.agents.sends.values()) == len(delivered) + 1, "handed over again, under the same key"
    assert not (await recovered(world)).pending


async def recovered(world: World) -> State:
    journal = await Journal.open(world.store / "journal.db", format_number=FORMAT)
    try:
        state, _ = await recover(journal)
    finally:
        await journal.close()
    return state


async def test_what_a_pending_stop_was_to_end_is_not_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the wish to stop and the stop, the daemon stops the agent; it does not wait for its turn anew."""
    world = World(tmp_path / "world", {"A-1": [HOLDS]})
    world.ticket("A-1")
    with monkeypatch.context() as patched, pytest.raises(BaseExceptionGroup):
        crash_at(patched, CrashPoint(kind=c.StopRun, scenario="cancelled", occurrence=1, edge="before"))
        await play(world, "cancelled")
    state = await recovered(world)
    assert {type(command) for command in state.pending.values()} >= {c.StopRun, c.AwaitTurn}
    assert c.AwaitTurn not in {type(command) for command in unfinished(state, state.now_ms)}
    await world.once()
    assert (world.agents.resumed, world.agents.stops) == ([], 1)


async def test_a_turn_that_a_crash_cut_off_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waited for again, the runtime is told that we were away; nothing is sent a second time."""
    world = World(tmp_path / "world")
    world.ticket("A-1")
    with monkeypatch.context() as patched, pytest.raises(BaseExceptionGroup):
        crash_at(patched, CrashPoint(kind=c.AwaitTurn, scenario="review", occurrence=1, edge="before"))
        await world.once()
    await world.once()
    [key] = world.agents.talk("A-1").messages
    assert (world.agents.resumed, world.agents.sends[key]) == ([key], 1)


async def test_folding_the_journal_gives_the_live_state(world: World) -> None:
    """After a whole life, records alone, checkpoint alone and the state in memory say the same."""
    world.ticket("A-1")
    daemon = world.make(once=True)
    loops: list[Any] = []
    original = app.Loop
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(app, "Loop", lambda *given: loops.append(original(*given)) or loops[-1])
        await daemon.run()
    live = encode_state(loops[0].state)
    assert encode_state(await recovered(world)) == live
    journal = await Journal.open(world.store / "journal.db", format_number=FORMAT)
    journal._connection.execute("DELETE FROM checkpoints")
    folded, sequence = await recover(journal)
    await journal.close()
    assert (sequence, encode_state(folded)) == (loops[0].sequence, live)


async def filled(tmp_path: Path, *damage: str) -> Journal:
    """The journal of a whole life, without its checkpoints, and damaged so."""
    world = World(tmp_path / "world")
    world.ticket("A-1")
    await world.once()
    journal = await Journal.open(world.store / "journal.db", format_number=FORMAT)
    for statement in damage:
        journal._connection.execute(statement)
    return journal


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (["DELETE FROM checkpoints", "DELETE FROM records WHERE sequence = 5"], "lacks record 5"),
        (["DELETE FROM checkpoints", "UPDATE records SET body = substr(body, 1, 20) WHERE sequence = 4"], "record 4"),
        (["DELETE FROM checkpoints", "UPDATE records SET body = 17 WHERE sequence = 4"], "record 4"),
        (["DELETE FROM checkpoints", "UPDATE records SET body = x'ff' WHERE sequence = 4"], "record 4"),
        (
            ["DELETE FROM checkpoints", "UPDATE records SET body = replace(body, 'TicketTracked', 'TicketTacked')"],
            "TicketTacked",
        ),
        (["DELETE FROM checkpoints", "DELETE FROM records WHERE sequence < 3"], "lacks record 1"),
        (["UPDATE checkpoints SET body = substr(body, 1, 99)"], "checkpoint"),
        (["UPDATE checkpoints SET body = '{\"entries\": 3}'"], "checkpoint"),
    ],
)
async def test_a_damaged_journal_stops_the_start(damage: list[str], said: str, tmp_path: Path) -> None:
    """One line: what cannot be read, where, and what to do."""
    journal = await filled(tmp_path, *damage)
    try:
        with pytest.raises(StoreError) as refused:
            await recover(journal)
    finally:
        await journal.close()
    message = str(refused.value)
    assert said in message
    assert str(tmp_path / "world" / "store" / "journal.db") in message
    assert message.endswith("restore a backup, or move the journal away to start anew")
    assert "\n" not in message


async def test_records_that_do_not_fit_stop_the_start(tmp_path: Path) -> None:
    """A record about a ticket that no earlier one named is damage, not a reason to guess."""
    journal = await filled(
        tmp_path,
        "DELETE FROM checkpoints",
        "UPDATE records SET body = (SELECT body FROM records WHERE sequence = 7) WHERE sequence = 2",
    )
    try:
        with pytest.raises(StoreError, match="record 2: it does not fit") as refused:
            await recover(journal)
    finally:
        await journal.close()
    assert str(refused.value).endswith("restore a backup, or move the journal away to start anew")


def test_only_the_target_of_a_stop_is_left_out() -> None:
    """Every other pending command is taken up again, in its order."""

    def stop(key: str, target: str) -> c.StopRun:
        return c.StopRun(
            key=CommandKey(key),
            ticket_id=TicketId("T"),
            generation=1,
            target_key=CommandKey(target),
            conversation_id=None,
        )

    def read(key: str) -> c.RereadTicket:
        return c.RereadTicket(key=CommandKey(key), ticket_id=TicketId("T"), generation=1)

    commands = [read("a"), read("b"), stop("c", "a"), read("d")]
    state = State(pending={command.key: command for command in commands})
    assert [command.key for command in unfinished(state, state.now_ms)] == ["b", "c", "d"]
