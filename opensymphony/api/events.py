"""`GET /api/v1/events`: the newest picture whenever something has changed, as server-sent events.

In: `Last-Event-ID`, the id of the picture that a reader has. Out: `event: snapshot` with an `id` that names all that makes it
another one. A reader that is slow gets the newest picture next, never those in between. Each picture is encoded and compressed
once for all readers, and only while there are any. Readers take a small share of the daemon's time however many they are: the
more it takes to tell them all, the rarer they are told, and between two of them everybody else has his turn.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from opensymphony.api.access import error_response
from opensymphony.api.compression import DeflateStream, Part, compressed, takes_deflate
from opensymphony.api.server import abort_of
from opensymphony.model import ServerState
from opensymphony.views import Snapshot

_LAST_S = 1
"""For the end of the stream, when the daemon ends."""
_PIECE_BYTES = 128 * 1024
"""Written in one go: a picture of a thousand tickets has more than five times as much; compressed, less."""
_PACKED_TO = 8
"""So much smaller is a compressed picture at least, for as long as it is not compressed."""
_HEARTBEAT = b":\n\n"
_HEARTBEAT_PART = compressed(_HEARTBEAT)


class Pace(Struct, frozen=True, kw_only=True):
    """How often readers are told, and how many there may be."""

    between_s: float = 0.5
    """Two pictures follow each other at least so far apart."""
    share: float = 0.02
    """Of the daemon's time, for making pictures."""
    bytes_a_s: int = 8_000_000
    """To all readers together: moving as much takes a few hundredths of a core."""
    look_s: float = 2
    """What changes without a record, an agent-server's state for one, is looked for this often."""
    heartbeat_s: float = 15
    stuck_s: float = 30
    """A reader that takes nothing for so long is cut off."""
    readers_max: int = 256
    """Half of the connections that the listener takes; so many cost no more than a few, they are only told more rarely."""


class Watched(Protocol):
    """What is followed."""

    def snapshot(self) -> Snapshot: ...

    async def changed(self) -> None:
        """Return at the next change."""
        ...


class Mark(NamedTuple):
    """What makes a picture another one; its time does not."""

    sequence: int
    status: str
    server: ServerState
    storage_error: str | None
    policy_error: str | None


class Frame(Struct, frozen=True, kw_only=True):
    """A picture as it is sent."""

    mark: Mark
    id: str
    content: bytes


def _framed(mark: Mark, picture: Snapshot) -> Frame:
    name = f"{mark.sequence}-{zlib.crc32(msgspec.json.encode(mark)):08x}"
    data = msgspec.json.encode(picture)
    return Frame(mark=mark, id=name, content=b"event: snapshot\nid: %b\ndata: %b\n\n" % (name.encode(), data))


class Feed:
    """The newest frame, for every reader. Belongs to one listener."""

    def __init__(self, watched: Watched, pace: Pace | None = None) -> None:
        self.pace = pace or Pace()
        self.readers = 0
        self.closed = anyio.Event()
        self._watched = watched
        self._frame: Frame | None = None
        self._made_at = -math.inf
        self._took_s = 0.0
        self._turns = anyio.Lock()
        self._packing = anyio.Lock()
        self._packed: tuple[Frame, Part] | None = None
        self._plain = 0
        """Readers that take no compression."""

    def close(self) -> None:
        """End every stream; the listener ends."""
        self.closed.set()

    def enter(self, *, plain: bool) -> None:
        self.readers += 1
        self._plain += plain

    def leave(self, *, plain: bool) -> None:
        """The last one takes the frame along: of ten thousand tickets it is many megabytes."""
        self.readers -= 1
        self._plain -= plain
        if not self.readers:
            self._frame, self._packed, self._made_at = None, None, -math.inf

    def newest(self, *, first: bool = False) -> Frame:
        """Made anew when something has changed, but not too soon after the last unless it is the very last.

        `first`: a reader's first one, which tells it what time it is here; an old one would tell it wrong.
        """
        frame, now = self._frame, anyio.current_time()
        if frame is not None and now < self._next_at() and not self.closed.is_set():
            return frame
        picture = self._watched.snapshot()
        mark = Mark(picture.sequence, picture.status, picture.server, picture.storage_error, picture.policy_error)
        if frame is None or frame.mark != mark or first:
            frame = _framed(mark, picture)
            self._frame, self._made_at, self._took_s = frame, now, anyio.current_time() - now
        return frame

    async def packed(self, frame: Frame) -> Part:
        """The same compressed, once for all and beside the loop."""
        async with self._packing:
            if self._packed is None or self._packed[0] is not frame:
                self._packed = frame, await anyio.to_thread.run_sync(compressed, frame.content)
            return self._packed[1]

    def _next_at(self) -> float:
        """When the next picture may be made."""
        frame = self._frame
        size = len(frame.content) if frame is not None else 0
        is_packed = self._packed is not None and self._packed[0] is frame
        packed = len(self._packed[1].blocks) if self._packed is not None and is_packed else size // _PACKED_TO
        to_all = self._plain * size + (self.readers - self._plain) * packed
        return self._made_at + max(self.pace.between_s, self._took_s / self.pace.share, to_all / self.pace.bytes_a_s)

    async def after(self, seen: Mark | None) -> Frame:
        """The newest frame, as soon as it is another one than the reader has seen."""
        while True:
            frame = self.newest(first=seen is None)
            if frame.mark != seen:
                return frame
            early_s = self._next_at() - anyio.current_time()
            if early_s > 0:
                await anyio.sleep(early_s)
            else:
                # Nothing is missed in between: there is no other wait since the picture was taken.
                with anyio.move_on_after(self.pace.look_s):
                    await self._watched.changed()

    async def turn(self, size: int) -> None:
        """Return when a reader may be written so much: two hundred in a row would keep everybody else waiting.

        Twice as fast as the pace on the whole, so that all are told before the next picture.
        """
        async with self._turns:
            await anyio.sleep(size / (2 * self.pace.bytes_a_s))


