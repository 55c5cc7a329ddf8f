"""Following the picture as it changes."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import httpx
import msgspec
import pytest
from anyio.abc import SocketStream
from msgspec import structs

from opensymphony.api import events, server
from opensymphony.api.client import Address, follow_snapshots
from opensymphony.api.compression import Part, compressed
from opensymphony.api.events import Feed, Pace
from opensymphony.api.routes import build_app
from opensymphony.api.server import serve_app
from opensymphony.errors import InstanceError
from opensymphony.model import ServerState
from opensymphony.views import Snapshot
from tests.api.desk import BEARER, SNAPSHOT, TOKEN, Desk, shown

PATH = "/api/v1/events"
FREE = Pace(share=1, bytes_a_s=10**12)
QUICK = structs.replace(FREE, between_s=0.01, look_s=0.05, heartbeat_s=0.2, stuck_s=0.3, readers_max=3)


class House:
    """A desk behind a real listener."""

    def __init__(self, desk: Desk, feed: Feed, port: int, stop: Any) -> None:
        self.desk = desk
        self.feed = feed
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.stop = stop

    async def until_readers(self, number: int) -> None:
        while self.feed.readers != number:
            await anyio.sleep(0.005)

    def show(self, sequence: int, **changes: Any) -> None:
        self.desk.show(structs.replace(self.desk.picture, sequence=sequence, **changes))

    @asynccontextmanager
    async def reading(self, **headers: str) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of the stream, as they come."""
        async with (
            httpx.AsyncClient(trust_env=False, timeout=20) as client,
            client.stream("GET", f"{self.url}{PATH}", headers=BEARER | headers) as answer,
        ):
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            async with aclosing(answer.aiter_lines()) as lines:
                yield lines


@asynccontextmanager
async def house(desk: Desk, pace: Pace = QUICK) -> AsyncIterator[House]:
    feed = Feed(desk, pace)
    async with anyio.create_task_group() as tasks:
        serve = partial(serve_app, closing=feed.close)
        port: int = await tasks.start(serve, build_app(desk, TOKEN, feed), "127.0.0.1", 0)
        yield House(desk, feed, port, tasks.cancel_scope.cancel)
        tasks.cancel_scope.cancel()


async def next_event(lines: AsyncIterator[str]) -> tuple[str, str, Snapshot]:
    """Its name, the sequence in its id, and its picture; heartbeats are passed over."""
    found: dict[str, str] = {}
    async for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            found[name] = value
        elif found:
            return found["event"], found["id"].partition("-")[0], msgspec.json.decode(found["data"], type=Snapshot)
    raise EOFError


async def test_a_reader_gets_the_picture_and_then_each_change(desk: Desk) -> None:
    """The first at once; its id begins with the sequence."""
    async with house(desk) as there, there.reading() as lines:
        assert await next_event(lines) == ("snapshot", "7", SNAPSHOT)
        there.show(8, paused=True)
        name, number, picture = await next_event(lines)
        assert (name, number, picture.sequence, picture.paused) == ("snapshot", "8", 8, True)


async def test_who_has_the_newest_is_told_of_the_next_change_only(desk: Desk) -> None:
    """After a break nothing comes twice; who has an older one gets the newest at once."""
    async with house(desk, structs.replace(QUICK, heartbeat_s=30)) as there:
        seven = there.feed.newest().id
        async with there.reading(**{"Last-Event-ID": seven}) as lines:
            assert await anext(lines) == ":"  # at once, so that it knows that it has the newest
            there.show(8)
            assert (await next_event(lines))[1] == "8"
        for old in (seven, "8", "9", "", "x" * 1_000):
            async with there.reading(**{"Last-Event-ID": old}) as lines:
                assert (await next_event(lines))[1] == "8"


async def test_a_picture_of_the_same_record_may_still_be_another_one(desk: Desk) -> None:
    """While the disk is full nothing is recorded: whoever comes back then has to be told."""
    async with house(desk) as there:
        seven = there.feed.newest().id
        desk.picture = structs.replace(SNAPSHOT, storage_error="the disk is full")
        async with there.reading(**{"Last-Event-ID": seven}) as lines:
            assert (await next_event(lines))[2].storage_error == "the disk is full"


