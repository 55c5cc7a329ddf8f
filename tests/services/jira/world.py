"""A Jira site and the people on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from opensymphony.clock import Clock
from opensymphony.interfaces import Tracker
from opensymphony.model import TicketId
from opensymphony.services.jira.adf import to_document, to_markdown
from opensymphony.services.jira.oauth import OAuthTokens
from opensymphony.services.jira.site import read_site
from opensymphony.services.jira.tracker import JiraTracker
from opensymphony.workflow.policy import TrackerPolicy
from tests.fakes.jira import EMAIL, TOKEN, FakeJira
from tests.fakes.jira_oauth import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN

SETTLE_MS = 300
"""Long enough on loopback, where a request takes a few."""


def policy_for(jira: FakeJira, *, assignee: str | None = None, **provider: str) -> TrackerPolicy:
    site = {"base_url": jira.base_url, "email": EMAIL, "project_key": jira.project, "gateway_url": jira.base_url}
    return TrackerPolicy(kind="jira", assignee=assignee, provider={**site, **provider})


def oauth_policy_for(jira: FakeJira, **more: str) -> TrackerPolicy:
    """Signed in by an app; the account of an API token that is configured as well means nothing."""
    oauth = {"oauth_client_id": CLIENT_ID, "oauth_token_url": f"{jira.base_url}/oauth/token"}
    return policy_for(jira, **oauth, **more)


def app_tokens(
    jira: FakeJira, directory: Path, clock: Clock | None = None, *, refresh_token: str | None = REFRESH_TOKEN
) -> OAuthTokens:
    """Those of the app, kept in that directory."""

    async def client_secret() -> str:
        return CLIENT_SECRET

    async def configured() -> str | None:
        return refresh_token

    return OAuthTokens(
        read_site(oauth_policy_for(jira)),
        directory,
        clock or Clock(),
        read_client_secret=client_secret,
        read_refresh_token=configured,
    )


async def token(refused: str | None) -> str:
    return TOKEN


class JiraWorld:
    """Satisfies `TrackerWorld`."""

    def __init__(self, tmp_path: Path) -> None:
        self.jira = FakeJira()

    @asynccontextmanager
    async def there(self) -> AsyncIterator[FakeJira]:
        async with self.jira.serving():
            yield self.jira
        assert self.jira.violations == [], self.jira.violations[:3]

    @asynccontextmanager
    async def open(self, *, assignee: str | None = None, **provider: str) -> AsyncIterator[Tracker]:
        policy = policy_for(self.jira, assignee=assignee, **provider)
        tracker = JiraTracker(policy, Clock(), token, settle_ms=SETTLE_MS)
        try:
            yield tracker
        finally:
            await tracker.close()

    async def create(
        self,
        title: str = "A ticket",
        *,
        state: str = "Todo",
        description: str = "What to do.",
        priority: int | None = None,
        labels: Sequence[str] = (),
        assignee: str | None = None,
        blocked_by: Sequence[TicketId] = (),
        parent: TicketId | None = None,
    ) -> TicketId:
        made = self.jira.create(
            title,
            status=state,
            description=to_document(description),
            priority=str(priority) if priority else None,
            labels=list(labels),
            assignee=assignee,
            parent=parent,
        )
        for blocker in blocked_by:
            self.jira.link(made, blocker)
        return TicketId(made)

    async def move(self, ticket_id: TicketId, state: str) -> None:
        self.jira.edit(ticket_id, status=state)

    async def retitle(self, ticket_id: TicketId, title: str) -> None:
        self.jira.edit(ticket_id, summary=title)

    async def relabel(self, ticket_id: TicketId, labels: Sequence[str]) -> None:
        self.jira.edit(ticket_id, labels=list(labels))

    async def comment(self, ticket_id: TicketId, text: str, author: str = "ada") -> None:
        self.jira.say(ticket_id, "", author, body=to_document(text))

    async def comments(self, ticket_id: TicketId) -> str:
        return "\n".join(to_markdown(one["body"]) for one in self.jira.issues[ticket_id].comments)

    async def delete(self, ticket_id: TicketId) -> None:
        self.jira.delete(ticket_id)

    async def spoil_optional(self, ticket_id: TicketId) -> None:
        self.jira.edit(ticket_id, priority=7, labels={"a": "b"}, assignee=["x"], created="xx")

    async def spoil(self, ticket_id: TicketId) -> None:
        self.jira.edit(ticket_id, summary=" ")

    async def break_down(self) -> None:
        self.jira.down = True


class OAuthWorld(JiraWorld):
    """The same site for an app."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path)
        self.jira.oauth.leeway_s = 0
        self._store = tmp_path / "store"

    @asynccontextmanager
    async def open(self, *, assignee: str | None = None, **provider: str) -> AsyncIterator[Tracker]:
        policy = msgspec.structs.replace(oauth_policy_for(self.jira, **provider), assignee=assignee)
        tokens = app_tokens(self.jira, self._store)
        await tokens(None)  # signing in is no part of how long a claim takes
        tracker = JiraTracker(policy, Clock(), tokens, settle_ms=SETTLE_MS)
        try:
            yield tracker
        finally:
            await tracker.close()
