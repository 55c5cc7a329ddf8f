"""The tracker role over Jira Cloud.

In: the calls of `interfaces.Tracker`. Out: readings of one project, and writes of a claim, one comment and a status. The search
tells only which issues there are, since its index lags behind; what they say is read by their ids. `docs/services/jira.md` is
its profile.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread
import msgspec
from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, NotFound, Refused, Unreachable
from opensymphony.logs import get_logger
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
from opensymphony.services.jira.client import JiraClient, ReadToken, body_of, escaped
from opensymphony.services.jira.comments import CommentWriter
from opensymphony.services.jira.issues import (
    CLAIM_PROPERTY,
    COMMENTS_MAX,
    FIELDS,
    Comments,
    Issue,
    Malformed,
    Priority,
    Reading,
    User,
    claim_in,
    comments_of,
    has_open_relations,
    milliseconds_in,
)
from opensymphony.services.jira.limits import Limits
from opensymphony.services.jira.site import SERVICE, Site, read_site
from opensymphony.services.jira.transitions import move
from opensymphony.workflow.policy import TrackerPolicy

_BATCH_MAX = 100
_PAGE_MAX = 100
_PAGES_MAX = 200
_KNOWN_MAX = 20_000
_PROBLEMS_MAX = 100
_SETTLE_MS = 2_000
"""Between reading and writing a property there is one request: none takes that long and still counts."""
_IDENTITY_MS = 600_000
_IN_DOUBT_MS = 60_000
_PRIORITIES_MS = 3_600_000

log = get_logger(__name__)


class _Found(Struct, frozen=True, kw_only=True):
    id: str
    fields: dict[str, msgspec.Raw] = {}


class _SearchPage(Struct, frozen=True, kw_only=True):
    issues: tuple[_Found, ...] = ()
    nextPageToken: str | None = None
    isLast: bool | None = None


class _Batch(Struct, frozen=True, kw_only=True):
    issues: tuple[Issue, ...] = ()
    issueErrors: tuple[msgspec.Raw, ...] = ()


class _Priorities(Struct, frozen=True, kw_only=True):
    values: tuple[Priority, ...] = ()


class _Property(Struct, frozen=True, kw_only=True):
    value: msgspec.Raw = msgspec.Raw(b"null")


class _Known(Struct, frozen=True, kw_only=True):
    """What an issue said, and when it had been updated then."""

    updated_ms: int | None
    ticket: Ticket
    problems: tuple[str, ...] = ()


def _known(issue: Issue, ticket: Ticket, odd: Sequence[str]) -> _Known:
    noted = tuple(f"{SERVICE}: {issue.key}: {name} is something else and was left out" for name in odd)
    return _Known(updated_ms=milliseconds_in(issue.fields.get("updated")), ticket=ticket, problems=noted)


class JiraTracker:
    """Satisfies `interfaces.Tracker`."""

    def __init__(
        self,
        policy: TrackerPolicy,
        clock: Clock,
        read_token: ReadToken,
        *,
        limits: Limits | None = None,
        settle_ms: int = _SETTLE_MS,
    ) -> None:
        """Raises `ConfigurationError` when the policy does not say which site and project."""
        self._policy = policy
        self._clock = clock
        self._settle_ms = settle_ms
        self.site: Site = read_site(policy)
        self.client = JiraClient(self.site, read_token, clock, limits)
        self._account_id = ""
        self._account_ms = 0
        self._priorities: tuple[str, ...] = ()
        self._priorities_ms: int | None = None
        self._known: dict[str, _Known] = {}
        self._written: set[TicketId] = set()
        """Tickets that we wrote to since the last poll began."""
        self._comments = CommentWriter(self.client)

    def state(self) -> TrackerState | None:
        used = self.client.limits.usage
        return TrackerState(
            requests=used.requests,
            refused=used.refused,
            remaining=used.remaining,
            paused_until_ms=used.paused_until_ms,
        )

    @property
    def account(self) -> str:
        return self._account_id

    async def close(self) -> None:
        await self.client.close()

    # reading ---------------------------------------------------------------------------------------------------

    async def fetch_candidates(self, states: Sequence[str]) -> TicketPage:
        if not states:
            return TicketPage(tickets=())
        await self._sign_in(_IDENTITY_MS)
        found = await self._search(states)
        if not found and self._known:
            await self._sign_in(0)  # without a good token Jira shows nothing, and does not say why
        self._written.clear()
        read, problems = await self._read_again([one.id for one in found if not self._is_fresh(one)])
        kept = [known for one in found if (known := read.get(one.id) or self._known.get(one.id)) is not None]
        # What we wrote meanwhile may not be in the reading: the next poll reads it again.
        fresh = [one for one in kept if one.ticket.id not in self._written]
        self._known = {one.ticket.id: one for one in fresh[-_KNOWN_MAX:]}
        wanted = {state.strip().casefold() for state in states}
        shown = [one for one in kept if one.ticket.state.casefold() in wanted]
        problems += [problem for one in shown for problem in one.problems]
        return TicketPage(tickets=tuple(one.ticket for one in shown), problems=tuple(problems[:_PROBLEMS_MAX]))

    async def _read_again(self, ids: Sequence[str]) -> tuple[dict[str, _Known], list[str]]:
        """What these say now, and what is wrong with those that are no tickets."""
        reading, read, problems = await self._reading(), dict[str, _Known](), list[str]()
        for issue_id in ids:
            self._known.pop(issue_id, None)
        for start in range(0, len(ids), _BATCH_MAX):
            for issue in (await self._batch(ids[start : start + _BATCH_MAX])).issues:
                try:
                    found = await self._ticket(reading, issue)
                except Malformed as error:
                    problems.append(f"{SERVICE}: {issue.key or issue.id}: {error}")
                    continue
                if found is not None:
                    read[issue.id] = _known(issue, *found)
        return read, problems

    async def fetch_tickets(self, ids: Sequence[TicketId]) -> tuple[Ticket, ...]:
        if not ids:
            return ()
        await self._sign_in(_IDENTITY_MS)
        reading, tickets = await self._reading(), dict[str, Ticket]()
        asked = list(dict.fromkeys(ids))
        for start in range(0, len(asked), _BATCH_MAX):
            batch = await self._batch(asked[start : start + _BATCH_MAX])
            if batch.issueErrors:
                raise Unreachable(SERVICE, f"{len(batch.issueErrors)} issues cannot be read at the moment")
            for issue in batch.issues:
                try:
                    found = await self._ticket(reading, issue)
                except Malformed as error:
                    raise BadAnswer(SERVICE, f"{issue.key or issue.id}: {error}") from error
                if found is not None:
                    tickets[issue.id] = found[0]
                    if issue.id in self._known:  # what the search shows of it is older from now on
                        self._known[issue.id] = _known(issue, *found)
        if len(tickets) < len(asked):
            await self._sign_in(_IN_DOUBT_MS)  # what is gone, and what we may not see, look the same
        return tuple(tickets[ticket_id] for ticket_id in ids if ticket_id in tickets)

    async def _ticket(self, reading: Reading, issue: Issue) -> tuple[Ticket, tuple[str, ...]] | None:
        """None for an issue that is in another project now."""
        if not reading.is_ours(issue):
            return None
        newest = None if comments_of(issue).is_whole else await self._newest_comments(issue.id)
        return await anyio.to_thread.run_sync(reading.ticket, issue, newest)

    def _is_fresh(self, found: _Found) -> bool:
        """Whether what we have read is as new as what the search has seen; it lags, and never shows us the past."""
        known = self._known.get(found.id)
        if known is None or has_open_relations(known.ticket):
            return False
        seen_ms = milliseconds_in(found.fields.get("updated"))
        return seen_ms is not None and known.updated_ms is not None and seen_ms <= known.updated_ms

    def _note_write(self, ticket_id: TicketId) -> None:
        """Whatever was read of it before is of no use any more."""
        self._known.pop(ticket_id, None)
        self._written.add(ticket_id)

    async def _search(self, states: Sequence[str]) -> list[_Found]:
        """Which issues there are, in the order in which they were made."""
        found: dict[str, _Found] = {}
        token: str | None = None
        for _ in range(_PAGES_MAX):
            asked = body_of(jql=self._jql(states), fields=["updated"], maxResults=_PAGE_MAX, nextPageToken=token)
            answer = await self.client.call("POST", "/search/jql", name="search", json=asked, repeatable=True)
            page = answer.value(_SearchPage)
            found.update((one.id, one) for one in page.issues)
            if page.isLast or page.nextPageToken is None:
                return list(found.values())
            if page.nextPageToken == token:
                break
            token = page.nextPageToken
        raise BadAnswer(SERVICE, f"the search does not come to an end after {len(found):,} issues")

    def _jql(self, states: Sequence[str]) -> str:
        named = ", ".join(f'"{escaped(state.strip())}"' for state in states)
        terms = [f'project = "{escaped(self.site.project_key)}"', f"status IN ({named})"]
        if self._policy.assignee == "me":
            terms.append("assignee = currentUser()")
        elif self._policy.assignee:
            terms.append(f'assignee = "{escaped(self._policy.assignee)}"')
        if self.site.jql:
            terms.append(f"({self.site.jql})")
        return f"{' AND '.join(terms)} ORDER BY created ASC, key ASC"

    async def _batch(self, ids: Sequence[str]) -> _Batch:
        criteria = self.site.acceptance_criteria_field
        fields = [*FIELDS, *([criteria] if criteria else [])]
        asked = {"issueIdsOrKeys": list(ids), "fields": fields, "properties": [CLAIM_PROPERTY]}
        answer = await self.client.call("POST", "/issue/bulkfetch", name="read issues", json=asked, repeatable=True)
        return answer.value(_Batch)

    async def _newest_comments(self, issue_id: str) -> Comments:
        params = {"orderBy": "-created", "maxResults": COMMENTS_MAX + 5}
        answer = await self.client.call("GET", f"/issue/{issue_id}/comment", name="read comments", params=params)
        return answer.value(Comments)

    async def _sign_in(self, older_than_ms: int) -> None:
        """Be sure of who we are: many of Jira's answers are for anybody, and empty for those that it does not know."""
        now_ms = self._clock.now_ms()
        if self._account_id and now_ms - self._account_ms < older_than_ms:
            return
        user = (await self.client.call("GET", "/myself", name="read our account")).value(User)
        if not user.accountId:
            raise Refused(SERVICE, f"{self.site.base_url} does not say whose token this is: {self.site.token_remedy}")
        self._account_id, self._account_ms = user.accountId, now_ms

    async def _reading(self) -> Reading:
        policy = self._policy
        unblocking = policy.terminal_states if policy.unblocking_states is None else policy.unblocking_states
        return Reading(
            site=self.site,
            account_id=self._account_id,
            assignee=policy.assignee,
            unblocking=frozenset(state.casefold() for state in unblocking),
            priorities=await self._read_priorities(),
        )

    async def _read_priorities(self) -> tuple[str, ...]:
        """The site's order; without it tickets have no priority, which is no reason not to work."""
        now_ms = self._clock.now_ms()
        if self._priorities_ms is None or now_ms - self._priorities_ms > _PRIORITIES_MS:
            self._priorities_ms = now_ms
            try:
                answer = await self.client.call(
                    "GET", "/priority/search", name="read priorities", params={"maxResults": 50}
                )
                self._priorities = tuple(one.id for one in answer.value(_Priorities).values)
            except (Refused, NotFound, BadAnswer) as error:
                log.warning("the site's priorities cannot be read", error=str(error))
        return self._priorities

    # writing ---------------------------------------------------------------------------------------------------

    @property
    def claim_settle_ms(self) -> int:
        return self._settle_ms

    async def claim(self, ticket_id: TicketId, claim: Claim, *, replacing: Claim | None) -> ClaimAnswer:
        held = await self._held(ticket_id)
        if held is not None and held.instance != claim.instance and held != replacing:
            return ClaimAnswer(granted=False, holder=held)
        if held != claim:
            path = f"/issue/{ticket_id}/properties/{CLAIM_PROPERTY}"
            try:
                await self.client.call("PUT", path, name="write the claim", json=claim, writes_to=ticket_id)
            finally:
                self._note_write(ticket_id)
        return ClaimAnswer(granted=True)

    async def release(self, ticket_id: TicketId, claim: Claim) -> None:
        try:
            held = await self._held(ticket_id)
            # A late release of an older generation must not free the present one.
            if held is None or held.instance != claim.instance or held.generation > claim.generation:
                return
            path = f"/issue/{ticket_id}/properties/{CLAIM_PROPERTY}"
            await self.client.call("DELETE", path, name="take the claim off", writes_to=ticket_id)
        except NotFound:
            return
        finally:
            self._note_write(ticket_id)

    async def _held(self, ticket_id: TicketId) -> Claim | None:
        """The claim that stands on the ticket. Raises `NotFound` when the ticket is gone."""
        path = f"/issue/{ticket_id}/properties"
        try:
            answer = await self.client.call("GET", f"{path}/{CLAIM_PROPERTY}", name="read the claim")
        except NotFound:
            await self.client.call("GET", path, name="read the claim")  # is it the property that is missing?
            return None
        return claim_in(answer.value(_Property).value)

    async def upsert_comment(self, ticket_id: TicketId, marker: str, body: str) -> str:
        await self._sign_in(_IDENTITY_MS)
        try:
            return await self._comments.upsert(ticket_id, marker, body, account_id=self._account_id)
        finally:
            self._note_write(ticket_id)

    async def link(self, ticket_id: TicketId, pull_request: PullRequest) -> None:
        """As a remote link: Jira keeps one for each `globalId`."""
        link = {
            "globalId": f"opensymphony:pull-request:{pull_request.url}",
            "application": {"type": "opensymphony", "name": "OpenSymphony"},
            "relationship": "pull request",
            "object": {"url": pull_request.url, "title": f"Pull request {pull_request.id}: {pull_request.title}"[:255]},
        }
        try:
            path, name = f"/issue/{ticket_id}/remotelink", "link the pull request"
            await self.client.call("POST", path, name=name, json=link, repeatable=True, writes_to=ticket_id)
        finally:
            self._note_write(ticket_id)

    async def transition(self, ticket_id: TicketId, *, from_states: Sequence[str], to_state: str) -> TransitionAnswer:
        try:
            return await move(self.client, ticket_id, from_states=from_states, to_state=to_state)
        finally:
            self._note_write(ticket_id)
