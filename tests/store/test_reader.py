"""A second look at a journal: one moment of it, without a trace."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opensymphony.errors import StoreError
from opensymphony.store.reader import open_reader
from opensymphony.store.sqlite import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a store?" / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(path, format_number=1)
    await opened.append([(number, b"record %d" % number) for number in range(1, 6)])
    await opened.write_checkpoint(2, b"state 2")
    await opened.write_checkpoint(4, b"state 4")
    yield opened
    await opened.close()


async def test_it_reads_beside_a_daemon(journal: Journal, path: Path) -> None:
    """Records, bounds and checkpoints as they were when it was opened, whatever is written meanwhile."""
    with open_reader(path, format_number=1) as reader:
        await journal.append([(6, b"later")])
        await journal.forget(2, 10)
        assert reader.bounds == (1, 5)
        assert list(reader.records(1, 3)) == [(2, b"record 2"), (3, b"record 3")]
        assert list(reader.records(4, 99)) == [(5, b"record 5")]
        assert (reader.checkpoints(), reader.checkpoint(4)) == ([2, 4], b"state 4")
    with open_reader(path, format_number=1) as reader:
        assert reader.bounds == (3, 6)


async def test_it_reads_when_no_daemon_runs(journal: Journal, path: Path) -> None:
    """And leaves nothing behind."""
    await journal.close()
    before = path.read_bytes()
    with open_reader(path, format_number=1) as reader:
        assert reader.bounds == (1, 5)
    assert path.read_bytes() == before
    assert sorted(name for name in os.listdir(path.parent) if not name.endswith(("-wal", "-shm"))) == ["journal.db"]


async def test_an_empty_journal_has_no_bounds(path: Path) -> None:
    """Nothing has happened yet."""
    await (await Journal.open(path, format_number=1)).close()
    with open_reader(path, format_number=1) as reader:
        assert (reader.bounds, reader.checkpoints()) == ((0, 0), [])


async def test_it_cannot_write(journal: Journal, path: Path) -> None:
    """Not even by mistake."""
    with open_reader(path, format_number=1) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM records")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no journal at .*: it is made by the first `opensymphony run`"),
        (b"not a database at all, but long enough" * 200, "cannot be used .*: restore a backup"),
        (b"", "cannot be used .*: restore a backup"),
    ],
)
def test_what_is_no_journal_is_refused(content: bytes | None, said: str, path: Path) -> None:
    """In one line."""
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=said), open_reader(path, format_number=1):
        pass


async def test_a_later_format_is_refused(path: Path) -> None:
    """As the daemon does."""
    await (await Journal.open(path, format_number=2)).close()
    with (
        pytest.raises(StoreError, match="has format 2, this release reads up to 1"),
        open_reader(path, format_number=1),
    ):
        pass
