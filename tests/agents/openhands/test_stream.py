"""The session socket, with every way in which it may end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import msgspec
import pytest
from websockets.asyncio.server import ServerConnection

from opensymphony.agents.openhands.client import Client, ConversationGone, Endpoint, ServerRefused
from opensymphony.agents.openhands.stream import Attached, CaughtUp, FullState, Item, Logged, Replaced, Stream
from opensymphony.clock import Clock
from opensymphony.errors import AgentServerError
from tests.agents.openhands.fakes import FakeServer, Scene, always, durable, full_state, in_turn, say, sync


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    async with FakeServer().serving() as server:
        yield server


@pytest.fixture
async def stream(fake: FakeServer) -> AsyncIterator[Stream]:
    client = Client(fake.endpoint)
    made = Stream(fake, client, "c1", clock=Clock(), attaches=anyio.CapacityLimiter(8))
    yield made
    await made.close()
    await client.close()


async def items(stream: Stream, count: int) -> list[Item | None]:
    with anyio.fail_after(20):
        return [await stream.receive(0.2) for _ in range(count)]


def short(found: list[Item | None]) -> list[object]:
    """Numbers for what is logged, names for the rest."""
    return [item.seq if isinstance(item, Logged) else type(item).__name__ for item in found]


async def test_the_log_comes_with_its_snapshots(fake: FakeServer, stream: Stream) -> None:
    """Missed events, the snapshot of the attach, live events, the snapshot after the run; then silence is told."""
    fake.scenes = [say(sync(1), durable(0), durable(1), full_state("running"), durable(2), full_state("finished"))]
    found = await items(stream, 7)
    assert short(found) == ["Attached", 0, 1, "FullState", 2, "FullState", "NoneType"]
    assert [item.on_attach for item in found if isinstance(item, FullState)] == [True, False]
    assert fake.auths == [{"type": "auth", "session_api_key": "key"}]
    assert fake.cursors == ["-1"]


@pytest.mark.fixes(10)
async def test_a_cut_line_is_taken_up_where_it_was(fake: FakeServer, stream: Stream) -> None:
    """No close frame, a goodbye of a server that ends, a missed ping: the next socket asks for what follows."""
    fake.scenes = [
        say(sync(0), durable(0), cut=True),
        say(sync(1), durable(1), code=1012),
        say(sync(2), durable(2), code=1011, reason="keepalive ping timeout"),
        say(sync(3), durable(3)),
    ]
    found = await items(stream, 8)
    assert short(found) == ["Attached", 0, "Attached", 1, "Attached", 2, "Attached", 3]
    assert fake.cursors == ["-1", "0", "1", "2"]


@pytest.mark.parity("path_prefixed_base_urls_preserve_auth")
async def test_the_path_of_a_proxy_is_kept(fake: FakeServer, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is asked for below the address that was named."""
    plain = fake.wait_ready

    async def behind_a_proxy() -> Endpoint:
        found = await plain()
        return msgspec.structs.replace(found, base_url=f"{found.base_url}/a/b", session_key='with "quotes"')

    monkeypatch.setattr(fake, "wait_ready", behind_a_proxy)
    fake.scenes = [say(sync(0), durable(0))]
    assert short(await items(stream, 2)) == ["Attached", 0]
    assert fake.paths == ["/a/b/sockets/session/c1"]
    assert fake.auths == [{"type": "auth", "session_api_key": 'with "quotes"'}]


async def test_the_boot_of_the_server_comes_with_each_attach(fake: FakeServer, stream: Stream) -> None:
    """A restart between two sockets shows in the attach."""
    fake.scenes = [say(sync(None), code=1012)]
    first = (await items(stream, 1))[0]
    fake.boot = 2
    found = await items(stream, 2)
    assert isinstance(first, Attached)
    assert first.boot == 1
    assert Attached(boot=2) in found


async def test_doubles_are_dropped(fake: FakeServer, stream: Stream) -> None:
    """An event that came before is not given twice."""
    fake.scenes = [say(sync(1), durable(0), durable(1), durable(0), durable(1), durable(2))]
    assert short(await items(stream, 4)) == ["Attached", 0, 1, 2]


async def test_a_gap_is_asked_for_again_once(fake: FakeServer, stream: Stream) -> None:
    """A missing number makes a new socket; one that the server cannot read at all is passed over."""
    fake.scenes = [say(sync(3), durable(0), durable(2)), say(sync(3), durable(2), durable(3))]
    assert short(await items(stream, 5)) == ["Attached", 0, "Attached", 2, 3]
    assert fake.cursors == ["-1", "0"]


@pytest.mark.parity("wait_for_readiness_ignores_non_state_frames")
@pytest.mark.parity("wait_for_readiness_accepts_forward_compatible_state_update_kind")
async def test_odd_frames_are_passed_over(fake: FakeServer, stream: Stream) -> None:
    """Deltas, frames of a newer server and garbage harm nothing."""
    odd = ['{"type":"delta","kind":"text","content":"x"}', '{"type":"new"}', "no json", "[]", '{"type":"durable"}']
    fake.scenes = [say("garbage", sync(0), *odd, durable(0))]
    assert short(await items(stream, 2)) == ["Attached", 0]


async def test_a_log_that_was_replaced_is_told(fake: FakeServer, stream: Stream) -> None:
    """Fewer events than we had: another conversation under the same id, told from its beginning."""
    fake.scenes = [say(sync(1), durable(0), durable(1), cut=True), say(sync(0)), say(sync(0), durable(0, "other"))]
    found = await items(stream, 6)
    assert short(found) == ["Attached", 0, 1, "Replaced", "Attached", 0]
    assert fake.cursors == ["-1", "1", "-1"]


