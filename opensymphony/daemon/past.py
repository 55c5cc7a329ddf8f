"""What has happened, as the doors ask for it: transcripts from the conversations' logs, timelines, verifications and figures
from the journal, changes from the workspaces.

Everything is read in threads, page by page; what the loop knows is only looked at. Known secrets are taken out of every text.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import msgspec
from msgspec import structs

from opensymphony.agents import read_transcript_page
from opensymphony.api.past import Absent
from opensymphony.clock import Clock
from opensymphony.daemon.archiving import archives_dir, locate
from opensymphony.daemon.calendar import day_of
from opensymphony.daemon.marking import TIMELINE, VERIFICATIONS
from opensymphony.errors import InstanceError, StoreError, WorkspaceError
from opensymphony.logs import redacted
from opensymphony.model import CommandKey, TicketId, Usage
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.events import CommandOutcome
from opensymphony.scheduler.records import Record, decode_record
from opensymphony.scheduler.state import Entry, State
from opensymphony.scheduler.timeline import entries
from opensymphony.scheduler.view import find_entry
from opensymphony.settings import Settings
from opensymphony.store.past import open_past
from opensymphony.views import (
    Changes,
    DayFigures,
    RunFigures,
    Statistics,
    TimelineEntry,
    TimelinePage,
    TranscriptPage,
    VerificationList,
    VerificationView,
)
from opensymphony.workflow.policy import Policy
from opensymphony.workspace.changes import changes

_THREADS = 4
"""Readings at once; the others wait their turn."""
_DIFFS = 2
_DIFF_S = 30
_VERIFICATIONS_MAX = 20
_OUTPUT_CHARS_MAX = 20_000
_RUNS_MAX = 1_000

T = TypeVar("T")


class PastReadings:
    """Implements `api.past.Past`."""

    def __init__(
        self, state: State, journal: Path, settings: Settings, policy: Callable[[], Policy], clock: Clock
    ) -> None:
        self._state = state
        self._journal = journal
        self._settings = settings
        self._policy = policy
        self._clock = clock
        self._reading = anyio.CapacityLimiter(_THREADS)
        self._comparing = anyio.CapacityLimiter(_DIFFS)
        self._compared: dict[TicketId, anyio.Lock] = {}

    async def transcript(
        self, identifier: str, *, limit: int, before: int | None, after: int | None
    ) -> TranscriptPage | None:
        """Of the newest conversation. Raises `Absent` where there is none, or its log is not on this machine."""
        entry = find_entry(self._state, identifier)
        if entry is None:
            return None
        if entry.conversation_id is None:
            raise Absent("no_conversation", f"{entry.ticket.identifier} has no conversation yet")
        policy = self._policy()
        if policy.openhands.is_external:
            where = entry.server or policy.openhands.transport.base_url
            raise Absent("no_transcript", f"the conversation's log is kept by the agent-server at {where}: look there")
        read = partial(self._page, policy, entry.conversation_id, limit, before, after)
        found = await self._in_thread(read)
        if found is None:
            raise Absent("no_transcript", "the conversation's log is not there: it is not begun yet, or was deleted")
        return found

    def _page(
        self, policy: Policy, conversation_id: str, limit: int, before: int | None, after: int | None
    ) -> TranscriptPage | None:
        directory = locate(self._settings, policy, conversation_id)
        if directory is None:
            return None
        page = read_transcript_page(directory, limit=limit, before=before, after=after, clean=redacted)
        return TranscriptPage(
            conversation_id=conversation_id,
            entries=page.entries,
            before=page.before,
            after=page.after,
            archived=directory.parent == archives_dir(self._settings, policy),
        )

    async def timeline(self, identifier: str, *, limit: int, before: int | None) -> TimelinePage | None:
        """What a record tells stays together, so that a page can have a few more entries than were asked for."""
        entry = find_entry(self._state, identifier)
        if entry is None:
            return None
        return await self._in_thread(partial(self._timeline, entry.ticket.id, limit, before))

    def _timeline(self, ticket_id: TicketId, limit: int, before: int | None) -> TimelinePage:
        with open_past(self._journal) as past:
            rows, more = past.about(ticket_id, TIMELINE, before=before, limit=limit)
        told: list[TimelineEntry] = []
        for at, (sequence, body) in enumerate(rows):
            found = _told(sequence, body, ticket_id)
            if told and len(told) + len(found) > limit:
                rows, more = rows[:at], True
                break
            told += reversed(found)
        return TimelinePage(entries=tuple(told), before=rows[-1][0] if more and rows else None)

    async def verifications(self, identifier: str) -> VerificationList | None:
        entry = find_entry(self._state, identifier)
        if entry is None:
            return None
        return await self._in_thread(partial(self._verifications, entry.ticket.id))

    def _verifications(self, ticket_id: TicketId) -> VerificationList:
        with open_past(self._journal) as past:
            rows, _ = past.about(ticket_id, VERIFICATIONS, limit=_VERIFICATIONS_MAX)
        found = [view for _, body in rows for view in _verified(body, ticket_id)]
        return VerificationList(verifications=tuple(found[:_VERIFICATIONS_MAX]))

    async def changes(self, identifier: str) -> Changes | None:
        """One comparison at a time for a ticket. Raises `Absent` where there is nothing to compare."""
        entry = find_entry(self._state, identifier)
        if entry is None:
            return None
        workspace = entry.workspace
        if workspace is None or not await self._in_thread(partial(_is_directory, workspace.path)):
            raise Absent("no_workspace", f"{entry.ticket.identifier} has no workspace, or not any more")
        repository = self._policy().repository
        compare = partial(changes, workspace.path, repository.base if repository is not None else None)
        try:
            with anyio.fail_after(_DIFF_S):
                found = await self._one_at_a_time(entry, compare)
        except TimeoutError as error:
            raise InstanceError(
                f"the workspace could not be compared within {_DIFF_S} s: ask again, or look into {workspace.path}"
            ) from error
        except WorkspaceError as error:
            raise Absent("workspace_unreadable", redacted(str(error)), status=409) from error
        return structs.replace(found, diff=await self._in_thread(partial(redacted, found.diff)))

    async def _one_at_a_time(self, entry: Entry, compare: Callable[[], Awaitable[Changes]]) -> Changes:
        lock = self._compared.setdefault(entry.ticket.id, anyio.Lock())
        try:
            async with lock, self._comparing:
                return await compare()
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._compared.pop(entry.ticket.id, None)

    async def statistics(self, days: int) -> Statistics:
        """Today's usage is what is spent now; a day's runs are those that ended on it."""
        state = self._state
        today = state.day or day_of(self._clock.wall_ms(), self._policy().budget.timezone)
        return await self._in_thread(partial(self._statistics, today, state.spent_day, days))

    def _statistics(self, today: str, spent_today: Usage, days: int) -> Statistics:
        last = date.fromisoformat(today)
        first = last - timedelta(days=days - 1)
        with open_past(self._journal) as past:
            counts, ended = past.counts(first.isoformat()), past.days(first.isoformat())
            bodies = past.runs(first.isoformat(), _RUNS_MAX + 1)
        used = {today: spent_today}
        for day, body in ended:
            used[day] = used.get(day, Usage()) + msgspec.json.decode(body, type=Usage)
        figures: list[DayFigures] = []
        for at in range(days):
            day = (first + timedelta(days=at)).isoformat()
            count = counts.get(day)
            figures.append(
                DayFigures(
                    day=day,
                    usage=used.get(day, Usage()),
                    runs=count.runs if count is not None else 0,
                    succeeded=count.succeeded if count is not None else 0,
                )
            )
        runs = tuple(msgspec.json.decode(body, type=RunFigures) for body in bodies[:_RUNS_MAX])
        return Statistics(days=tuple(figures), runs=runs, truncated=len(bodies) > _RUNS_MAX)

    async def _in_thread(self, read: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(read, limiter=self._reading)


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _record(body: bytes) -> Record | None:
    try:
        return decode_record(body)
    except StoreError:
        return None


def _told(sequence: int, body: bytes, ticket_id: TicketId) -> list[TimelineEntry]:
    record = _record(body)
    if record is None:
        return [TimelineEntry(sequence=sequence, at_ms=0, kind="unreadable", text="a record that cannot be read")]
    return [entry for of, entry in entries(record, redacted) if of == ticket_id]


def _verified(body: bytes, ticket_id: TicketId) -> list[VerificationView]:
    record = _record(body)
    if record is None:
        return []
    event = record.event
    return [
        VerificationView(
            sequence=record.sequence,
            at_ms=event.at_ms,
            generation=_generation(event.key) if isinstance(event, CommandOutcome) else 0,
            passed=decision.verification.passed,
            exit_code=decision.verification.exit_code,
            output=redacted(decision.verification.output_tail)[-_OUTPUT_CHARS_MAX:],
        )
        for decision in record.decisions
        if isinstance(decision, d.VerificationNoted) and decision.ticket_id == ticket_id
    ]


def _generation(key: CommandKey) -> int:
    number = key.rpartition("#")[2].partition("/")[0]
    return int(number) if number.isdecimal() else 0
