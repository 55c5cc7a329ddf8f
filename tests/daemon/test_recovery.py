"""Killed at any moment, a daemon finishes at its next start what it began, once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Struct, to_builtins
from structlog.testing import capture_logs

from opensymphony.daemon import app, recovery
from opensymphony.daemon.executor import Executor
from opensymphony.daemon.recovery import fold, recover, unfinished
from opensymphony.errors import StoreError, StoreUnwritable
from opensymphony.model import CommandKey, TicketId, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler import records
from opensymphony.scheduler.records import FORMAT, decode_record, encode_state
from opensymphony.scheduler.state import State
from opensymphony.store.past import open_past
from opensymphony.store.sqlite import Journal
from opensymphony.views import RunFigures, Snapshot
from opensymphony.workflow.policy import CodeHostPolicy, MergePolicy, NotifyPolicy, Policy, ReviewPolicy
from tests.daemon.world import BAD, GOOD, HOLDS, World, until, until_phase, view
from tests.fakes.scripted_runtime import Step
from tests.scheduler.playbook import Playbook

SCENARIOS: dict[str, Sequence[Step]] = {
    "review": [GOOD],
    "sent back": [BAD, GOOD],
    "cancelled": [HOLDS],
    "silent tool": [Step(holds=True, tool_open=True), GOOD],
    "no progress": [Step(holds=True, busy=True)],
    "merged": [GOOD],
    "reviewed": [GOOD, Step(files={"answer.txt": "good\n", "more": "1"}, commit="again", says="Thread 7: done: it")],
}
LIMITS = {
    "silent tool": {"tool_timeout_ms": 30, "retry_backoff_ms": 1, "max_retry_backoff_ms": 1},
    "no progress": {"max_actions_without_progress": 8},
}
"""Of the agent's policy, where a scenario needs its own."""

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
    c.PushCommit: [("review", 1), ("reviewed", 2)],
    c.PublishPullRequest: [("reviewed", 1), ("reviewed", 2)],
    c.LinkPullRequest: [("reviewed", 1)],
    c.AnswerThread: [("reviewed", 1)],
    c.MergePullRequest: [("merged", 1)],
    c.ReleaseClaim: [("review", 1)],
    c.StopRun: [("cancelled", 1)],
    c.CleanWorkspace: [("cancelled", 1)],
    c.ProbeAgent: [("silent tool", 1)],
    c.FingerprintWorkspace: [("no progress", 1), ("no progress", 2)],
    c.NotifyPerson: [("review", 1)],
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


def scenario_policy(world: World, scenario: str) -> Policy:
    """The world's policy with the scenario's limits; whoever waits for a person's answer is told into a file."""
    agent = msgspec.structs.replace(world.policy().agent, **LIMITS.get(scenario, {}))
    notify = NotifyPolicy(command=f"cat >> {world.directory / 'told'}; echo >> {world.directory / 'told'}")
    return world.policy(agent=agent, notify=notify)


async def play(world: World, scenario: str) -> Snapshot:
    """A life of the ticket A-1, as far as the daemon lives."""
    if scenario in PLAYS:
        return await PLAYS[scenario](world)
    if scenario != "cancelled":
        return await world.once(scenario_policy(world, scenario))
    async with world.running(scenario_policy(world, scenario)) as daemon:
        await until(daemon, lambda: (found := view(daemon, "A-1")) and found.stage == "working" and world.agents.talks)
        world.move("A-1", "Done")
        await until_phase(daemon, "A-1", "closed")
    assert daemon.control is not None
    return daemon.control.snapshot()


