"""Looks at open pull requests and tells the scheduler what is new: threads, verdicts, checks, conflicts, and how it ended.

One request says which of them have changed; only those are read, and those whose checks may still be running. Its trouble
changes nothing about any ticket: it is logged, and the next look comes at its time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
from msgspec import Struct, structs

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, NotFound, OpenSymphonyError, Refused, ServiceError, WorkspaceError
from opensymphony.interfaces import CodeHost, Workspaces
from opensymphony.logs import get_logger
from opensymphony.model import CommitCheck, PullRequest, PullRequestReading, ReviewThread, TicketId, Workspace
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.merging import is_merge_news
from opensymphony.scheduler.messages import lean
from opensymphony.scheduler.reviews import has_news, news_of
from opensymphony.scheduler.state import Entry, State
from opensymphony.workflow.policy import ReviewPolicy

_EVERY_MS = 900_000
"""What has not changed is read again all the same, since not everything that matters counts as a change."""
_CHECKS_MS = 1_800_000
"""For so long after a push checks may begin, of which the pull request itself says nothing."""
_QUOTES_MAX = 50
_LOGS_MAX = 5

log = get_logger(__name__)


class _Known(Struct):
    """What was read of a pull request."""

    updated_ms: int
    head: str
    head_ms: int
    read_ms: int
    pending: bool


class ReviewPoller:
    """Belongs to one daemon; what it remembers is only for saving requests."""

    def __init__(
        self,
        host: CodeHost,
        workspaces: Workspaces,
        state: State,
        clock: Clock,
        post: Callable[[e.Event], Awaitable[None]],
    ) -> None:
        self._host = host
        self._workspaces = workspaces
        self._state = state
        self._clock = clock
        self._post = post
        self._known: dict[str, _Known] = {}
        self._hurry = anyio.Event()
        self._urgent: set[str] = set()
        self.error = ""
        """What went wrong at the last look; empty when nothing did."""

    def look_at(self, branches: Sequence[str]) -> int:
        """Something may have happened to the pull requests of these branches: look soon. How many there are."""
        pulls = (entry.pull.pull_request for entry in self._state.entries.values() if entry.pull is not None)
        found = {pull.id for pull in pulls if pull.branch in branches and pull.state == "open"}
        self._urgent.update(found)
        if found:
            self._hurry.set()
        return len(found)

    def watch(self, decisions: tuple[d.Decision, ...], at_ms: int) -> None:
        """Told of what was decided: one that was just opened is looked at soon, one to be merged at the next look."""
        if any(isinstance(decision, d.PullRequestNoted) for decision in decisions):
            self._hurry.set()
        for again in (one for one in decisions if isinstance(one, d.MergeAwaited) and one.again):
            entry = self._state.entries.get(again.ticket_id)
            if entry is not None and entry.pull is not None:
                self._urgent.add(entry.pull.pull_request.id)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._hurry = anyio.Event()  # before: a hint that comes while we look is one
            pause_ms = await self.look()
            with anyio.move_on_after(pause_ms / 1000):
                await self._hurry.wait()
                await anyio.sleep(0.2)  # hints come in bunches

    async def look(self) -> int:
        """Read what may have changed; how many milliseconds to wait for the next look."""
        policy = self._state.policy
        if policy is None:
            return 1_000
        watched: dict[str, list[Entry]] = {}  # tickets that share a branch share a pull request
        for entry in self._state.entries.values():
            if entry.pull is not None and entry.pull.pull_request.state == "open" and entry.phase != "closed":
                watched.setdefault(entry.pull.pull_request.id, []).append(entry)
        self._known = {key: known for key, known in self._known.items() if key in watched}
        problem = ""
        try:
            for pull_request in await self._host.fetch(tuple(watched)):
                entries = watched[pull_request.id]
                for entry in [one for one in entries if self._is_worth_reading(pull_request, one)]:
                    problem = await self._problem_of(pull_request, entry, policy.review) or problem
        except OpenSymphonyError as error:
            self.error = str(error)
            log.warning("pull requests cannot be read; they are looked at again later", error=str(error))
            asked_ms = error.retry_after_ms if isinstance(error, ServiceError) else None
            return max(policy.review.interval_ms, asked_ms or 0)
        self.error = problem
        return policy.review.interval_ms

    async def _problem_of(self, pull_request: PullRequest, entry: Entry, policy: ReviewPolicy) -> str:
        """Read it; what is wrong with this one alone keeps nobody from reading the others."""
        try:
            await self._read(pull_request, entry, policy)
        except (BadAnswer, Refused) as error:
            log.warning("a pull request cannot be read", pull_request=pull_request.url, error=str(error))
            return str(error)
        return ""

    def _is_worth_reading(self, pull_request: PullRequest, entry: Entry) -> bool:
        known, now_ms = self._known.get(pull_request.id), self._clock.now_ms()
        if known is None or pull_request.id in self._urgent or known.updated_ms != pull_request.updated_ms:
            return True
        unsaid = entry.pull is not None and (entry.pull.answers or entry.pull.tied != pull_request.url)
        young = now_ms - known.head_ms < _CHECKS_MS
        return bool(unsaid) or known.pending or young or now_ms - known.read_ms >= _EVERY_MS

    async def _read(self, pull_request: PullRequest, entry: Entry, policy: ReviewPolicy) -> None:
        began_ms = self._clock.now_ms()
        self._urgent.discard(pull_request.id)
        try:
            reading = await self._host.read(pull_request.id)
        except NotFound:
            log.warning("a pull request is gone", pull_request=pull_request.url, ticket=entry.ticket.identifier)
            return
        if entry.pull is None:
            return
        news = news_of(entry.pull, reading, policy)
        if has_news(entry.pull, reading, policy) or is_merge_news(self._state, entry, reading):
            if news.conflicts and entry.workspace is not None:
                await self._offer_base(entry.workspace)
            logs = {check.key: await self._log_of(reading, check) for check in news.checks[:_LOGS_MAX]}
            quotes = {thread.id: await self._quote_of(reading, thread, entry) for thread in news.threads[:_QUOTES_MAX]}
            told = structs.replace(
                reading,
                threads=tuple(
                    structs.replace(lean(one), quote=quotes.get(one.id) or one.quote) for one in news.threads
                ),
                checks=tuple(structs.replace(one, log=logs.get(one.key, one.log)) for one in reading.checks),
            )
            ticket_id: TicketId = entry.ticket.id
            await self._post(e.PullRequestObserved(at_ms=self._clock.now_ms(), ticket_id=ticket_id, reading=told))
        before = self._known.get(pull_request.id)
        head = reading.pull_request.head
        self._known[pull_request.id] = _Known(
            updated_ms=pull_request.updated_ms,
            head=head,
            head_ms=before.head_ms if before is not None and before.head == head else began_ms,
            read_ms=began_ms,
            pending=any(check.state == "pending" for check in reading.checks),
        )

    async def _offer_base(self, workspace: Workspace) -> None:
        """A run that is at work is told of the conflicts, too, and needs what they are with."""
        try:
            await self._workspaces.offer_base(workspace)
        except WorkspaceError as error:
            log.warning("the newest commits of the base cannot be handed over", error=str(error))

    async def _log_of(self, reading: PullRequestReading, check: CommitCheck) -> str:
        """What it has printed; a check is told without it rather than not at all."""
        try:
            return await self._host.read_log(reading.pull_request.head, check)
        except OpenSymphonyError as error:
            log.warning("the log of a check cannot be read", check=check.name, error=str(error))
            return ""

    async def _quote_of(self, reading: PullRequestReading, thread: ReviewThread, entry: Entry) -> str:
        if entry.workspace is None or not thread.path or thread.line is None or thread.is_outdated:
            return ""
        try:
            head = reading.pull_request.head
            return await self._workspaces.quote(entry.workspace, head, thread.path, thread.line)
        except WorkspaceError:
            return ""
