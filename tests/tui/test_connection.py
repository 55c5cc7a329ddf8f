"""Following a daemon, through its ends and its returns."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio
import pytest
from msgspec import structs

from opensymphony.api.client import NoAnswer, fetch_snapshot
from opensymphony.clock import Clock
from opensymphony.errors import InstanceError
from opensymphony.tui.connection import Connection, Link, StoreSource, UrlSource, in_thread
from tests.tui import scenes
from tests.tui.screens import Still, seated
from tests.tui.stand_in import StandIn, served


async def until(connection: Connection, holds: object) -> Link:
    with anyio.fail_after(25):
        while not holds(connection.link):  # type: ignore[operator]
            await anyio.sleep(0.01)
    return connection.link


async def test_it_comes_back_by_itself(tmp_path: Path) -> None:
    """A daemon that ends and starts again has another port and another token; the last picture stays until then."""
    told = threading.Event()
    async with served(StandIn(), tmp_path) as (house, tasks):
        connection = Connection(StoreSource(str(tmp_path)), told.set, Clock(), pauses_s=(0.05, 0.1))
        connection.start()
        link = await until(connection, lambda link: link.snapshot is not None)
        assert link.snapshot == scenes.BUSY and link.lost_ms is None and told.is_set()
        port = house.port
        await house.close()
        lost = await until(connection, lambda link: link.lost_ms is not None and "no daemon is running" in link.trouble)
        assert lost.snapshot == scenes.BUSY
        since = lost.lost_ms
        await anyio.sleep(0.3)
        assert connection.link.lost_ms == since  # of the first failure, not of the last
        house.desk.picture = structs.replace(scenes.BUSY, sequence=9_000)
        await house.open(tasks)
        back = await until(connection, lambda link: link.lost_ms is None)
        assert back.snapshot is not None and back.snapshot.sequence == 9_000 and house.port != port
        connection.stop()


async def test_a_wrong_token_is_told_and_tried_again(tmp_path: Path) -> None:
    """Each try waits longer; whoever asks for one does not wait."""
    async with served(StandIn(), tmp_path) as (house, _):
        token = tmp_path / "wrong"
        token.write_text("no")
        source = UrlSource(f"http://127.0.0.1:{house.port}/", str(token))
        connection = Connection(source, lambda: None, Clock(), pauses_s=(60,))
        connection.start()
        link = await until(connection, lambda link: link.retry_ms is not None)
        assert "status 401" in link.trouble and link.snapshot is None
        token.write_text("token-1")
        connection.retry()
        assert (await until(connection, lambda link: link.snapshot is not None)).lost_ms is None
        connection.stop()


async def test_a_first_picture_is_there_at_once() -> None:
    """That was fetched before; whoever has stopped is told nothing."""
    told: list[int] = []
    connection = Connection(StoreSource("/nowhere"), lambda: told.append(1), Still(), first=scenes.IDLE)
    assert connection.link == Link(snapshot=scenes.IDLE, received_ms=scenes.NOW_MS)
    connection.stop()
    connection.start()
    await anyio.sleep(0.1)
    assert told == []


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://build-1:2468", "plain http would show the token on the way"),
        ("http://10.0.0.7:2468", "plain http would show the token on the way"),
        ("https://127.0.0.1:2468", "is no address of a daemon"),
        ("127.0.0.1:2468", "is no address of a daemon"),
        ("http://127.0.0.1", "is no address of a daemon"),
        ("http://127.0.0.1:2468/x", "is no address of a daemon"),
        ("http://token@127.0.0.1:2468", "is no address of a daemon"),
        ("http://127.0.0.1:99999", "is no address"),
        ("http://[::1", "is no address"),
        ("", "is no address"),
    ],
)
def test_an_address_over_which_no_token_goes_is_refused(url: str, why: str) -> None:
    """With the reason and what to do."""
    with pytest.raises(InstanceError, match=why) as refused:
        UrlSource(url, "token")
    assert "ssh -L" in str(refused.value) and "\n" not in str(refused.value)


def test_a_tunnel_is_an_address_on_loopback() -> None:
    """Whatever daemon is behind it; its process is not on this machine."""
    for url in ("http://127.0.0.1:4000", "http://localhost:4000/", "http://[::1]:4000"):
        address = UrlSource(url, "t").find()
        assert (address.url, address.pid) == (url.rstrip("/"), 0)


async def test_a_daemon_behind_a_tunnel_is_not_told_to_be_gone(tmp_path: Path) -> None:
    """Its number is not known, so nothing is said about its process."""
    (tmp_path / "t").write_text("x")
    with pytest.raises(InstanceError, match="does not answer") as refused:
        fetch_snapshot(UrlSource("http://127.0.0.1:1", str(tmp_path / "t")).find())
    assert not isinstance(refused.value, NoAnswer)


async def test_a_blocking_call_answers_or_raises() -> None:
    """And keeps nobody from leaving."""
    assert await in_thread(lambda: 42) == 42
    with pytest.raises(InstanceError, match="so"):
        await in_thread(lambda: (_ for _ in ()).throw(InstanceError("so")))
    never = threading.Event()
    with anyio.move_on_after(0.05):
        await in_thread(never.wait)
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "ask the daemon")
    never.set()


async def test_time_of_the_daemon_goes_on_while_it_is_connected(tmp_path: Path) -> None:
    """Counted from when its picture came, whatever this machine's clock says."""
    async with seated(tmp_path) as seat:
        seat.clock.ms += 60_000
        seat.app.tick()
        await seat.pilot.pause()
        assert " 8m " in next(line for line in seat.lines if "SHOP-118" in line)