@pytest.mark.parametrize("code", [4001, 403])
async def test_a_refused_key_ends_the_stream(fake: FakeServer, stream: Stream, code: int) -> None:
    """A server that does not take our key is not asked again."""
    fake.scenes = [say(code=4001)]
    fake.refuse_sockets = code == 403
    with pytest.raises(ServerRefused):
        await items(stream, 1)


async def test_a_conversation_that_is_gone_ends_the_stream(fake: FakeServer, stream: Stream) -> None:
    """Close code 4004 and no such conversation by REST."""
    fake.scenes = [say(code=4004)]
    with pytest.raises(ConversationGone):
        await items(stream, 1)


async def test_a_conversation_that_cannot_be_loaded_is_given_up(fake: FakeServer, stream: Stream) -> None:
    """Close code 4004 while REST shows it: a few tries, then a person has to look."""
    fake.answers["GET "] = always({"id": "c1", "execution_status": "idle"})
    fake.scenes = [say(code=4004)]
    with pytest.raises(AgentServerError, match="cannot be loaded"):
        await items(stream, 1)
    assert len(fake.cursors) == 5


async def test_a_frame_too_large_for_the_socket_is_read_by_rest(fake: FakeServer, stream: Stream) -> None:
    """The event comes by REST with its number, and the socket goes on behind it."""
    page = {"items": [{"id": f"e{n}", "kind": "PauseEvent"} for n in (0, 1, 2)]}
    fake.answers["GET /events/search"] = always(page)
    fake.scenes = [
        say(sync(2), durable(0), code=1013, reason="frame_too_large"),
        say(sync(2), full_state("running"), durable(3)),
    ]
    found = await items(stream, 7)
    assert short(found) == ["Attached", 0, 1, 2, "CaughtUp", "Attached", "FullState"]
    assert fake.cursors == ["-1", "2"]
    assert isinstance(found[4], CaughtUp)


def held_back(released: anyio.Event, *frames: str) -> Scene:
    """The first frame waits behind a running tool."""

    async def scene(connection: ServerConnection) -> None:
        await released.wait()
        await say(*frames)(connection)

    return scene


@pytest.mark.parity("reconciliation_walks_multiple_pages")
async def test_the_log_is_read_by_rest_while_a_tool_holds_the_first_frame_back(
    fake: FakeServer, stream: Stream
) -> None:
    """What the agent does shows although no frame comes; when the tool ends the socket goes on without gap or double."""
    released = anyio.Event()
    fake.scenes = [held_back(released, sync(3), durable(0), durable(1), durable(2), durable(3), full_state("running"))]
    event = {"kind": "PauseEvent"}
    first = {"items": [event | {"id": "e0"}, event | {"id": "e1"}], "next_page_id": "e2"}
    fake.answers["GET /events/search"] = in_turn(
        (200, first), (503, {}), (503, {}), (200, {"items": [event | {"id": "e1"}, event | {"id": "e2"}]})
    )
    assert short(await items(stream, 5)) == [0, 1, "CaughtUp", 2, "CaughtUp"]
    released.set()
    assert short(await items(stream, 3)) == ["Attached", 3, "FullState"]
    assert fake.cursors == ["-1"]


async def test_who_may_not_attach_yet_reads_by_rest(fake: FakeServer) -> None:
    """Only so many wait for their first frame at once; the others see the log all the same, and attach afterwards."""
    fake.answers["GET /events/search"] = in_turn(
        (200, {"items": [{"id": "e0", "kind": "PauseEvent"}]}), (200, {"items": [{"id": "e0", "kind": "PauseEvent"}]})
    )
    fake.scenes = [say(sync(1), durable(1))]
    client, attaches = Client(fake.endpoint), anyio.CapacityLimiter(1)
    await attaches.acquire_on_behalf_of("another")
    waiting = Stream(fake, client, "c1", clock=Clock(), attaches=attaches)
    assert short(await items(waiting, 2)) == [0, "CaughtUp"]
    assert fake.cursors == []
    attaches.release_on_behalf_of("another")
    assert short(await items(waiting, 2)) == ["Attached", 1]
    assert attaches.borrowed_tokens == 0
    await waiting.close()
    await client.close()


async def test_a_page_of_another_log_is_told(fake: FakeServer, stream: Stream) -> None:
    """An unknown event id makes the server begin anew: the log was replaced."""
    fake.answers["GET /events/search"] = always({"items": [{"id": "other", "kind": "PauseEvent"}]})
    fake.scenes = [say(sync(1), durable(0), code=1013, reason="frame_too_large"), say(sync(None))]
    assert Replaced() in await items(stream, 3)


async def test_a_slow_consumers_socket_is_opened_again(fake: FakeServer, stream: Stream) -> None:
    """Close code 1013 for any other reason loses nothing."""
    fake.scenes = [say(sync(0), durable(0), code=1013, reason="slow_consumer"), say(sync(1), durable(1))]
    assert short(await items(stream, 4)) == ["Attached", 0, "Attached", 1]


async def test_live_only_asks_for_no_history(fake: FakeServer) -> None:
    """Without a cursor only what happens from now on comes."""
    fake.scenes = [say(sync(41), full_state("running"), durable(42))]
    client = Client(fake.endpoint)
    live = Stream(fake, client, "c1", clock=Clock(), attaches=anyio.CapacityLimiter(1), after_seq=None)
    assert short(await items(live, 3)) == ["Attached", "FullState", 42]
    assert fake.cursors == [None]
    await live.close()
    await client.close()