async def play_review(world: World) -> Snapshot:
    """Until the reviewer has her answer; she says something as soon as there is a pull request."""
    base = scenario_policy(world, "reviewed")
    review = ReviewPolicy(instructions_from=("{ada}",), interval_ms=100, quiet_ms=20)
    policy = msgspec.structs.replace(base, code_host=CodeHostPolicy(kind="scripted"), review=review)

    def answered() -> bool:
        if world.host.pulls and not world.host.threads:
            world.host.comment_by("1", "7", "Do more.", path="answer.txt")
        found = view(daemon, "A-1")
        assert daemon.control is not None
        pull = daemon.control._loop.state.entries[TicketId("A-1")].pull if found is not None else None
        owes = pull is None or pull.owed or pull.answers or not pull.tied
        return bool(world.host.resolved) and found is not None and found.phase == "in_review" and not owes

    async with world.running(policy) as daemon:
        await until(daemon, answered, 60)
    assert daemon.control is not None
    return daemon.control.snapshot()


async def play_merge(world: World) -> Snapshot:
    """Until what was opened is approved, merged by itself, and its ticket closed."""
    base = scenario_policy(world, "merged")
    moves = msgspec.structs.replace(base.reporting.transitions, merged="Done")
    policy = msgspec.structs.replace(
        base,
        code_host=CodeHostPolicy(kind="scripted"),
        review=ReviewPolicy(instructions_from=("{ada}",), interval_ms=50),
        merge=MergePolicy(when="approved", without_checks=True),
        reporting=msgspec.structs.replace(base.reporting, transitions=moves),
    )

    def closed() -> bool:
        if world.host.pulls and not world.host.reviews:
            world.host.approve("1")
        found = view(daemon, "A-1")
        return found is not None and found.phase == "closed"

    async with world.running(policy) as daemon:
        await until(daemon, closed, 60)
    assert daemon.control is not None
    return daemon.control.snapshot()


PLAYS: dict[str, Callable[[World], Awaitable[Snapshot]]] = {"reviewed": play_review, "merged": play_merge}


def traces(world: World, snapshot: Snapshot, board: dict[str, Any]) -> dict[str, Any]:
    """Everything that is left outside and what the daemon says about it, without times and hashes."""
    [ticket] = snapshot.tickets
    said = to_builtins(ticket)
    for name in ("since_ms", "started_ms", "ended_ms", "last_activity_ms", "commit", "conversation_id", "workspace"):
        del said[name]
    for name in ("reason", "error"):
        said[name] = plain(said[name] or "")
    told = world.directory / "told"
    return {
        "board": {name: (found.state, found.claim) for name, found in board.items()},
        "branch": git_log(world),
        "comment": plain(world.comment("A-1")),
        "messages": {key: plain(text) for key, text in world.agents.talk("A-1").messages.items()},
        "told": sorted(set(plain(told.read_text()).splitlines())) if told.exists() else [],
        "pull requests": [(pull.title, pull.state) for pull in world.host.pulls.values()],
        "answers": {key: plain(text) for key, text in world.host.said.items()},
        "resolved": sorted(world.host.resolved),
        "running": world.agents.talk("A-1").running,
        "hooks": sorted(set(world.hooks.read_text().split())),
        "workspace": ticket.workspace is not None and Path(ticket.workspace).is_dir(),
        "left": sorted(path.name for path in world.root.iterdir()),
        "view": said,
    }


def plain(text: str) -> str:
    """Without times, counts of what went on meanwhile, and hashes."""
    return re.sub(r"\b(\d+ s|\d+ actions|[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:]+Z)(?!\w)", "*", text)


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
    played = PLAYS.get(point.scenario)
    snapshot = await (played(world) if played else world.once(scenario_policy(world, point.scenario)))
    assert world.host.opened <= 1
    assert world.host.merges <= 1
    assert traces(world, snapshot, await world.tickets()) == expected
    delivered = world.agents.talk("A-1").messages
    assert set(world.agents.sends) == set(delivered)
    if point.kind is c.SendMessage and point.edge == "after":
        assert sum(world.agents.sends.values()) == len(delivered) + 1, "handed over again, under the same key"
    if point.kind is c.NotifyPerson:
        told = (world.directory / "told").read_text().split("\n\n")[:-1]
        assert len(told) == (2 if point.edge == "after" else 1), "given again where nobody can know, and no more often"
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
    assert c.AwaitTurn not in {type(command) for command in unfinished(state)}
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
    """The journal of a whole life, damaged so."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    journal = await Journal.open(tmp_path / "journal.db", format_number=FORMAT)
    await journal.append(list(enumerate(book.records, 1)))
    await journal.write_checkpoint(len(book.records), encode_state(book.state))
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
    assert str(tmp_path / "journal.db") in message
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
    assert [command.key for command in unfinished(state)] == ["b", "c", "d"]


@pytest.fixture
async def played(tmp_path: Path) -> AsyncIterator[tuple[Journal, Playbook]]:
    """The journal of a ticket's life that a playbook made."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    journal = await Journal.open(tmp_path / "journal.db", format_number=FORMAT)
    await journal.append(list(enumerate(book.records, 1)))
    yield journal, book
    await journal.close()


