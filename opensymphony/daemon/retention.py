"""Removes what has been kept long enough: log files, archived conversations, and workspaces of tickets that rest.

Once an hour, off the loop, a limited number at a time. By age and by size, whichever limit of the policy is reached first, the
oldest first. Workspaces are not removed here: the scheduler is told which have expired, and its command refuses those that
hold work that was never pushed. One that was refused is told again only when something in it has changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.daemon.loop import Post
from opensymphony.daemon.sizes import Size, measure
from opensymphony.errors import WorkspaceError
from opensymphony.logs import FILE_NAME, get_logger
from opensymphony.model import TicketId
from opensymphony.scheduler import events as e
from opensymphony.scheduler.state import Entry, State
from opensymphony.workflow.policy import Policy
from opensymphony.workspace import removal

_FIRST_S = 60
"""After the start; nothing is urgent, and a start has enough to do."""
_EVERY_S = 3_600
_ROUND_MAX = 50
"""Of each kind, in one round."""
_WALK_S = 5.0
"""For each thing that is measured."""
_DAY_MS = 86_400_000
_OLD_LOG = re.compile(rf"{re.escape(FILE_NAME)}\.[0-9]{{1,4}}")
"""Only files that were put aside by our own rotation; the one that is written to is not ours to remove."""
_CONVERSATION = re.compile(r"[0-9a-f]{32}(\.[0-9]{1,4})?")

log = get_logger(__name__)


class Kept(Struct, frozen=True, kw_only=True):
    """One thing that is kept, and since when."""

    name: str
    since_ms: int
    size: Size


class _Refused(Struct, frozen=True):
    """A workspace that was not removed although it had expired, as it looked then."""

    since_ms: int
    size: Size | None = None
    """None until it is measured again: hooks may have changed it while it was looked at."""


def expired(
    kept: Sequence[Kept], now_ms: int, *, days: int, bytes_max: int, spare: Collection[str] = ()
) -> tuple[Kept, ...]:
    """What is older than so many days, and then the oldest until the rest fits; 0 turns a limit off.

    What is in `spare` takes its room, but is not chosen.
    """
    total = sum(one.size.bytes for one in kept)
    chosen: list[Kept] = []
    for one in sorted(kept, key=lambda one: (one.since_ms, one.name)):
        old = days > 0 and now_ms - one.since_ms > days * _DAY_MS
        if (old or (bytes_max > 0 and total > bytes_max)) and one.name not in spare:
            chosen.append(one)
            total -= one.size.bytes
    return tuple(chosen)


def rests(entry: Entry) -> bool:
    """Whether its workspace may expire: nothing works in it, and nothing will without a person."""
    return entry.workspace is not None and entry.run is None and entry.phase in ("in_review", "needs_person", "closed")


class Retention:
    """Looks, and removes or tells."""

    def __init__(
        self,
        *,
        logs_dir: Path,
        archives_dir: Path,
        state: State,
        policy: Callable[[], Policy],
        post: Post,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._logs_dir = logs_dir
        self._archives_dir = archives_dir
        self._state = state
        self._policy = policy
        self._post = post
        self._clock = clock
        self._sleep = sleep
        self._refused: dict[TicketId, _Refused] = {}

    async def run(self) -> None:
        """Look until cancelled, first a minute or two after the start."""
        await self._sleep(_FIRST_S * (1 + self._clock.jitter()))
        while True:
            await self.look()
            await self._sleep(_EVERY_S * (0.9 + 0.2 * self._clock.jitter()))

    async def look(self) -> None:
        """Look once. What cannot be removed is logged and stays for the next time."""
        keep, now_ms = self._policy().retention, self._clock.now_ms()
        logs = partial(_prune_logs, self._logs_dir, self._clock, now_ms, keep.logs_days, keep.logs_bytes)
        archives = partial(
            _prune_archives, self._archives_dir, self._clock, now_ms, keep.archives_days, keep.archives_bytes
        )
        for prune in (logs, archives):
            await anyio.to_thread.run_sync(prune)
        if keep.workspaces_days or keep.workspaces_bytes:
            await self._expire_workspaces(now_ms, keep.workspaces_days, keep.workspaces_bytes)

    async def _expire_workspaces(self, now_ms: int, days: int, bytes_max: int) -> None:
        resting = [entry for entry in self._state.entries.values() if rests(entry)]
        here = {entry.ticket.id for entry in resting}
        self._refused = {ticket_id: one for ticket_id, one in self._refused.items() if ticket_id in here}
        kept: list[Kept] = []
        spare: set[str] = set()
        for entry in resting:
            assert entry.workspace is not None
            size = await anyio.to_thread.run_sync(
                partial(measure, entry.workspace.path, self._clock, seconds_max=_WALK_S)
            )
            kept.append(Kept(name=entry.ticket.id, since_ms=entry.since_ms, size=size))
            if self._was_refused(entry, size):
                spare.add(entry.ticket.id)
        for one in expired(kept, now_ms, days=days, bytes_max=bytes_max, spare=spare)[:_ROUND_MAX]:
            ticket_id = TicketId(one.name)
            self._refused[ticket_id] = _Refused(one.since_ms)
            await self._post(e.WorkspaceExpired(at_ms=self._clock.now_ms(), ticket_id=ticket_id))

    def _was_refused(self, entry: Entry, size: Size) -> bool:
        """Whether it was asked for in vain and looks as it did then; `note` remembers that over a restart."""
        known = self._refused.get(entry.ticket.id)
        if known is None or known.since_ms != entry.since_ms:
            if not entry.note:
                return False
            known = _Refused(entry.since_ms)
        if known.size is None or not size.whole:
            self._refused[entry.ticket.id] = _Refused(entry.since_ms, size)
            return True
        return known.size == size


def _prune_logs(directory: Path, clock: Clock, now_ms: int, days: int, bytes_max: int) -> None:
    """The file that is written to counts for its size, and stays."""
    kept = [
        *_look(directory, clock, lambda entry: _OLD_LOG.fullmatch(entry.name) is not None and _is_file(entry)),
        *_look(directory, clock, lambda entry: entry.name == FILE_NAME and _is_file(entry)),
    ]
    for one in expired(kept, now_ms, days=days, bytes_max=bytes_max, spare={FILE_NAME})[:_ROUND_MAX]:
        try:
            (directory / one.name).unlink(missing_ok=True)
        except OSError as error:
            _warn("an old log file cannot be removed", directory / one.name, error.strerror)
        else:
            log.info("an old log file was removed", file=one.name, bytes=one.size.bytes)


def _prune_archives(directory: Path, clock: Clock, now_ms: int, days: int, bytes_max: int) -> None:
    if directory.is_symlink():
        return
    removal.sweep(str(directory))
    kept = _look(
        directory,
        clock,
        lambda entry: _CONVERSATION.fullmatch(entry.name) is not None and entry.is_dir(follow_symlinks=False),
    )
    for one in expired(kept, now_ms, days=days, bytes_max=bytes_max)[:_ROUND_MAX]:
        try:
            left = removal.remove(str(directory), one.name)
        except WorkspaceError as error:
            _warn("an archived conversation cannot be removed", directory / one.name, str(error))
        else:
            log.info("an archived conversation was removed", conversation=one.name, bytes=one.size.bytes, left=left)


def _look(directory: Path, clock: Clock, wanted: Callable[[os.DirEntry[str]], bool]) -> list[Kept]:
    """What is in a directory, by the age of its newest change of its own, with its size."""
    found: list[Kept] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if wanted(entry):
                    since_ms = entry.stat(follow_symlinks=False).st_mtime_ns // 1_000_000
                    size = measure(entry.path, clock, seconds_max=_WALK_S)
                    found.append(Kept(name=entry.name, since_ms=since_ms, size=size))
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            _warn("what is kept cannot be looked at", directory, error.strerror)
    return found


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def _warn(what: str, path: Path, why: str | None) -> None:
    log.warning(what, path=str(path), error=why or "unknown")
