"""A daemon's interface on a real listener, with pictures and pasts of ours.

`python -m tests.tui.stand_in DIRECTORY [busy|idle|waiting|hostile|many]` serves one by hand.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from opensymphony.api.client import ADDRESS_FILE, Address
from opensymphony.api.events import Feed, Pace
from opensymphony.api.past import Absent
from opensymphony.api.routes import build_app
from opensymphony.api.server import serve_app
from opensymphony.views import (
    Changes,
    Explanation,
    Snapshot,
    TimelinePage,
    TranscriptEntry,
    TranscriptPage,
    VerificationList,
)
from tests.api.desk import Desk, Memory
from tests.tui import scenes

PACE = Pace(between_s=0.01, look_s=0.05, heartbeat_s=0.2)


class Past(Memory):
    """What has happened with the tickets of the picture."""

    def __init__(self, talks: dict[str, list[TranscriptEntry]]) -> None:
        super().__init__()
        self.talks = talks
        self.conversation_id = "conv"

    async def transcript(self, identifier: str, *, limit: int, before: int | None, after: int | None) -> TranscriptPage:
        self._look("transcript", identifier, limit, before, after)
        talk = self.talks.get(identifier)
        if talk is None:
            raise Absent("no_conversation", f"{identifier} has no conversation yet")
        if after is not None:
            part = [one for one in talk if one.seq > after][:limit]
        else:
            part = [one for one in talk if before is None or one.seq < before][-limit:]
        older = part[0].seq if part and part[0].seq > talk[0].seq else None
        newest = part[-1].seq if part else -1 if after is None else after
        return TranscriptPage(conversation_id=self.conversation_id, entries=tuple(part), before=older, after=newest)

    async def timeline(self, identifier: str, *, limit: int, before: int | None) -> TimelinePage:
        return scenes.TIMELINE

    async def changes(self, identifier: str) -> Changes:
        if identifier != "SHOP-118":
            raise Absent("no_workspace", "it has no workspace yet")
        return scenes.CHANGES

    async def verifications(self, identifier: str) -> VerificationList:
        return scenes.CHECKS


class StandIn(Desk):
    """A `Control` with everything that the terminal interface shows of a ticket."""

    def __init__(self, picture: Snapshot = scenes.BUSY) -> None:
        super().__init__()
        self.picture = picture
        self.talks: dict[str, list[TranscriptEntry]] = {"SHOP-118": list(scenes.TALK)}
        self.past = Past(self.talks)
        self.cut = False
        """The next answer does not arrive."""
        self.lost = 0
        """So many answers to actions are cut off after they were carried out."""

    def explain(self, identifier: str) -> Explanation | None:
        view = next((one for one in self.picture.tickets if one.identifier == identifier), None)
        return scenes.explained(view) if view is not None else None

    @property
    def read(self) -> list[tuple[object, ...]]:
        """Which transcripts were asked for: ticket, limit, before, after."""
        return [asked[1:] for asked in self.past.asked]

    async def act(self, action: str, identifier: str | None, **given: Any) -> Any:
        self.known = {view.identifier: scenes.explained(view) for view in self.picture.tickets}
        answer = await super().act(action, identifier, **given)
        if self.lost:
            self.lost -= 1
            self.cut = True
        return answer


def _cutting(app: Any, desk: StandIn) -> Any:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        gone = False

        async def sent(message: Any) -> None:
            nonlocal gone
            if desk.cut:
                desk.cut, gone = False, True
                scope["state"]["opensymphony.abort"]()
            if not gone:
                await send(message)

        await app(scope, receive, sent)

    return answer


class House:
    """Where the stand-in lives: it can be closed and opened again, at another port and with another token."""

    def __init__(self, desk: StandIn, store: Path, pace: Pace) -> None:
        self.desk = desk
        self.store = store
        self.pace = pace
        self.port = 0
        self.feed: Feed | None = None
        self._boots = 0

    async def open(self, tasks: TaskGroup, port: int = 0) -> None:
        self._boots += 1
        token = f"token-{self._boots}"
        self.feed = Feed(self.desk, self.pace)
        app = build_app(self.desk, token, self.feed)
        self.port = await tasks.start(self._serve, app, port)
        (self.store / "token").write_text(token)
        address = Address(pid=0, host="127.0.0.1", port=self.port, token_file=str(self.store / "token"))
        (self.store / ADDRESS_FILE).write_bytes(msgspec.json.encode(address))

    async def _serve(self, app: Any, port: int, *, task_status: Any) -> None:
        with anyio.CancelScope() as self.scope:
            assert self.feed is not None
            await serve_app(
                _cutting(app, self.desk), "127.0.0.1", port, closing=self.feed.close, task_status=task_status
            )

    async def close(self) -> None:
        """As a daemon ends: its address goes too."""
        (self.store / ADDRESS_FILE).unlink()
        self.scope.cancel()

    @property
    def address(self) -> Address:
        return msgspec.json.decode((self.store / ADDRESS_FILE).read_bytes(), type=Address)


@asynccontextmanager
async def served(desk: StandIn, store: Path, pace: Pace = PACE) -> AsyncIterator[tuple[House, TaskGroup]]:
    """The stand-in behind a listener, found through this store."""
    store.mkdir(parents=True, exist_ok=True)
    house = House(desk, store, pace)
    async with anyio.create_task_group() as tasks:
        await house.open(tasks)
        yield house, tasks
        tasks.cancel_scope.cancel()


async def _by_hand(store: Path, scene: str) -> None:
    picture = scenes.many() if scene == "many" else getattr(scenes, scene.upper())
    async with served(StandIn(picture), store, Pace()) as (house, _):
        print(f"--url http://127.0.0.1:{house.port} --token-file {store}/token", flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(partial(_by_hand, Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "busy"))
