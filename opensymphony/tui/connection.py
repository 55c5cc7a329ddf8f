"""The newest picture of a daemon, and how old it is: follows the stream in a thread, and comes back by itself when it breaks.

A picture stays when the connection is gone; `Link.lost_ms` then says since when, and it is never taken for a new one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct, structs

from opensymphony.api.client import Address, find_daemon, follow_snapshots
from opensymphony.clock import Clock
from opensymphony.errors import InstanceError
from opensymphony.settings import is_loopback
from opensymphony.views import Snapshot

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Between tries; the last one again and again."""

T = TypeVar("T")


class Source(Protocol):
    """Where a daemon is to be found."""

    def find(self) -> Address:
        """Looked up anew before each try: a daemon that was started again has another port and another token."""
        ...


class StoreSource:
    """The daemon of a store on this machine."""

    def __init__(self, store_dir: str) -> None:
        self._store_dir = store_dir

    def find(self) -> Address:
        return find_daemon(self._store_dir)


class UrlSource:
    """A daemon at the end of a tunnel."""

    def __init__(self, url: str, token_file: str) -> None:
        """Raises `InstanceError` for an address over which a token must not go."""
        self._address = _parsed(url, token_file)

    def find(self) -> Address:
        return self._address


def _parsed(url: str, token_file: str) -> Address:
    remedy = "give http://127.0.0.1:PORT, and reach other machines with `ssh -L PORT:127.0.0.1:2468 HOST`"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InstanceError(f"{url!r} is no address ({error}): {remedy}") from error
    if (
        parts.scheme != "http"
        or not host
        or port is None
        or parts.path.strip("/")
        or parts.query
        or "@" in parts.netloc
    ):
        raise InstanceError(f"{url!r} is no address of a daemon, which speaks plain http on loopback: {remedy}")
    if not is_loopback(host):
        raise InstanceError(f"{host} is another machine, and plain http would show the token on the way: {remedy}")
    return Address(pid=0, host=host, port=port, token_file=token_file)


class Link(Struct, frozen=True, kw_only=True):
    """What is known of the daemon right now."""

    snapshot: Snapshot | None = None
    received_ms: int = 0
    """When the picture came, on this machine's clock."""
    lost_ms: int | None = None
    """Since when nothing comes; None while connected."""
    trouble: str = ""
    retry_ms: int | None = None
    """When it is tried again; None while it is being tried."""

    def now_ms(self, clock_ms: int) -> int:
        """The daemon's own time, for what lasts; it stands still while nothing is known of it."""
        if self.snapshot is None:
            return clock_ms
        return self.snapshot.at_ms + (self.lost_ms or clock_ms) - self.received_ms


class Connection:
    """Follows a daemon in a thread of its own, which keeps nobody from leaving."""

    def __init__(
        self,
        source: Source,
        changed: Callable[[], object],
        clock: Clock,
        *,
        pauses_s: tuple[float, ...] = PAUSES_S,
        first: Snapshot | None = None,
    ) -> None:
        """`changed` is called in that thread whenever `link` is another one."""
        self.source = source
        self.link = Link(snapshot=first, received_ms=clock.now_ms())
        self._changed = changed
        self._clock = clock
        self._pauses_s = pauses_s
        self._wake = threading.Event()
        self._stopped = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="follow the daemon", daemon=True).start()

    def stop(self) -> None:
        """Nothing is told any more."""
        self._stopped = True
        self._wake.set()

    def retry(self) -> None:
        """Do not wait for the next try."""
        self._wake.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopped:
            trouble = "the daemon has ended the connection"
            try:
                for snapshot in follow_snapshots(self.source.find()):
                    if self._stopped:
                        return
                    failures = 0
                    self._tell(Link(snapshot=snapshot, received_ms=self._clock.now_ms()))
            except InstanceError as error:
                trouble = str(error)
            pause_s = self._pauses_s[min(failures, len(self._pauses_s) - 1)]
            failures += 1
            self._wait(trouble, pause_s)

    def _wait(self, trouble: str, pause_s: float) -> None:
        now_ms = self._clock.now_ms()
        lost = structs.replace(self.link, lost_ms=self.link.lost_ms or now_ms, trouble=trouble)
        self._wake.clear()
        if self._stopped:
            return
        self._tell(structs.replace(lost, retry_ms=now_ms + int(pause_s * 1000)))
        self._wake.wait(pause_s)
        self._tell(structs.replace(lost, retry_ms=None))

    def _tell(self, link: Link) -> None:
        self.link = link
        if not self._stopped:
            self._changed()


async def in_thread(call: Callable[[], T]) -> T:
    """What a blocking call returns or raises; its thread keeps nobody from leaving, unlike one of a pool."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def answer(set_answer: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(lambda: None if future.done() else set_answer())

    def run() -> None:
        try:
            result = call()
        except Exception as error:
            failure = error
            answer(lambda: future.set_exception(failure))
        else:
            answer(lambda: future.set_result(result))

    threading.Thread(target=run, name="ask the daemon", daemon=True).start()
    return await future
