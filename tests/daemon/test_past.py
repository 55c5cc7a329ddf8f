"""What has happened, as the doors are told it: over HTTP, from a real daemon, before and after a restart and a compaction."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec
import pytest

from opensymphony.api import client
from opensymphony.api.past import Absent
from opensymphony.clock import Clock
from opensymphony.daemon import past as past_module
from opensymphony.daemon.app import Daemon
from opensymphony.daemon.archiving import archives_dir, conversations_dir
from opensymphony.daemon.calendar import day_of
from opensymphony.daemon.compaction import compact
from opensymphony.daemon.marking import marks_of
from opensymphony.daemon.past import PastReadings
from opensymphony.errors import InstanceError
from opensymphony.logs import forget_secret, know_secret
from opensymphony.model import ConversationId, TicketId, Usage, Workspace
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import FORMAT, decode_record
from opensymphony.scheduler.state import State
from opensymphony.store.marks import Marks, RunRow
from opensymphony.store.sqlite import Journal
from opensymphony.views import Changes, RunFigures, Statistics, TimelinePage
from opensymphony.workflow.policy import RetentionPolicy
from tests.agents.openhands.test_pages import said, write
from tests.daemon.world import BAD, GOOD, World, until, until_phase, view
from tests.scheduler.playbook import Playbook, policy

T = TypeVar("T")


async def asked(daemon: Daemon, ask: Callable[..., T], *given: Any, **named: Any) -> T:
    """What a door is told."""
    assert daemon.address is not None
    return await anyio.to_thread.run_sync(partial(ask, daemon.address, *given, **named))


async def until_so(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():
            await anyio.sleep(0.005)


@contextmanager
def secret(text: str) -> Iterator[None]:
    know_secret(text)
    try:
        yield
    finally:
        forget_secret(text)


async def test_a_ticket_is_told_before_and_after_a_restart(tmp_path: Path) -> None:
    """The same, to the letter; and figures outlive the records that they were made of."""
    world = World(tmp_path / "world", {"A-1": [BAD, GOOD], "B-1": [GOOD]})
    world.ticket("A-1")
    async with world.running() as daemon:
        await until_phase(daemon, "A-1", "in_review")
        before = await asked(daemon, client.fetch_timeline, "A-1")
        figures = await asked(daemon, client.fetch_statistics, days=2)
        checks = await asked(daemon, client.fetch_verifications, "A-1")
    kinds = [entry.kind for entry in reversed(before.entries)]
    assert (kinds[:2], kinds[-1], before.before) == (["seen", "run_started"], "run_ended", None)
    assert kinds.count("verified") == kinds.count("turn_begun") == 2
    assert [(one.passed, one.exit_code, one.generation) for one in checks.verifications] == [
        (True, 0, 1),
        (False, 1, 1),
    ]
    today = figures.days[-1]
    assert (today.runs, today.succeeded, today.usage.model_calls, len(figures.days)) == (1, 1, 4, 2)
    [run] = figures.runs
    assert (run.identifier, run.outcome, run.usage) == ("A-1", "succeeded", today.usage)
    assert run.waited_ms >= 0 and run.started_ms < run.ended_ms

    async with world.running() as daemon:
        await until(daemon, lambda: view(daemon, "A-1"))
        assert await asked(daemon, client.fetch_timeline, "A-1") == before
        assert await asked(daemon, client.fetch_statistics, days=2) == figures
        world.ticket("B-1")
        await until_phase(daemon, "B-1", "in_review")
    await forget_everything(world)

    async with world.running() as daemon:
        await until(daemon, lambda: view(daemon, "B-1"))
        gone = await asked(daemon, client.fetch_timeline, "A-1")
        assert (gone.entries, gone.before) == ((), None)
        assert (await asked(daemon, client.fetch_verifications, "A-1")).verifications == ()
        left = await asked(daemon, client.fetch_statistics, days=2)
        assert [one.identifier for one in left.runs] == ["B-1", "A-1"]
        assert (left.days[-1].runs, left.days[-1].usage.model_calls) == (2, 6)


async def forget_everything(world: World) -> None:
    """A compaction that keeps what a start needs: the records after the older of two checkpoints."""
    journal = await Journal.open(world.store / "journal.db", format_number=FORMAT)
    assert await compact(journal, RetentionPolicy(journal_days=0, journal_bytes=1), 0) > 20
    await journal.close()


async def test_a_timeline_goes_back_page_by_page(world: World) -> None:
    """What a record tells stays together; nothing is left out or told twice."""
    world.ticket("A-1")
    async with world.running() as daemon:
        await until_phase(daemon, "A-1", "in_review")
        whole = await asked(daemon, client.fetch_timeline, "A-1")
        pages: list[TimelinePage] = [await asked(daemon, client.fetch_timeline, "A-1", limit=4)]
        while pages[-1].before is not None:
            pages.append(await asked(daemon, client.fetch_timeline, "A-1", limit=4, before=pages[-1].before))
        assert tuple(entry for page in pages for entry in page.entries) == whole.entries
        assert len(pages) >= len(whole.entries) // 4
        with pytest.raises(client.UnknownIssue):
            await asked(daemon, client.fetch_timeline, "X-1")
        with pytest.raises(client.Rejected, match="from 1 to 500"):
            await asked(daemon, client.fetch_timeline, "A-1", limit=501)


async def test_changes_and_transcript_of_a_ticket(world: World) -> None:
    """The workspace against its base, and the log where the agent-server keeps it: in use, then archived. No secret is told."""
    world.ticket("A-1")
    async with world.running() as daemon:
        found = await until_phase(daemon, "A-1", "in_review")
        with pytest.raises(client.NotThere, match="is not there"):
            await asked(daemon, client.fetch_transcript, "A-1")
        assert found.conversation_id is not None and found.workspace is not None
        settings, chosen = world.settings(), world.policy()
        name = found.conversation_id.replace("-", "")
        active = conversations_dir(settings, chosen) / name
        active.mkdir(parents=True)
        write(active, *(said(f"the word is sesame-open {seq}") for seq in range(5)))
        (Path(found.workspace) / "answer.txt").write_text("sesame-open\n")
        with secret("sesame-open"):
            page = await asked(daemon, client.fetch_transcript, "A-1", limit=2)
            told = await asked(daemon, client.fetch_changes, "A-1")
        assert [entry.text for entry in page.entries] == [f"the word is [redacted] {seq}" for seq in (3, 4)]
        assert (page.before, page.after, page.archived) == (3, 4, False)
        assert told.diff.endswith("@@ -0,0 +1 @@\n+[redacted]")
        archived = archives_dir(settings, chosen) / name
        archived.parent.mkdir(parents=True)
        active.rename(archived)
        page = await asked(daemon, client.fetch_transcript, "A-1", after=page.after - 1)
        assert ([entry.seq for entry in page.entries], page.archived) == ([4], True)
        shutil.rmtree(found.workspace)
        with pytest.raises(client.NotThere, match="no workspace, or not any more"):
            await asked(daemon, client.fetch_changes, "A-1")


class Shelf:
    """Readings over a state and a journal that the test has made."""

    def __init__(self, world: World, state: State, journal: Journal, chosen: Any = None) -> None:
        self.policy = chosen or world.policy()
        self.past = PastReadings(state, journal.path, world.settings(), lambda: self.policy, Clock())


@pytest.fixture
def book() -> Playbook:
    """A ticket that is worked on, and one that was never begun."""
    made = Playbook(policy())
    made.send(e.DayBegan(at_ms=made.now_ms, day="2026-11-27"))
    made.ticket("A-1")
    made.settle_all()
    made.ticket("B-1", "Backlog")
    return made


async def shelf(world: World, book: Playbook) -> tuple[Shelf, Journal]:
    journal = await Journal.open(world.store / "journal.db", format_number=FORMAT)
    return Shelf(world, book.state, journal), journal


async def test_a_ticket_without_a_past_says_what_it_lacks(world: World, book: Playbook) -> None:
    """An unknown one is None everywhere; another's agent-server keeps its log itself."""
    made, journal = await shelf(world, book)
    for ask in (made.past.changes, made.past.verifications, partial(made.past.timeline, limit=5, before=None)):
        assert await ask("X-1") is None
    assert await made.past.transcript("X-1", limit=5, before=None, after=None) is None
    with pytest.raises(Absent, match="B-1 has no conversation yet"):
        await made.past.transcript("B-1", limit=5, before=None, after=None)
    with pytest.raises(Absent, match="B-1 has no workspace"):
        await made.past.changes("B-1")
    external = msgspec.structs.replace(
        made.policy.openhands,
        transport=msgspec.structs.replace(made.policy.openhands.transport, base_url="http://elsewhere:1"),
        local_server=msgspec.structs.replace(made.policy.openhands.local_server, enabled=False),
    )
    made.policy = msgspec.structs.replace(made.policy, openhands=external)
    assert made.policy.openhands.is_external
    with pytest.raises(Absent, match="kept by the agent-server at http://elsewhere:1"):
        await made.past.transcript("A-1", limit=5, before=None, after=None)
    await journal.close()