LAST = "WHERE sequence = (SELECT max(sequence) FROM records)"


@pytest.mark.parametrize("torn", ["substr(body, 1, 40)", "x''", "zeroblob(200)", "x'ff00ff00'", "17"])
async def test_a_torn_last_record_is_dropped(torn: str, played: tuple[Journal, Playbook]) -> None:
    """It is told once, everything before it counts, and the journal goes on in its place."""
    journal, book = played
    journal._connection.execute(f"UPDATE records SET body = {torn} {LAST}")
    before = State()
    for data in book.records[:-1]:
        fold(before, decode_record(data))
    with capture_logs() as told:
        state, sequence = await recover(journal)
        again = await recover(journal)
    assert (sequence, encode_state(state)) == (len(book.records) - 1, encode_state(before))
    assert again == (state, sequence)
    [line] = told
    assert (line["event"], line["record"]) == (
        "the last record of the journal is cut short and was dropped",
        len(book.records),
    )
    await journal.append([(len(book.records), book.records[-1])])
    state, sequence = await recover(journal)
    assert (sequence, state.pending) == (len(book.records), {})


async def test_a_last_record_with_unknown_words_stops_the_start(played: tuple[Journal, Playbook]) -> None:
    """It was written whole: what it decided may have been done already."""
    journal, book = played
    journal._connection.execute(f"UPDATE records SET body = replace(body, 'ClaimReleased', 'ClaimFreed') {LAST}")
    with pytest.raises(StoreError, match=f"record {len(book.records)}: .*ClaimFreed.*: restore a backup"):
        await recover(journal)


async def test_a_torn_record_in_the_middle_stops_the_start(played: tuple[Journal, Playbook]) -> None:
    """Later records rest on it."""
    journal, _ = played
    journal._connection.execute("UPDATE records SET body = zeroblob(200) WHERE sequence = 9")
    with pytest.raises(StoreError, match=r"record 9: .*: restore a backup, or move the journal away to start anew"):
        await recover(journal)


