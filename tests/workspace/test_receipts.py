"""What the daemon remembers of its workspaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.model import TicketId
from opensymphony.workspace.receipts import Receipt, Receipts

RECEIPT = Receipt(state="ready", ticket_id=TicketId("1"), identifier="A", path="/r/A", branch="b", base_commit="c")


def test_a_receipt_is_read_as_it_was_written(tmp_path: Path) -> None:
    """By the next daemon too; each root has its own."""
    Receipts(str(tmp_path), "/r").write("A", RECEIPT)
    assert Receipts(str(tmp_path), "/r").read("A") == RECEIPT
    assert Receipts(str(tmp_path), "/other").read("A") is None


def test_a_removed_receipt_is_gone(tmp_path: Path) -> None:
    """Removing it twice is no failure."""
    receipts = Receipts(str(tmp_path), "/r")
    receipts.write("A", RECEIPT)
    receipts.remove("A")
    receipts.remove("A")
    assert receipts.read("A") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "half"}'])
def test_an_unreadable_receipt_is_none(tmp_path: Path, content: str) -> None:
    """Then the directory is not known to be ours, and is set aside instead of used."""
    receipts = Receipts(str(tmp_path), "/r")
    receipts.write("A", RECEIPT)
    next(tmp_path.rglob("A.json")).write_text(content)
    assert receipts.read("A") is None


def test_a_receipt_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """One line with the place."""
    (tmp_path / "receipts").write_text("")
    with pytest.raises(WorkspaceError, match="receipt of workspace A cannot be written to"):
        Receipts(str(tmp_path), "/r").write("A", RECEIPT)
