"""The tracker role over a folder of Markdown tickets.

In: the calls of `interfaces.Tracker`. Out: readings of the folder, and edits of single files that leave everything but the
state and the claim of a ticket byte for byte as people wrote it. `docs/services/files.md` is its profile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, ConfigurationError, NotFound, Problem, Refused, ServiceError, Unreachable
from opensymphony.model import (
    Claim,
    ClaimAnswer,
    PullRequest,
    Ticket,
    TicketId,
    TicketPage,
    TrackerState,
    TransitionAnswer,
)
from opensymphony.services.files import comment_file, exchange, ticket_file
from opensymphony.services.files.folder import SERVICE, Folder, is_ticket, malformed, translated
from opensymphony.services.files.front_matter import FILE_BYTES_MAX, Malformed
from opensymphony.workflow.policy import TrackerPolicy

_PAUSE_S = 0.01
_CONTESTED_TRIES = 100
"""A person saves once in a while; a program that saves a hundred times in a second is left to itself for now."""
_SETTLE_MS = 3_000
"""Without locks: an edit takes milliseconds, and a shared folder shows it to others within a second or two."""
_SAVING_TRIES = 10
"""A file that is being saved is empty, half there or missing for a moment; this is that moment, in pauses."""

_Answer = TypeVar("_Answer")
_Edit = Callable[[bytes], tuple[bytes, _Answer]]


class FilesTracker:
    """Satisfies `interfaces.Tracker`. Every call works in one thread at a time; none blocks the loop."""

    def __init__(self, policy: TrackerPolicy, clock: Clock) -> None:
        """Raises `ConfigurationError` when the policy names no folder; a folder that is missing is found out by reading."""
        self._path = _folder_of(policy)
        self._folder = Folder(Path(self._path), clock)
        self._turn = anyio.Lock()
        self._locks = True
        """Whether the file system has locks, as far as it was tried."""

    async def fetch_candidates(self, states: Sequence[str]) -> TicketPage:
        if not states:
            return TicketPage(tickets=())
        wanted = tuple(states)
        return await self._in_thread(lambda: self._folder.scan().page(wanted))

    async def fetch_tickets(self, ids: Sequence[TicketId]) -> tuple[Ticket, ...]:
        if not ids:
            return ()
        return await self._in_thread(partial(self._folder.tickets, tuple(ids)))

    @property
    def claim_settle_ms(self) -> int:
        return 0 if self._locks else _SETTLE_MS

    async def claim(self, ticket_id: TicketId, claim: Claim, *, replacing: Claim | None) -> ClaimAnswer:
        def edit(data: bytes) -> tuple[bytes, ClaimAnswer]:
            held = ticket_file.parse(ticket_id, data).claim
            if held is not None and held.instance != claim.instance and held != replacing:
                return data, ClaimAnswer(granted=False, holder=held)
            granted = ClaimAnswer(granted=True)
            return (data if held == claim else ticket_file.with_claim(data, claim)), granted

        return await self._in_thread(lambda: self._edit_ticket(ticket_id, edit))

    async def release(self, ticket_id: TicketId, claim: Claim) -> None:
        def edit(data: bytes) -> tuple[bytes, None]:
            held = ticket_file.parse(ticket_id, data).claim
            # A late release of an older generation must not free the present one.
            if held is None or held.instance != claim.instance or held.generation > claim.generation:
                return data, None
            return ticket_file.with_claim(data, None), None

        try:
            await self._in_thread(lambda: self._edit_ticket(ticket_id, edit))
        except NotFound:
            return

    async def link(self, ticket_id: TicketId, pull_request: PullRequest) -> None:
        """Its address stands in the comment; a file has no other place for it."""

    async def transition(self, ticket_id: TicketId, *, from_states: Sequence[str], to_state: str) -> TransitionAnswer:
        wanted = {state.strip().casefold() for state in from_states}

        def edit(data: bytes) -> tuple[bytes, TransitionAnswer]:
            state = ticket_file.parse(ticket_id, data).state
            if state.casefold() not in wanted or state.casefold() == to_state.strip().casefold():
                return data, TransitionAnswer(moved=False, state=state)
            moved = ticket_file.with_state(data, to_state.strip())
            return moved, TransitionAnswer(moved=True, state=to_state.strip())

        return await self._in_thread(lambda: self._edit_ticket(ticket_id, edit))

    async def upsert_comment(self, ticket_id: TicketId, marker: str, body: str) -> str:
        await self._in_thread(lambda: self._comment(ticket_id, marker, body))
        return f"{ticket_id}.comments.md#{comment_file.name_of(marker)}"

    def state(self) -> TrackerState | None:
        return None

    @property
    def account(self) -> str:
        return ""

    async def close(self) -> None:
        """Nothing is held between two calls."""

    async def _in_thread(self, work: Callable[[], _Answer]) -> _Answer:
        async with self._turn:
            return await to_thread.run_sync(work)

    def _edit_ticket(self, ticket_id: TicketId, edit: _Edit[_Answer]) -> _Answer:
        name = f"{ticket_id}.md"

        def step(folder: int) -> _Answer:
            before = self._read(folder, ticket_id)
            try:
                data, answer = edit(before.data)
            except Malformed as error:
                raise _NotYet(malformed(self._path, name, error.line, error.message), _SAVING_TRIES) from error
            if data != before.data and not self._replace(folder, name, before, data):
                raise self._contested(name)
            return answer

        return self._until_settled(step)

    def _comment(self, ticket_id: TicketId, marker: str, body: str) -> None:
        name = f"{ticket_id}.comments.md"

        def step(folder: int) -> None:
            ticket = self._read(folder, ticket_id)
            try:
                before = exchange.read(folder, name, FILE_BYTES_MAX)
            except FileNotFoundError:
                if not exchange.create(folder, name, comment_file.upsert(b"", marker, body), ticket.mode):
                    raise self._contested(name) from None
                return
            except exchange.NotAFile as error:
                raise Refused(SERVICE, f"{self._path}/{name} is not a plain file; move it away") from error
            data = self._with_comment(name, before.data, marker, body)
            if data != before.data and not self._replace(folder, name, before, data):
                raise self._contested(name)

        self._until_settled(step)

    def _until_settled(self, step: Callable[[int], _Answer]) -> _Answer:
        """Again from the start as long as a person saves in between; every try has the folder to itself."""
        tries: dict[type[ServiceError], int] = {}
        while True:
            try:
                with (
                    translated(self._path),
                    exchange.opened(self._path) as folder,
                    exchange.locked(folder) as self._locks,
                ):
                    return step(folder)
            except _NotYet as unsettled:
                kind = type(unsettled.error)
                tries[kind] = tries.get(kind, 0) + 1
                if tries[kind] >= unsettled.tries:
                    raise unsettled.error from unsettled
            time.sleep(_PAUSE_S)

    def _with_comment(self, name: str, data: bytes, marker: str, body: str) -> bytes:
        try:
            changed = comment_file.upsert(data, marker, body)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise malformed(self._path, name, line, "the file is not UTF-8 text; save it with that encoding") from error
        if len(changed) > FILE_BYTES_MAX:
            size = f"{FILE_BYTES_MAX // 1024:,} KiB"
            raise BadAnswer(SERVICE, f"{self._path}/{name} is larger than {size}; move old comments elsewhere")
        return changed

    def _read(self, folder: int, ticket_id: TicketId) -> exchange.Reading:
        name = f"{ticket_id}.md"
        if not is_ticket(ticket_id):
            raise self._gone(name)
        try:
            return exchange.read(folder, name, FILE_BYTES_MAX)
        except FileNotFoundError as error:
            # Left aside by a crash of ours (nobody else holds the lock), or moved away by an editor for a moment.
            exchange.recover(folder)
            raise _NotYet(self._gone(name), _SAVING_TRIES) from error
        except exchange.NotAFile as error:
            raise Refused(SERVICE, f"{self._path}/{name} is not a plain file; put the ticket itself there") from error

    def _replace(self, folder: int, name: str, before: exchange.Reading, data: bytes) -> bool:
        try:
            return exchange.replace(folder, name, before, data)
        except FileNotFoundError as error:
            raise _NotYet(self._gone(name), _SAVING_TRIES) from error

    def _gone(self, name: str) -> NotFound:
        return NotFound(SERVICE, f"there is no {name!r} in {self._path}; it was removed or renamed")

    def _contested(self, name: str) -> _NotYet:
        message = f"{self._path}/{name} is saved again and again, or held open for writing; it is tried again later"
        return _NotYet(Unreachable(SERVICE, message), _CONTESTED_TRIES)


class _NotYet(Exception):
    """Raised when a file may look better in a moment; `error` is what to say when it does not."""

    def __init__(self, error: ServiceError, tries: int) -> None:
        self.error = error
        self.tries = tries
        super().__init__(str(error))


def _folder_of(policy: TrackerPolicy) -> str:
    path = policy.provider.get("path")
    key = "tracker.provider.path"
    if isinstance(path, str) and path.strip():
        if os.path.isabs(path):
            return path
        message = f"must be an absolute path once resolved, not {path!r}"
    elif path is None:
        message = "is missing; name the folder of tickets"
    else:
        message = "must be the path of the folder of tickets"
    raise ConfigurationError([Problem(file="WORKFLOW.md", key=key, message=message, code="invalid_tracker_provider")])