async def test_a_first_picture_tells_the_time_of_now(desk: Desk) -> None:
    """However long nothing has changed: readers count from it."""
    async with house(desk) as there, there.reading() as lines:
        await next_event(lines)
        desk.picture = structs.replace(SNAPSHOT, at_ms=SNAPSHOT.at_ms + 3_600_000)
        await anyio.sleep(2 * QUICK.between_s)
        async with there.reading() as others:
            assert (await next_event(others))[2].at_ms == SNAPSHOT.at_ms + 3_600_000
        assert await anext(lines) == ":"  # for who is there already it is no change


async def test_a_heartbeat_shows_that_somebody_is_there(desk: Desk) -> None:
    """A comment line, which no reader of events takes for one."""
    async with house(desk) as there, there.reading() as lines:
        await next_event(lines)
        assert [await anext(lines) for _ in range(4)] == [":", "", ":", ""]


async def test_what_changes_without_a_record_is_told_too(desk: Desk) -> None:
    """An agent-server that dies is no record; nobody tells of it, so it is looked for."""
    async with house(desk) as there, there.reading() as lines:
        await next_event(lines)
        desk.picture = structs.replace(SNAPSHOT, server=ServerState(status="failed"))
        _, number, picture = await next_event(lines)
        assert (number, picture.server.status) == ("7", "failed")
        desk.picture = structs.replace(desk.picture, at_ms=SNAPSHOT.at_ms + 60_000)
        assert await anext(lines) == ":"  # that time passes is no change


async def test_each_picture_is_encoded_once_for_all_readers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, and only the newest where changes follow each other quickly."""
    desk.picture = SNAPSHOT
    feed = Feed(desk, Pace(between_s=0.05))
    frames = [feed.newest() for _ in range(5)]
    assert all(frame is frames[0] for frame in frames)
    found: list[list[events.Frame]] = [[] for _ in range(5)]

    async def read(mine: list[events.Frame]) -> None:
        mine.append(await feed.after(frames[0].mark))

    async with anyio.create_task_group() as tasks:
        for mine in found:
            tasks.start_soon(read, mine)
        await anyio.wait_all_tasks_blocked()
        for sequence in range(8, 20):
            desk.show(structs.replace(SNAPSHOT, sequence=sequence))
    assert {id(mine[0]) for mine in found} == {id(found[0][0])}
    assert found[0][0].mark.sequence == 19


async def test_nobody_listens_and_nothing_is_done(desk: Desk) -> None:
    """No picture is made, before the first reader and after the last; what was encoded is given back."""
    async with house(desk) as there:
        there.show(8)
        assert desk.looks == 0
        async with there.reading() as lines:
            await next_event(lines)
        await there.until_readers(0)
        looks = desk.looks
        there.show(9)
        await anyio.sleep(2 * QUICK.look_s)
        assert (desk.looks, there.feed._frame) == (looks, None)


async def stuck(there: House) -> SocketStream:
    """A reader that asks and then reads nothing."""
    made = await anyio.connect_tcp("127.0.0.1", there.port)
    head = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    await made.send(head.encode())
    return made


def big(sequence: int) -> Snapshot:
    """More than the buffers of two sockets hold."""
    views = tuple(shown(f"B-{number}", "running", reason="so " * 30_000) for number in range(200))
    return structs.replace(SNAPSHOT, sequence=sequence, tickets=views)


async def test_a_reader_that_does_not_read_is_cut_off_and_disturbs_nobody(desk: Desk) -> None:
    """Others get every picture meanwhile; its connection is broken, its place is free."""
    desk.picture = big(7)
    async with house(desk) as there, await stuck(there) as slow:
        await there.until_readers(1)
        async with there.reading() as lines:
            for sequence in range(8, 12):
                assert (await next_event(lines))[1] == str(sequence - 1)
                there.show(sequence, paused=sequence % 2 == 0)
            await there.until_readers(1)
        await there.until_readers(0)
        taken = 0
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                taken += len(await slow.receive())
        assert taken < 18_000_000  # less than one picture: what it had not taken was dropped


async def test_a_reader_that_is_late_gets_the_newest_only(desk: Desk) -> None:
    """Never a queue of old ones."""
    desk.picture = big(7)
    async with house(desk, structs.replace(FREE, between_s=0.01)) as there, await stuck(there) as slow:
        await there.until_readers(1)
        for sequence in range(8, 30):
            there.show(sequence)
            await anyio.sleep(0.01)
        there.show(30, tickets=())
        seen: list[bytes] = []
        waiting = b""
        while b"id: 30-" not in waiting:
            waiting = waiting[-200:] + await slow.receive(1_000_000)
            seen += [line for line in waiting.split(b"\n") if line.startswith(b"id: ") and line not in seen]
        assert len(seen) <= 4


async def test_there_are_so_many_readers_and_no_more(desk: Desk) -> None:
    """429 beyond; the place of one that has gone is free again."""
    async with house(desk) as there, httpx.AsyncClient(trust_env=False, headers=BEARER) as client:
        others = [await stuck(there) for _ in range(QUICK.readers_max)]
        await there.until_readers(QUICK.readers_max)
        answer = await client.get(f"{there.url}{PATH}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_readers")
        for other in others:
            await other.aclose()
        await there.until_readers(0)
        async with there.reading() as lines:
            assert (await next_event(lines))[1] == "7"


async def test_two_hundred_read_and_one_of_them_is_stuck(desk: Desk) -> None:
    """Everybody else gets the newest picture; the one that takes nothing loses its place, and nobody notices."""
    desk.picture = big(7)
    pace = structs.replace(FREE, between_s=0.01, heartbeat_s=0.2, stuck_s=4)
    head = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    told: list[bytes] = []

    async def read(port: int) -> None:
        seen = b""
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(head)
            while b"\nid: 30-" not in seen:
                seen = seen[-20:] + await stream.receive()
            told.append(seen)
            while there.feed.readers > 199:  # until the stuck one is cut off; others may have gone by then
                await anyio.sleep(0.01)

    async with house(desk, pace) as there, await stuck(there):
        await there.until_readers(1)
        there.show(8, tickets=SNAPSHOT.tickets)
        async with anyio.create_task_group() as tasks:
            for _ in range(199):
                tasks.start_soon(read, there.port)
            while there.feed.readers < 199:
                await anyio.sleep(0.01)
            there.show(30)
        assert len(told) == 199


def test_so_many_readers_find_a_place() -> None:
    """Of whom half of the listener's connections are left for others."""
    assert Pace().readers_max >= 200
    assert Pace().readers_max * 2 <= server._CONNECTIONS_MAX


