"""A daemon as the dashboard sees it: the real interface before a picture that tests change, and a note of what was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import msgspec

from opensymphony.api.events import Feed, Pace
from opensymphony.api.past import Absent
from opensymphony.api.routes import build_app
from opensymphony.api.server import serve_app
from opensymphony.views import (
    Changes,
    DeliveryList,
    DeliveryView,
    Explanation,
    Snapshot,
    Statistics,
    TicketView,
    TimelinePage,
    TranscriptEntry,
    TranscriptPage,
    VerificationList,
)
from tests.api.desk import TOKEN, Desk, Tray
from tests.web import past, picture


class Post(Tray):
    """Deliveries as they lie there, and what was asked to be looked at again."""

    def __init__(self) -> None:
        super().__init__()
        self.lying = list(picture.deliveries())

    async def listed(self, *, before: int | None = None) -> DeliveryList:
        found = tuple(one for one in self.lying if before is None or one.number < before)
        return DeliveryList(deliveries=found, refused={"bad_signature": 3})

    async def shown(self, number: int) -> tuple[DeliveryView, bytes] | None:
        found = next((one for one in self.lying if one.number == number), None)
        body = msgspec.json.encode({"webhookEvent": found.event, "issue": {"key": found.ticket}}) if found else b""
        return (found, body) if found is not None else None

    async def replay(self, number: int) -> bool:
        self.replayed.append(number)
        self.lying = [
            msgspec.structs.replace(one, outcome="looked", replays=one.replays + 1) if one.number == number else one
            for one in self.lying
        ]
        return any(one.number == number for one in self.lying)


def explanations(snapshot: Snapshot) -> dict[str, Explanation]:
    return {view.identifier: picture.explanation(view) for view in snapshot.tickets}


class Past:
    """What has happened, always the same unless a test changes it."""

    def __init__(self) -> None:
        self.said: tuple[TranscriptEntry, ...] = past.TRANSCRIPT
        self.happened: TimelinePage = past.TIMELINE
        self.changed: Changes = past.CHANGES
        self.verified: VerificationList = past.VERIFICATIONS
        self.silent: set[str] = {view.identifier for view in picture.TICKETS if view.conversation_id is None}
        """Tickets without a conversation."""

    async def transcript(self, identifier: str, *, limit: int, before: int | None, after: int | None) -> TranscriptPage:
        if identifier in self.silent:
            raise Absent("no_conversation", "it has no conversation yet")
        return past.transcript(self.said, limit, before, after)

    async def timeline(self, identifier: str, *, limit: int, before: int | None) -> TimelinePage:
        return self.happened

    async def changes(self, identifier: str) -> Changes:
        return self.changed

    async def verifications(self, identifier: str) -> VerificationList:
        return self.verified

    async def statistics(self, days: int) -> Statistics:
        return past.statistics(days)


class StandIn(Desk):
    """A `Control` with a past."""

    def __init__(self, snapshot: Snapshot = picture.SNAPSHOT) -> None:
        super().__init__()
        self.picture = snapshot
        self.known = explanations(snapshot)
        self.ingress = Post()
        self.past = Past()
        self.feed: Feed | None = None

    def show(self, picture: Snapshot) -> None:
        super().show(picture)
        self.known = explanations(picture)

    def change(self, ticket: str, /, **fields: object) -> TicketView:
        """A ticket becomes another one, and whoever follows is told."""
        found = next(one for one in self.picture.tickets if one.identifier == ticket)
        made = msgspec.structs.replace(found, **fields)
        self.show_with(tickets=tuple(made if one is found else one for one in self.picture.tickets))
        return made

    def show_with(self, **fields: object) -> None:
        self.show(msgspec.structs.replace(self.picture, sequence=self.picture.sequence + 1, **fields))


@asynccontextmanager
async def serving(desk: StandIn, port: int = 0, token: str = TOKEN, *, readers_max: int = 64) -> AsyncIterator[str]:
    """The interface at a port; its address."""
    desk.feed = feed = Feed(desk, Pace(between_s=0.05, readers_max=readers_max))
    app = build_app(desk, token, feed)
    async with anyio.create_task_group() as tasks:
        bound: int = await tasks.start(partial(serve_app, closing=feed.close), app, "127.0.0.1", port)
        yield f"http://127.0.0.1:{bound}"
        tasks.cancel_scope.cancel()
