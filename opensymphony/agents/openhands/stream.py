"""The session socket of one conversation: its log comes out in order, without gap or double, across every cut.

The server numbers the log; we ask for what follows the last number we have. A snapshot from its memory (`FullState`) follows
each attach and each end of a run. What the socket cannot carry (a frame of more than 4 MiB) is read by REST, and so is the log
while the first frame waits behind a running tool: otherwise a call that never ends would never be seen.
"""

from __future__ import annotations

from collections import deque
from typing import NoReturn

import anyio
import msgspec
from msgspec import Struct, field
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from opensymphony.agents.openhands.client import (
    Client,
    ConversationGone,
    Endpoint,
    ServerRefused,
    Unanswered,
    Unreached,
)
from opensymphony.agents.openhands.messages import Event, Frame, FullStateValue, read, read_event
from opensymphony.agents.openhands.server import Server
from opensymphony.clock import Clock
from opensymphony.errors import AgentServerError

_OPEN_S = 15
_SYNC_S = 1_800
"""The first frame waits for a running tool to end; pings tell meanwhile that the server lives."""
_SYNC_SOON_S = 1.0
"""The first frame comes within milliseconds unless a tool runs: after this the log is read by REST meanwhile."""
_FOLLOW_MAX_S = 5.0
"""Between two such readings, at most."""
_FRAME_BYTES_MAX = 8 * 1024 * 1024
_PAUSE_MS = 100
_PAUSE_MAX_MS = 10_000
_MISSING_MAX = 5
"""Refusals of a conversation that REST still shows (it is being evicted or loaded) before we give up."""
_PAGE = 100
"""Events of one REST page: the server's own limit."""
_SMALL_PAGE = 10
"""The same when the socket cannot carry one of them: each may have many megabytes."""


class Attached(Struct, frozen=True, kw_only=True):
    """A socket is open; what follows is the log from where we were."""

    boot: int


class Logged(Struct, frozen=True, kw_only=True):
    """The next event of the log."""

    seq: int
    event: Event


class FullState(Struct, frozen=True, kw_only=True):
    """The server's memory: when a run has ended, and once after each attach (`on_attach`), behind what was missed."""

    value: FullStateValue
    on_attach: bool


class CaughtUp(Struct, frozen=True, kw_only=True):
    """A page of the log was read by REST; no snapshot could be had."""


class Replaced(Struct, frozen=True, kw_only=True):
    """The log is another one than before: what follows begins at its beginning."""


Item = Attached | Logged | FullState | CaughtUp | Replaced