async def test_many_readers_of_a_big_picture_are_told_more_rarely(desk: Desk) -> None:
    """However many they are, they are sent no more than so much a second; few are told as soon as ever."""
    desk.picture = big(7)
    feed = Feed(desk, Pace(between_s=0.5, share=1))
    size = len(feed.newest().content)
    feed.enter(plain=True)
    assert feed._next_at() - feed._made_at == pytest.approx(max(0.5, size / feed.pace.bytes_a_s))
    for _ in range(199):
        feed.enter(plain=True)
    assert feed._next_at() - feed._made_at == pytest.approx(200 * size / feed.pace.bytes_a_s)
    for _ in range(200):
        feed.enter(plain=False)
        feed.leave(plain=True)
    small = len((await feed.packed(feed.newest())).blocks)
    assert small < size / 10
    assert feed._next_at() - feed._made_at == pytest.approx(max(0.5, 200 * small / feed.pace.bytes_a_s))
    desk.show(structs.replace(SNAPSHOT, sequence=8))
    feed.close()
    assert feed.newest().mark.sequence == 8  # the very last one waits for nothing
    assert feed._next_at() - feed._made_at == 0.5


async def test_a_picture_that_takes_long_to_make_is_made_more_rarely(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that making them takes a fiftieth of the daemon's time at most."""
    moments = iter([100.0, 102.0])
    monkeypatch.setattr(anyio, "current_time", lambda: next(moments))
    feed = Feed(desk)
    feed.newest()
    assert feed._next_at() == 200


async def test_who_takes_compression_gets_it_and_nobody_else(desk: Desk) -> None:
    """The same pictures either way, compressed once for all; the stream ends as it should."""
    packed: list[bytes] = []
    real = compressed

    def noting(content: bytes) -> Part:
        packed.append(content)
        return real(content)

    ends: list[bytes] = []

    async def read(port: int, offered: str) -> None:
        head = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nAccept-Encoding: {offered}\r\n\r\n"
        content = b""
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(head.encode())
            with suppress(anyio.EndOfStream):
                while not content.endswith(b"0\r\n\r\n"):
                    content += await stream.receive()
        fields, _, body = content.partition(b"\r\n\r\n")
        plain = _unchunked(body)
        assert (b"content-encoding: deflate" in fields.lower()) is (offered == "deflate")
        assert b"vary: accept-encoding" in fields.lower()
        ends.append(zlib.decompress(plain) if offered == "deflate" else plain)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "compressed", noting)
        async with house(desk) as there, anyio.create_task_group() as tasks:
            for offered in ("deflate", "deflate", "identity"):
                tasks.start_soon(read, there.port, offered)
            await there.until_readers(3)
            await anyio.sleep(3 * QUICK.heartbeat_s)
            there.show(8)
            await anyio.sleep(QUICK.heartbeat_s)
            there.show(9)
            there.feed.close()
    assert len(packed) == 3 and all(b"event: snapshot" in one for one in packed)
    for content in ends:
        assert [content.count(f"id: {number}-".encode()) for number in (7, 8, 9)] == [1, 1, 1]
        assert content.count(b":\n\n") >= 1