@pytest.mark.parametrize("name", ["../../etc", "..", "", "\0", "96be7799", "x" * 32])
async def test_only_an_id_leads_to_a_directory(name: str, world: World, book: Playbook) -> None:
    """Whatever stands in the journal."""
    made, journal = await shelf(world, book)
    book.entry("A-1").conversation_id = ConversationId(name)
    with pytest.raises(Absent, match="is not there"):
        await made.past.transcript("A-1", limit=5, before=None, after=None)
    await journal.close()


async def test_one_comparison_at_a_time_for_a_ticket(
    world: World, book: Playbook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And a few in all; one that takes too long is given up, and the next can begin."""
    made, journal = await shelf(world, book)
    for name in ("C-1", "D-1"):
        book.ticket(name, "Backlog")
    for name in ("A-1", "B-1", "C-1", "D-1"):
        (tmp_path / name).mkdir()
        place = Workspace(key=name, path=str(tmp_path / name), created=True)
        book.entry(name).workspace = place
    running: list[str] = []
    most = [0, 0]
    go_on = anyio.Event()

    async def slow(path: str, base: str | None) -> Changes:
        running.append(path)
        most[0] = max(most[0], len(running))
        most[1] = max(most[1], running.count(path))
        await go_on.wait()
        running.remove(path)
        return Changes(diff=path)

    monkeypatch.setattr(past_module, "changes", slow)
    async with anyio.create_task_group() as tasks:
        for name in ("A-1", "A-1", "A-1", "B-1", "C-1", "D-1"):
            tasks.start_soon(made.past.changes, name)
        await until_so(lambda: made.past._comparing.statistics().tasks_waiting == 2)
        [asked_thrice] = [lock for lock in made.past._compared.values() if lock.statistics().tasks_waiting]
        await until_so(lambda: asked_thrice.statistics().tasks_waiting == 2)
        go_on.set()
    assert most == [2, 1]
    assert made.past._compared == {}
    monkeypatch.setattr(past_module, "_DIFF_S", 0.01)
    go_on = anyio.Event()
    with pytest.raises(InstanceError, match="could not be compared within"):
        await made.past.changes("A-1")
    go_on.set()
    running.clear()
    monkeypatch.setattr(past_module, "_DIFF_S", 30)
    assert (await made.past.changes("A-1")) == Changes(diff=str(tmp_path / "A-1"))
    await journal.close()


async def test_a_workspace_that_is_none_is_told(world: World, book: Playbook, tmp_path: Path) -> None:
    """A directory without a repository is no defect of ours."""
    made, journal = await shelf(world, book)
    book.entry("A-1").workspace = Workspace(key="A-1", path=str(tmp_path), created=True)
    with pytest.raises(Absent, match="plain directory of its own") as told:
        await made.past.changes("A-1")
    assert told.value.response.status_code == 409
    await journal.close()


async def test_days_have_no_gaps_and_runs_a_limit(world: World, book: Playbook) -> None:
    """What was spent today is what is spent now; a day that was turned to twice is the sum of both."""
    made, journal = await shelf(world, book)
    marks: list[Marks] = []
    for number in range(1, 1_003):
        body = RunFigures(identifier="A-1", generation=number, waited_ms=1, started_ms=1, ended_ms=2, outcome="failed")
        row = RunRow(
            ticket_id="A-1", generation=number, day="2026-11-25", succeeded=number == 1, body=msgspec.json.encode(body)
        )
        marks.append(Marks(sequence=number, runs=(row,)))
    spent = msgspec.json.encode(Usage(prompt_tokens=5, cost_micros=7))
    marks += [Marks(sequence=number, days=(("2026-11-25", spent),)) for number in (2_000, 2_001)]
    await journal.mark(marks, 1)
    figures: Statistics = await made.past.statistics(366)
    assert [day.day for day in figures.days] == [
        (date(2026, 11, 27) - timedelta(days=back)).isoformat() for back in range(365, -1, -1)
    ]
    assert (figures.days[-3].runs, figures.days[-3].succeeded, figures.days[-3].usage.cost_micros) == (1_002, 1, 14)
    assert figures.days[-2].usage == Usage()
    assert figures.days[-1].usage == book.state.spent_day != Usage()
    assert (len(figures.runs), figures.truncated, figures.runs[0].generation) == (1_000, True, 1_002)
    assert len((await made.past.statistics(1)).days) == 1
    await journal.close()


async def test_before_the_first_day_is_told_the_calendar_says_which_it_is(world: World) -> None:
    """A daemon is asked in its first moment."""
    journal = await Journal.open(world.store / "journal.db", format_number=FORMAT)
    made = Shelf(world, State(), journal)
    clock = Clock()
    zone = made.policy.budget.timezone
    before = day_of(clock.wall_ms(), zone)
    [day] = (await made.past.statistics(1)).days
    assert day.day in (before, day_of(clock.wall_ms(), zone))
    await journal.close()


async def test_no_half_of_a_secret_is_told(world: World) -> None:
    """Where a sentence ends in the middle of it, and where a text of several lines becomes one line."""
    book = Playbook(policy())
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    key = "sesame-one is\n\nsesame-two"
    for request, text in enumerate(("x" * 290 + key, f"it is {key}")):
        book.send(
            e.OperatorAsked(
                at_ms=book.now_ms, request_id=str(request), ticket_id=TicketId("A-1"), action="message", text=text
            )
        )
    made, journal = await shelf(world, book)
    rows = list(enumerate(book.records, 1))
    await journal.append(rows, [found for _, body in rows if (found := marks_of(decode_record(body))) is not None])
    with secret(key):
        page = await made.past.timeline("A-1", limit=500, before=None)
    assert page is not None
    said = [entry.text for entry in page.entries if entry.kind == "message"]
    assert said == ["an operator to the agent: it is [redacted]", f"an operator to the agent: {'x' * 290}[redacted]"]
    await journal.close()


async def test_a_record_that_cannot_be_read_is_told_as_such(world: World, book: Playbook) -> None:
    """The others of the page are there."""
    made, journal = await shelf(world, book)
    rows = list(enumerate(book.records, 1))
    marks = [found for _, body in rows if (found := marks_of(decode_record(body))) is not None]
    damaged = next(one.sequence for one in reversed(marks) if one.runs)
    rows[damaged - 1] = (damaged, b'{"format":1,')
    await journal.append(rows, marks)
    page = await made.past.timeline("A-1", limit=500, before=None)
    assert page is not None
    assert [entry.kind for entry in page.entries if entry.sequence == damaged] == ["unreadable"]
    assert page.entries[-1].kind == "seen"
    await journal.close()
