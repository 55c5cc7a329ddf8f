"""The journal: whole transactions, in order, durable; and what it says when it cannot be one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from opensymphony.errors import StoreError, StoreUnwritable
from opensymphony.store.sqlite import CHECKPOINTS_KEPT, Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(path, format_number=1)
    yield opened
    await opened.close()


async def test_records_come_back_in_order(journal: Journal, path: Path) -> None:
    """What was appended is there after closing, byte for byte; the file is its owner's alone."""
    await journal.append([(1, b"one"), (2, b"two")])
    await journal.append([(3, b"\x00\xff")])
    again = await Journal.open(path, format_number=1)
    assert await again.load() == (None, [(1, b"one"), (2, b"two"), (3, b"\x00\xff")])
    await again.close()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_an_append_is_whole_or_not_at_all(journal: Journal) -> None:
    """A record that cannot be written takes those of its transaction with it, and the journal goes on."""
    await journal.append([(1, b"one")])
    with pytest.raises(StoreError, match="UNIQUE"):
        await journal.append([(2, b"two"), (3, b"three"), (1, b"again")])
    assert await journal.load() == (None, [(1, b"one")])
    await journal.append([(2, b"second")])
    assert (await journal.load())[1][-1] == (2, b"second")


async def test_half_an_append_is_never_seen(journal: Journal, path: Path) -> None:
    """Of a transaction that was cut off between two rows there is nothing, while it lasts and afterwards."""
    await journal.append([(1, b"one")])
    torn = sqlite3.connect(path, isolation_level=None)
    try:
        torn.execute("BEGIN IMMEDIATE")
        torn.execute("INSERT INTO records VALUES (2, 'half')")
        assert await journal.load() == (None, [(1, b"one")])
    finally:
        torn.close()
    assert await journal.load() == (None, [(1, b"one")])


async def test_a_checkpoint_shortens_the_reading(journal: Journal) -> None:
    """The newest checkpoint and only the records after it are read."""
    await journal.append([(number, b"record") for number in range(1, 8)])
    for sequence in (2, 4, 6):
        await journal.write_checkpoint(sequence, b"state %d" % sequence)
    await journal.write_checkpoint(6, b"state 6 again")
    assert await journal.load() == ((6, b"state 6 again"), [(7, b"record")])


async def test_old_checkpoints_are_thinned_out(journal: Journal) -> None:
    """The newest two stay for starts and the oldest for the records after it; the rest lies evenly between them."""
    for sequence in range(100, 3_100, 100):
        await journal.write_checkpoint(sequence, b"state")
    kept = await journal.checkpoints()
    assert len(kept) == CHECKPOINTS_KEPT
    assert (kept[0], kept[-2:]) == (100, [2_900, 3_000])
    gaps = [after - before for before, after in pairwise(kept)]
    assert max(gaps[:-1]) <= 4 * min(gaps[:-1])


async def test_a_fact_keeps_its_first_value(journal: Journal, path: Path) -> None:
    """The instance's name is chosen once."""
    assert await journal.fact("instance", "first") == "first"
    again = await Journal.open(path, format_number=1)
    assert await again.fact("instance", "second") == "first"
    await again.close()


async def test_a_later_format_is_refused(path: Path) -> None:
    """A journal of a later release is neither read nor changed, and the message names both formats."""
    newer = await Journal.open(path, format_number=2)
    await newer.append([(1, b"of format 2")])
    await newer.close()
    with pytest.raises(StoreError) as refused:
        await Journal.open(path, format_number=1)
    assert str(refused.value) == (
        f"the journal {path} has format 2, this release reads up to 1: "
        "use the release that wrote it, or move the journal away to start anew"
    )


async def test_an_earlier_format_is_taken_over(journal: Journal, path: Path) -> None:
    """Its records are still there; the release that wrote them may not open it any more, since it would not know the new."""
    await journal.append([(1, b"of format 1")])
    await journal.close()
    newer = await Journal.open(path, format_number=3)
    assert await newer.load() == (None, [(1, b"of format 1")])
    await newer.close()
    with pytest.raises(StoreError, match="has format 3, this release reads up to 2"):
        await Journal.open(path, format_number=2)


async def test_a_journal_without_a_format_is_refused(journal: Journal, path: Path) -> None:
    """Nobody knows what is in it."""
    journal._connection.execute("UPDATE facts SET value = 'one' WHERE name = 'format'")
    with pytest.raises(StoreError, match="does not say which format it has: restore a backup"):
        await Journal.open(path, format_number=1)


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to look at" * 100, b"SQLite format 3\x00" + b"\xff" * 5000]
)
async def test_a_damaged_file_is_refused(content: bytes, path: Path) -> None:
    """One line names the file and what to do; the file stays as it is."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError) as refused:
        await Journal.open(path, format_number=1)
    message = str(refused.value)
    assert message.startswith(f"the journal {path} cannot be used (")
    assert message.endswith("restore a backup, or move the journal away to start anew")
    assert "\n" not in message
    assert path.read_bytes() == content


async def test_a_damaged_page_is_found_when_it_is_read(path: Path) -> None:
    """Damage behind the first page lets the file open, not be read."""
    opened = await Journal.open(path, format_number=1)
    await opened.append([(number, os.urandom(3000)) for number in range(1, 40)])
    await opened.close()
    with path.open("r+b") as file:
        file.seek(4096 * 6)
        file.write(b"\xff" * 4096 * 20)
    opened = await Journal.open(path, format_number=1)
    try:
        with pytest.raises(StoreError, match="restore a backup, or move the journal away to start anew"):
            await opened.load()
    finally:
        await opened.close()


async def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A file where the directory should be."""
    (tmp_path / "store").write_text("a file of mine")
    with pytest.raises(StoreError, match=r"journal\.db cannot be opened \(.*\): make its directory writable"):
        await Journal.open(tmp_path / "store" / "journal.db", format_number=1)