def _unchunked(body: bytes) -> bytes:
    found = b""
    while True:
        size, _, rest = body.partition(b"\r\n")
        if int(size, 16) == 0:
            return found
        found, body = found + rest[: int(size, 16)], rest[int(size, 16) + 2 :]


async def test_a_picture_that_is_half_sent_at_the_end_is_sent_whole(desk: Desk) -> None:
    """And then the last one: half a picture and another behind it would be neither."""
    desk.picture = big(7)
    async with house(desk, structs.replace(QUICK, stuck_s=5)) as there, await stuck(there) as slow:
        await there.until_readers(1)
        await anyio.sleep(0.2)  # as much is written as the system takes
        there.show(8, tickets=SNAPSHOT.tickets)
        there.feed.close()
        content = b""
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while not content.endswith(b"0\r\n\r\n"):
                content += await slow.receive()
    data = [line[6:] for line in _unchunked(content.partition(b"\r\n\r\n")[2]).split(b"\n") if line[:5] == b"data:"]
    assert [msgspec.json.decode(one, type=Snapshot).sequence for one in data] == [7, 8]


async def test_head_does_not_follow(client: httpx.AsyncClient) -> None:
    """It is answered, with the kind of what a GET would get."""
    answer = await client.head(PATH, headers=BEARER)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_streams_end_when_the_daemon_ends(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """In good order for who reads, and at once for who does not: no request is left to be cancelled."""
    desk.picture = big(7)
    async with house(desk, FREE) as there, await stuck(there), there.reading() as lines:
        await next_event(lines)
        await there.until_readers(2)
        there.stop()
        with anyio.CancelScope(shield=True):
            assert [line async for line in lines if line] == []
    assert there.feed.readers == 0
    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


async def test_the_last_picture_is_not_lost(desk: Desk) -> None:
    """What changed just before the end is told, however short ago the picture before was."""
    async with house(desk, Pace(between_s=600)) as there, there.reading() as lines:
        assert (await next_event(lines))[1] == "7"
        there.show(8, status="draining")
        there.stop()
        with anyio.CancelScope(shield=True):
            assert (await next_event(lines))[1] == "8"
            assert [line async for line in lines] == []


async def test_a_defect_before_the_first_picture_is_an_error_document(desk: Desk) -> None:
    """Not a stream that breaks off."""
    desk.broken = True
    async with house(desk) as there, httpx.AsyncClient(trust_env=False, headers=BEARER) as client:
        answer = await client.get(f"{there.url}{PATH}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
        assert there.feed.readers == 0


async def test_the_doors_can_follow(desk: Desk, tmp_path: Any) -> None:
    """Each picture that comes, also one with odd line ends in its texts; the end of the daemon is the end of it."""
    (tmp_path / "token").write_text(TOKEN)
    desk.picture = structs.replace(SNAPSHOT, poll_error="a\u2028b\x85c\r\nd")
    async with house(desk) as there:
        address = Address(pid=1, host="127.0.0.1", port=there.port, token_file=str(tmp_path / "token"))
        found: list[Snapshot] = []

        def follow() -> None:
            found.extend(follow_snapshots(address))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, follow)
            await there.until_readers(1)
            await anyio.sleep(2 * QUICK.heartbeat_s)
            there.show(8)
            await anyio.sleep(QUICK.heartbeat_s)
            there.feed.close()
        assert [one.sequence for one in found] == [7, 8]
        assert found[0] == structs.replace(desk.picture, sequence=7)


async def test_the_doors_are_told_why_they_cannot_follow(desk: Desk, tmp_path: Any) -> None:
    """Too many readers, a wrong token."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    async with house(desk, Pace(readers_max=0)) as there:
        address = Address(pid=1, host="127.0.0.1", port=there.port, token_file=str(token))
        for told in ("0 programs follow already", "status 401"):
            with pytest.raises(InstanceError, match=told):
                await anyio.to_thread.run_sync(lambda: list(follow_snapshots(address)))
            token.write_text("another")