async def test_a_journal_of_an_older_format_is_read(
    played: tuple[Journal, Playbook], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old checkpoint, old records and new ones behind them fold to the same state as if all had been new."""
    journal, book = played

    def of_today(raw: records.Raw) -> records.Raw:
        return {"sequence": raw["number"], "event": raw["event"], "decisions": raw["decisions"]}

    upcaster = records.Upcaster(record=of_today, checkpoint=lambda state: {**state, "instance": state.pop("name")})
    middle = len(book.records) // 2
    for number, data in enumerate(book.records[:middle], 1):
        old = data.replace(b'"sequence":', b'"number":')
        journal._connection.execute("UPDATE records SET body = ? WHERE sequence = ?", (old, number))
    half = State()
    for data in book.records[:3]:
        fold(half, decode_record(data))
    await journal.write_checkpoint(3, encode_state(half).replace(b'"instance":', b'"name":', 1))
    for number, data in enumerate(book.records[middle:], middle + 1):
        new = data.replace(b'"format":1', b'"format":2', 1)
        journal._connection.execute("UPDATE records SET body = ? WHERE sequence = ?", (new, number))
    monkeypatch.setattr(records, "UPCASTERS", (upcaster,))
    monkeypatch.setattr(records, "FORMAT", 2)
    for _ in range(2):
        state, sequence = await recover(journal)
        assert sequence == len(book.records)
        assert msgspec.to_builtins(state.entries) == msgspec.to_builtins(book.state.entries)
        journal._connection.execute("DELETE FROM checkpoints")


def two_days() -> Playbook:
    """Two tickets on two days."""
    book = Playbook()
    for day, name in (("2026-11-26", "A-1"), ("2026-11-27", "B-1")):
        book.send(e.DayBegan(at_ms=book.now_ms, day=day))
        book.ticket(name)
        book.settle_all()
    return book


def as_earlier(record: bytes) -> bytes:
    """What a release wrote that knew nothing of totals, numbers and days that ended."""
    raw = msgspec.json.decode(record)
    for decision in raw["decisions"]:
        for name in ("totals", "attempt", "turn", "before", "spent", "was"):
            decision.pop(name, None)
    return msgspec.json.encode(raw)


async def earlier_journal(tmp_path: Path, book: Playbook, *checkpoints: int) -> Journal:
    journal = await Journal.open(tmp_path / "journal.db", format_number=FORMAT)
    await journal.append([(number, as_earlier(data)) for number, data in enumerate(book.records, 1)])
    for sequence in checkpoints:
        state = State()
        for data in book.records[:sequence]:
            fold(state, decode_record(data))
        await journal.write_checkpoint(sequence, encode_state(state))
    journal._connection.execute("DELETE FROM facts WHERE name = 'marked'")
    return journal


def past_of(journal: Journal) -> tuple[list[str], list[tuple[str, int]], dict[str, int]]:
    """Tickets with a timeline, ended runs with their tokens, and days with theirs."""
    with open_past(journal.path) as past:
        tickets = [name for name in ("A-1", "B-1") if past.about(name, "timeline", limit=500)[0]]
        runs = [msgspec.json.decode(body, type=RunFigures) for body in past.runs("", 10)]
        days = {day: msgspec.json.decode(body, type=Usage).total_tokens for day, body in past.days("")}
    return tickets, [(run.identifier, run.usage.total_tokens) for run in runs], days


@pytest.mark.parametrize("checkpoints", [(), (30,), (5, 20, 33)])
async def test_a_journal_of_an_earlier_release_gets_its_past(checkpoints: tuple[int, ...], tmp_path: Path) -> None:
    """Timelines, and figures that its records do not hold; once, and the state is what it is without."""
    book = two_days()
    journal = await earlier_journal(tmp_path, book, *checkpoints)
    assert past_of(journal) == ([], [], {})
    state, sequence = await recover(journal)
    whole = State()
    for data in book.records:
        fold(whole, decode_record(data))
    assert (sequence, encode_state(state)) == (len(book.records), encode_state(whole))
    assert past_of(journal) == (["A-1", "B-1"], [("B-1", 110), ("A-1", 110)], {"2026-11-26": 110})
    assert await journal.marked() == sequence
    count = journal._connection.execute("SELECT count(*) FROM subjects").fetchone()
    await recover(journal)
    assert journal._connection.execute("SELECT count(*) FROM subjects").fetchone() == count
    await journal.close()


async def test_what_an_earlier_release_wrote_in_between_is_caught_up_with(tmp_path: Path) -> None:
    """Somebody went back to it for a while: it appends and writes checkpoints, and marks nothing."""
    book = two_days()
    journal = await earlier_journal(tmp_path, book, 5, 20)
    await recover(journal)
    journal._connection.execute("UPDATE facts SET value = '1:20' WHERE name = 'marked'")
    for table in ("subjects", "runs", "days"):
        journal._connection.execute(f"DELETE FROM {table} WHERE sequence > 20")
    state = encode_state(book.state)
    journal._connection.execute("INSERT INTO checkpoints VALUES (?, ?)", (len(book.records), state))
    await recover(journal)
    assert past_of(journal) == (["A-1", "B-1"], [("B-1", 110), ("A-1", 110)], {"2026-11-26": 110})
    await journal.close()


async def test_an_old_record_that_cannot_be_read_stops_no_start(tmp_path: Path) -> None:
    """No start has ever needed it: what is behind the next checkpoint is marked, and the damage is told."""
    book = two_days()
    journal = await earlier_journal(tmp_path, book, 12, len(book.records))
    journal._connection.execute("UPDATE records SET body = zeroblob(200) WHERE sequence = 9")
    journal._connection.execute("DELETE FROM records WHERE sequence = 3")
    with capture_logs() as told:
        await recover(journal)
    assert [line["record"] for line in told if line["event"] == "a record is not in the timeline"] == [9]
    assert past_of(journal) == (["A-1", "B-1"], [("B-1", 110), ("A-1", 110)], {"2026-11-26": 110})
    await journal.close()


async def test_a_disk_without_room_for_marks_stops_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are written at a later one."""
    book = two_days()
    journal = await earlier_journal(tmp_path, book, 12)
    mark = journal.mark

    async def full(*given: object) -> None:
        raise StoreUnwritable("the journal cannot be written: free space on its disk")

    monkeypatch.setattr(journal, "mark", full)
    state, sequence = await recover(journal)
    assert sequence == len(book.records)
    monkeypatch.setattr(journal, "mark", mark)
    await journal.write_checkpoint(sequence, encode_state(state))
    assert (await journal.marked(), past_of(journal)[0]) == (0, []), "a checkpoint does not say that they are there"
    await recover(journal)
    assert past_of(journal)[0] == ["A-1", "B-1"]
    await journal.append([(sequence + 1, book.records[-1])])
    await journal.write_checkpoint(sequence + 1, encode_state(state))
    assert await journal.marked() == sequence + 1, "and from now on it does"
    await journal.close()


@pytest.mark.parametrize("broken", ["records", "checkpoints", "checkpoint", "mark"])
async def test_a_past_that_cannot_be_looked_at_stops_no_start(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged page of the file is told; the state is whole, and nobody is told that the past is."""
    book = two_days()
    journal = await earlier_journal(tmp_path, book, 12, len(book.records))
    journal._connection.execute("DELETE FROM records WHERE sequence = 3")

    async def damaged(*given: object) -> None:
        raise StoreError("the journal cannot be used (database disk image is malformed): restore a backup")

    monkeypatch.setattr(journal, broken, damaged)
    with capture_logs() as told:
        state, sequence = await recover(journal)
    assert (sequence, state.entries.keys()) == (len(book.records), book.state.entries.keys())
    [line] = [line for line in told if line["event"] == "the past is not complete"]
    assert "malformed" in line["error"]
    await journal.write_checkpoint(sequence, encode_state(state))
    assert await journal.marked() < sequence
    await journal.close()


@pytest.mark.parametrize("name", ["fold", "marks_of", "decode_state"])
async def test_an_old_record_that_fits_nothing_stops_no_start(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is passed over, with those behind it up to the next checkpoint where they need it; later ones are marked."""
    book = two_days()
    journal = await earlier_journal(tmp_path, book, 12, len(book.records))
    journal._connection.execute("DELETE FROM records WHERE sequence = 3")
    original = getattr(recovery, name)
    states: list[State] = []

    def unfit(*given: Any) -> Any:
        found = original(*given)
        if isinstance(found, State):
            states.append(found)
            if len(states) == 2:  # the first is the one that the start needs
                raise TypeError("it is of another kind")
        elif given[-1].sequence == 14:
            raise TypeError("it is of another kind")
        return found

    monkeypatch.setattr(recovery, name, unfit)
    with capture_logs() as told:
        assert (await recover(journal))[1] == len(book.records)
    assert len(states) == (2 if name == "decode_state" else 0)
    passed_over = [line["record"] for line in told if line["event"] == "a record is not in the timeline"]
    assert passed_over == ([] if name == "decode_state" else [14])
    assert past_of(journal)[0] == ["A-1", "B-1"]
    assert await journal.marked() == len(book.records)
    await journal.close()