async def test_a_full_disk_is_told_as_such(journal: Journal) -> None:
    """Nothing of the transaction stays, what was there can be read, and with space the journal goes on."""
    await journal.append([(1, b"one")])
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(2):
        with pytest.raises(StoreUnwritable) as refused:
            await journal.append([(2, b"small"), (3, os.urandom(20_000))])
        assert str(refused.value) == (
            f"the journal {journal.path} cannot be written (database or disk is full): free space on its disk"
        )
    with pytest.raises(StoreUnwritable, match="full"):
        await journal.write_checkpoint(1, os.urandom(20_000))
    assert await journal.load() == (None, [(1, b"one")])
    journal._connection.execute("PRAGMA max_page_count = 10000")
    await journal.append([(2, os.urandom(20_000))])
    await journal.write_checkpoint(2, os.urandom(20_000))


async def test_a_read_only_journal_is_told_as_such(path: Path) -> None:
    """Reading goes on, writing is refused with what to do."""
    await (await Journal.open(path, format_number=1)).close()
    read_only = Journal(
        sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False, isolation_level=None), path
    )
    try:
        with pytest.raises(StoreError, match="make the file and its directory writable"):
            await read_only.append([(1, b"one")])
    finally:
        await read_only.close()


async def test_a_journal_that_another_program_holds_is_told_as_such(journal: Journal, path: Path) -> None:
    """Somebody's database browser in the middle of a change."""
    journal._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreError, match="end the program that holds it open"):
            await journal.append([(1, b"one")])
    finally:
        other.close()


async def filled(journal: Journal, count: int = 1_200) -> None:
    """Records of one page each, and a checkpoint after every hundredth."""
    await journal.append([(number, os.urandom(3_000)) for number in range(1, count + 1)])
    for sequence in range(100, count + 1, 100):
        await journal.write_checkpoint(sequence, b"state %d" % sequence)


async def test_records_are_forgotten_in_steps(journal: Journal) -> None:
    """The oldest first, so many at a time; with the last of them the checkpoints before the cut go too."""
    await filled(journal, 600)
    assert [await journal.forget(200, 150), await journal.forget(200, 150)] == [150, 50]
    assert await journal.checkpoints() == [100, 200, 300, 400, 500, 600]
    assert await journal.forget(200, 150) == 0
    assert await journal.checkpoints() == [200, 300, 400, 500, 600]
    assert (await journal.record(200), await journal.record(201) is not None) == (None, True)


async def test_what_a_start_may_need_is_never_forgotten(journal: Journal) -> None:
    """Whatever is asked for: of the two newest checkpoints the older one, and every record after it, stay."""
    await journal.append([(number, b"record") for number in range(1, 11)])
    assert await journal.forget(10, 100) == 0
    await journal.write_checkpoint(4, b"state 4")
    assert await journal.forget(10, 100) == 0
    await journal.write_checkpoint(8, b"state 8")
    assert await journal.forget(10, 100) == 4
    assert await journal.forget(10, 100) == 0
    assert await journal.checkpoints() == [4, 8]
    assert await journal.record(5) == b"record"


async def test_the_file_shrinks_in_steps(journal: Journal, path: Path) -> None:
    """What was forgotten is given back to the disk, while records go on being written between two steps."""
    await filled(journal)
    await journal.forget(1_100, 2_000)
    assert await journal.size() < 1_000_000
    steps = 0
    while await journal.shrink(100):
        steps += 1
        await journal.append([(1_200 + steps, b"meanwhile")])
    assert steps > 5
    assert path.stat().st_size < 1_000_000
    assert len((await journal.load())[1]) == steps


async def test_a_last_record_on_a_damaged_page_comes_back_empty(path: Path) -> None:
    """Garbage on the pages behind its first, as a bad sector leaves it: what was before it is read all the same."""
    opened = await Journal.open(path, format_number=1)
    await opened.append([(1, b"one"), (2, b"two")])
    pages = opened._connection.execute("PRAGMA page_count").fetchone()[0]
    await opened.append([(3, os.urandom(20_000))])
    await opened.close()
    with path.open("r+b") as file:
        file.seek(4096 * pages)
        file.write(b"\xff" * 4096 * 3)
    opened = await Journal.open(path, format_number=1)
    try:
        _, rows = await opened.load()
        assert rows == [(1, b"one"), (2, b"two"), (3, b"")]
    finally:
        await opened.close()


async def test_the_last_record_can_be_taken_off(journal: Journal) -> None:
    """No other one can."""
    await journal.append([(1, b"one"), (2, b"two"), (3, b"th")])
    await journal.drop_last(2)
    await journal.drop_last(3)
    assert (await journal.load())[1] == [(1, b"one"), (2, b"two")]
    await journal.append([(3, b"three")])