class Stream:
    """One attachment to one conversation; reconnects by itself, for as long as `receive` is called."""

    def __init__(
        self,
        server: Server,
        client: Client,
        conversation_id: str,
        *,
        clock: Clock,
        attaches: anyio.CapacityLimiter,
        after_seq: int | None = -1,
        last_event_id: str = "",
    ) -> None:
        """`after_seq` None: only what happens from now on. `attaches` bounds how many wait for their first frame at once."""
        self._server = server
        self._client = client
        self._conversation_id = conversation_id
        self._clock = clock
        self._attaches = attaches
        self._last_seq = after_seq
        self._last_event_id = last_event_id
        self._socket: ClientConnection | None = None
        self._unsynced: _Unsynced | None = None
        """While set: the socket has not given its first frame."""
        self._buffer: deque[Item] = deque()
        self._snapshot_due = True
        self._pause_ms = 0
        self._gap_at: int | None = None
        self._missing = 0

    async def receive(self, idle_s: float) -> Item | None:
        """The next item; None when an open socket stayed silent for `idle_s`. Waits as long as it takes to be attached.

        Raises `ConversationGone`, `ServerRefused`, or what the server's `wait_ready` raises.
        """
        while True:
            if self._buffer:
                return self._buffer.popleft()
            if self._socket is None:
                await self._attach()
                continue
            if self._unsynced is not None:
                await self._await_sync(self._socket, self._unsynced)
                continue
            raw: bytes | None = None
            try:
                with anyio.move_on_after(idle_s):
                    raw = await self._socket.recv(decode=False)
            except ConnectionClosed as closed:
                await self._on_closed(closed)
                continue
            if raw is None:
                return None
            await self._on_frame(raw)

    async def reattach(self) -> None:
        """Close the socket; the next `receive` opens one and gets a fresh snapshot."""
        await self._close_socket()

    async def close(self) -> None:
        """Let the socket go."""
        with anyio.CancelScope(shield=True):
            await self._close_socket()

    async def _attach(self) -> None:
        if self._pause_ms:
            await anyio.sleep(self._pause_ms * (0.5 + self._clock.jitter() / 2) / 1000)
        self._pause_ms = min(self._pause_ms * 2 or _PAUSE_MS, _PAUSE_MAX_MS)
        endpoint = await self._server.wait_ready()
        unsynced = _Unsynced(boot=endpoint.boot, asked_after=self._last_seq, pause_s=_SYNC_SOON_S)
        with anyio.move_on_after(_SYNC_SOON_S):
            await self._attaches.acquire_on_behalf_of(self)
        if self not in _borrowers(self._attaches):
            # Eight others wait for their first frame: read meanwhile.
            if self._last_seq is not None:
                await self._catch_up(_PAGE)
            return
        self._unsynced = unsynced
        try:
            await self._open(endpoint)
        except ConnectionClosed as closed:
            await self._on_closed(closed)
        except InvalidStatus as refused:
            if refused.response.status_code in (401, 403, 404):
                raise ServerRefused(
                    "agent-server: it refused the session socket: it is older than we need, or another server"
                ) from refused
        except (OSError, InvalidHandshake, TimeoutError):
            pass
        finally:
            if self._socket is None:
                self._synced()

    async def _open(self, endpoint: Endpoint) -> None:
        where = f"{endpoint.base_url.replace('http', 'ws', 1)}/sockets/session/{self._conversation_id}"
        cursor = "" if self._last_seq is None else f"?after_seq={self._last_seq}"
        self._socket = await connect(
            where + cursor,
            open_timeout=_OPEN_S,
            close_timeout=1,
            max_size=_FRAME_BYTES_MAX,
            compression=None,
            proxy=None,
        )
        await self._socket.send(_auth(endpoint.session_key))

    async def _await_sync(self, socket: ClientConnection, unsynced: _Unsynced) -> None:
        """Take the first frame if it comes soon; else read by REST what the log has meanwhile."""
        raw: bytes | None = None
        try:
            with anyio.move_on_after(unsynced.pause_s):
                raw = await socket.recv(decode=False)
        except ConnectionClosed as closed:
            await self._on_closed(closed)
            return
        if raw is not None:
            frame = read(raw, Frame)
            if frame is not None and frame.type == "sync":
                await self._on_sync(frame, unsynced)
            return
        unsynced.pause_s = min(max(unsynced.pause_s, _SYNC_SOON_S) * 1.5, _FOLLOW_MAX_S)
        if anyio.current_time() - unsynced.since >= _SYNC_S:
            await self._close_socket()
        elif self._last_seq is not None and await self._catch_up(_PAGE):
            unsynced.pause_s = 0.0

    async def _on_sync(self, frame: Frame, unsynced: _Unsynced) -> None:
        self._synced()
        self._snapshot_due = True
        through_seq = -1 if frame.through_seq is None else frame.through_seq
        if unsynced.asked_after is not None and through_seq < unsynced.asked_after:
            await self._on_replaced()
            return
        self._buffer.append(Attached(boot=unsynced.boot))

    def _synced(self) -> None:
        """Others may wait for their first frame now."""
        self._unsynced = None
        if self in _borrowers(self._attaches):
            self._attaches.release_on_behalf_of(self)

    async def _on_frame(self, raw: bytes) -> None:
        frame = read(raw, Frame)
        if frame is None:
            return  # if it was an event of the log, the gap shows with the next one
        if frame.type == "durable" and frame.seq is not None:
            await self._on_durable(frame.seq, read_event(frame.event))
        elif frame.type == "transient":
            event = read_event(frame.event)
            value = read(event.value, FullStateValue) if event.key == "full_state" else None
            if value is not None:
                self._thrive()
                self._buffer.append(FullState(value=value, on_attach=self._snapshot_due))
                self._snapshot_due = False

    async def _on_durable(self, seq: int, event: Event) -> None:
        expected = seq if self._last_seq is None else self._last_seq + 1
        if seq < expected:
            return
        if seq > expected and self._gap_at != expected:
            # Ask again from where we were. An event that the server itself cannot read stays missing: then go on.
            self._gap_at = expected
            await self._close_socket()
            return
        self._thrive()
        self._log(seq, event)

    def _log(self, seq: int, event: Event) -> None:
        self._last_seq = seq
        self._last_event_id = event.id or self._last_event_id
        self._buffer.append(Logged(seq=seq, event=event))

    def _thrive(self) -> None:
        self._pause_ms = 0
        self._missing = 0

    async def _on_closed(self, closed: ConnectionClosed) -> None:
        await self._close_socket()
        code = closed.rcvd.code if closed.rcvd else None
        if code == 4001:
            raise ServerRefused("agent-server: the session socket does not take our key")
        if code == 4004:
            await self._on_missing()
        if code == 1013 and closed.rcvd and closed.rcvd.reason == "frame_too_large" and self._last_seq is not None:
            await self._catch_up(_SMALL_PAGE)

    async def _on_missing(self) -> None:
        """Gone for good, or only not loadable right now?"""
        try:
            found = await self._client.get(self._conversation_id)
        except (Unreached, Unanswered):
            return
        if found is None:
            self._give_up()
        self._missing += 1
        if self._missing >= _MISSING_MAX:
            raise AgentServerError(
                f"agent-server: conversation {self._conversation_id} exists but cannot be loaded: see the server's log"
            )

    def _give_up(self) -> NoReturn:
        raise ConversationGone(f"agent-server: conversation {self._conversation_id} is gone")

    async def _catch_up(self, events_max: int) -> bool:
        """Read on by REST, a page at each call; whether there is more."""
        page_id = self._last_event_id or None
        try:
            page = await self._client.events_from(self._conversation_id, page_id, events_max)
        except (Unreached, Unanswered):
            return False
        items = page.items
        if page_id is not None:
            if not items or items[0].id != page_id:
                await self._on_replaced()
                return False
            items = items[1:]
        first = -1 if self._last_seq is None else self._last_seq
        for seq, event in enumerate(items, first + 1):
            self._log(seq, event)
        self._buffer.append(CaughtUp())
        if items:
            self._thrive()
        return page.next_page_id is not None

    async def _on_replaced(self) -> None:
        await self._close_socket()
        self._last_seq, self._last_event_id, self._gap_at = -1, "", None
        self._buffer.append(Replaced())

    async def _close_socket(self) -> None:
        socket, self._socket = self._socket, None
        self._synced()
        if socket is not None:
            await socket.close()


class _Unsynced(Struct, kw_only=True):
    """A socket whose first frame has not come."""

    boot: int
    asked_after: int | None
    pause_s: float
    since: float = field(default_factory=anyio.current_time)


def _borrowers(limiter: anyio.CapacityLimiter) -> tuple[object, ...]:
    return limiter.statistics().borrowers


def _auth(session_key: str) -> str:
    return msgspec.json.encode({"type": "auth", "session_api_key": session_key}).decode()