def follow(feed: Feed, request: Request) -> Response:
    """The stream of one reader; 429 when there are too many."""
    if feed.readers >= feed.pace.readers_max:
        return error_response(429, "too_many_readers", f"{feed.readers} programs follow already: close one of them")
    last_id, abort = request.headers.get("last-event-id", ""), abort_of(request.scope)
    return EventStream(feed, last_id, abort, DeflateStream() if takes_deflate(request) else None)


class EventStream(Response):
    """Writes frames to one reader, at the pace at which it takes them."""

    media_type = "text/event-stream"

    def __init__(
        self, feed: Feed, last_id: str, abort: Callable[[], None] | None, deflate: DeflateStream | None = None
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept-Encoding"}
        super().__init__(headers=headers | ({"Content-Encoding": "deflate"} if deflate is not None else {}))
        del self.headers["content-length"]  # it never ends by itself
        self._feed = feed
        self._last_id = last_id
        self._abort = abort
        self._deflate = deflate
        self._seen: Mark | None = None
        """What the reader has, or gets with what is being written."""
        self._content = b""
        self._written = 0
        """Bytes of the content; what is behind them is begun and not written yet."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        feed, ended, plain = self._feed, False, self._deflate is None
        feed.enter(plain=plain)
        try:
            newest = feed.newest()
            self._seen = newest.mark if self._last_id == newest.id else None
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
                tasks.start_soon(_until_closed, feed, tasks.cancel_scope)
                await send(start)
                await self._write(send)
                tasks.cancel_scope.cancel()
            if feed.closed.is_set():
                with anyio.move_on_after(_LAST_S):
                    begun, last = self._content[self._written :], feed.newest()
                    if last.mark != self._seen:
                        await self._queue(last)
                        begun += self._content
                    end = self._deflate.end() if self._deflate is not None else b""
                    await send({"type": "http.response.body", "body": begun + end})
                    ended = True
        finally:
            feed.leave(plain=plain)
        if not ended and self._abort is not None:
            self._abort()
            await receive()  # that it is gone: else the server would close it once more, and complain

    async def _write(self, send: Send) -> None:
        """Return when the reader is stuck. One that has the newest picture is told at once that it has."""
        feed, heartbeat_s = self._feed, 0.0 if self._seen is not None else self._feed.pace.heartbeat_s
        with suppress(TimeoutError):
            while True:
                frame = None
                with anyio.move_on_after(heartbeat_s):
                    frame = await feed.after(self._seen)
                heartbeat_s = feed.pace.heartbeat_s
                await self._queue(frame)
                while self._written < len(self._content):
                    piece = self._content[self._written : self._written + _PIECE_BYTES]
                    await feed.turn(len(piece))
                    with anyio.fail_after(feed.pace.stuck_s):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                    self._written += len(piece)

    async def _queue(self, frame: Frame | None) -> None:
        """What is written next, to its end: a picture, or without one a heartbeat."""
        if self._deflate is None:
            self._content = frame.content if frame is not None else _HEARTBEAT
        else:
            part = await self._feed.packed(frame) if frame is not None else _HEARTBEAT_PART
            self._content = self._deflate.next(part)
        self._written = 0
        if frame is not None:
            self._seen = frame.mark


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _until_closed(feed: Feed, scope: anyio.CancelScope) -> None:
    await feed.closed.wait()
    scope.cancel()
