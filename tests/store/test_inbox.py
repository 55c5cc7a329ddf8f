"""Deliveries are durable before they are acknowledged, and each is there once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import anyio
import pytest

from opensymphony.errors import StoreError
from opensymphony.interfaces import Delivery
from opensymphony.store.inbox import Inbox, Settled


def delivery(number: int, **fields: str) -> Delivery:
    return Delivery(
        service="jira", id=f"d{number}", event="jira:issue_updated", ticket_id="1", ticket="PROJ-1", **fields
    )


async def opened(tmp_path: Path) -> Inbox:
    return await Inbox.open(tmp_path / "store" / "inbox.db")


async def test_what_was_put_is_there_after_a_kill(tmp_path: Path) -> None:
    """The file is closed to others; nothing needs a close."""
    inbox = await opened(tmp_path)
    assert await inbox.put(delivery(1, author="a", changes="assignee: x -> y"), b"{1}", 1_000)
    again = await Inbox.open(inbox.path)
    [found] = await again.waiting(10)
    assert (found.id, found.ticket, found.author, found.changes, found.outcome) == (
        "d1",
        "PROJ-1",
        "a",
        "assignee: x -> y",
        "pending",
    )
    assert await again.get(found.number) == (found, b"{1}")
    assert inbox.path.stat().st_mode & 0o777 == 0o600
    await inbox.close()
    await again.close()


async def test_a_repetition_is_no_news(tmp_path: Path) -> None:
    """By the sender's id, or by the body; where there is no id the body is it."""
    inbox = await opened(tmp_path)
    assert await inbox.put(delivery(1), b"one", 1)
    assert not await inbox.put(delivery(1), b"another body", 2)
    assert not await inbox.put(delivery(2), b"one", 3)
    assert await inbox.put(delivery(2), b"two", 3)
    nameless = Delivery(service="jira", id="", event="e")
    assert await inbox.put(nameless, b"three", 4)
    assert await inbox.put(nameless, b"four", 5)
    assert not await inbox.put(nameless, b"four", 6)
    assert len(await inbox.waiting(10)) == 4
    await inbox.close()


async def test_many_at_once_share_a_transaction(tmp_path: Path) -> None:
    """Each is told for itself whether it is new, and all of them are there."""
    inbox = await opened(tmp_path)
    new: list[bool] = []
    written: list[int] = []
    write = inbox._write
    inbox._write = lambda batch: (written.append(len(batch)), write(batch))[1]  # type: ignore[method-assign]

    async def put(number: int) -> None:
        new.append(await inbox.put(delivery(number % 150), b"body %d" % (number % 150), number))

    async with anyio.create_task_group() as tasks:
        for number in range(300):
            tasks.start_soon(put, number)
    assert sum(new) == 150
    assert len(await inbox.waiting(1_000)) == 150
    assert (sum(written), len(written) < 30) == (300, True)
    await inbox.close()


async def test_what_cannot_be_written_is_told_to_all_who_wait(tmp_path: Path) -> None:
    """And is not there; when it is well again, it goes on."""
    inbox = await opened(tmp_path)
    failed: list[int] = []
    write = inbox._write

    def fail(batch: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async def put(number: int) -> None:
        try:
            await inbox.put(delivery(number), b"%d" % number, number)
        except StoreError as error:
            assert "the inbox" in str(error)
            failed.append(number)

    inbox._write = fail  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(put, number)
    assert sorted(failed) == list(range(20))
    inbox._write = write  # type: ignore[method-assign]
    await put(21)
    assert [one.id for one in await inbox.waiting(10)] == ["d21"]
    await inbox.close()


async def test_what_was_looked_at_waits_no_more_and_can_be_replayed(tmp_path: Path) -> None:
    inbox = await opened(tmp_path)
    for number in range(1, 4):
        await inbox.put(delivery(number), b"%d" % number, number)
    first, second, third = await inbox.waiting(10)
    await inbox.settle([Settled(number=first.number, outcome="looked", detail="PROJ-1 is in Done")], 9)
    assert [one.number for one in await inbox.waiting(10)] == [second.number, third.number]
    assert [one.number for one in await inbox.newest(2)] == [third.number, second.number]
    assert [one.detail for one in await inbox.newest(2, before=second.number)] == ["PROJ-1 is in Done"]
    assert await inbox.replay(first.number)
    assert not await inbox.replay(999)
    assert [(one.number, one.replays) for one in await inbox.waiting(1)] == [(first.number, 1)]
    assert await inbox.get(999) is None
    await inbox.close()


async def test_old_ones_are_forgotten(tmp_path: Path) -> None:
    """By age and by number; never one that waits."""
    inbox = await opened(tmp_path)
    for number in range(1, 6):
        await inbox.put(delivery(number), b"%d" % number, number)
    waiting = await inbox.waiting(10)
    await inbox.settle([Settled(number=one.number, outcome="looked", detail="") for one in waiting[:4]], 9)
    assert await inbox.forget(before_ms=2, keep=100) == 1
    assert await inbox.forget(before_ms=0, keep=2) == 2
    assert [one.id for one in await inbox.newest(10)] == ["d5", "d4"]
    await inbox.close()


async def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Damaged, of a later release, or where nothing can be made."""
    (tmp_path / "bad.db").write_text("no database at all, but long enough to be looked at" * 50)
    with pytest.raises(StoreError, match="the inbox"):
        await Inbox.open(tmp_path / "bad.db")
    inbox = await opened(tmp_path)
    await inbox.close()
    with sqlite3.connect(inbox.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="of a later release"):
        await Inbox.open(inbox.path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        await Inbox.open(tmp_path / "file" / "inbox.db")
