"""A look at a journal from beside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opensymphony.errors import StoreError
from opensymphony.store.sqlite import Journal
from opensymphony.store.summary import Summary, summarise


async def test_a_journal_is_looked_at_while_a_daemon_writes_it(tmp_path: Path) -> None:
    """How many records, and the oldest; closed or open makes no difference."""
    path = tmp_path / "journal.db"
    assert summarise(path) is None
    journal = await Journal.open(path, format_number=1)
    assert summarise(path) == Summary(records=0, first=0, oldest=None)
    await journal.append([(3, b"three"), (4, b"four")])
    assert summarise(path) == Summary(records=2, first=3, oldest=b"three")
    await journal.close()
    before = sorted((one.name, one.stat().st_size) for one in tmp_path.iterdir())
    assert summarise(path) == Summary(records=2, first=3, oldest=b"three")
    assert [one for one in before if one not in sorted((o.name, o.stat().st_size) for o in tmp_path.iterdir())] == []


@pytest.mark.parametrize("content", [b"no database", b"", os.urandom(5_000)])
def test_what_is_no_journal_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    """With its place."""
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(StoreError) as refused:
        summarise(path)
    assert str(refused.value).startswith(f"the journal {path} cannot be read (")
    assert path.read_bytes() == content
