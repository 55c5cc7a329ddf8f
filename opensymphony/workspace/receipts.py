"""What the daemon remembers about each workspace: whose it is, and whether it was ever finished.

In and out: a `Receipt` per key, one file each. They live with the daemon's state and not below the workspace root, where an
agent in a sandbox may write.
"""

from __future__ import annotations

import hashlib
import os
from typing import Literal

import msgspec
from msgspec import Struct

from opensymphony.errors import WorkspaceError
from opensymphony.model import Ticket, TicketId
from opensymphony.workspace.manifest import replace_file


class Receipt(Struct, frozen=True, kw_only=True):
    """Written as `creating` before a directory is made and as `ready` when the last step has succeeded.

    So a directory with a `creating` receipt holds nothing but our own unfinished work, and one without any receipt is
    somebody else's.
    """

    state: Literal["creating", "ready"]
    ticket_id: TicketId
    identifier: str
    path: str
    repository: str | None = None
    """`repository_key` of the repository; None for a workspace without one."""
    branch: str | None = None
    base_commit: str | None = None

    def belongs_to(self, ticket: Ticket) -> bool:
        return self.ticket_id == ticket.id


class Receipts:
    """The receipts of one workspace root."""

    def __init__(self, state_dir: str, root: str) -> None:
        self._directory = os.path.join(state_dir, "receipts", hashlib.sha256(root.encode()).hexdigest()[:12])

    def read(self, key: str) -> Receipt | None:
        """The receipt; None when there is none or it cannot be understood, which both mean: not known to be ours."""
        try:
            with open(os.path.join(self._directory, f"{key}.json"), "rb") as file:
                return msgspec.json.decode(file.read(), type=Receipt)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        except OSError as error:
            raise WorkspaceError(f"the receipt of workspace {key} cannot be read: {error.strerror}") from error

    def write(self, key: str, receipt: Receipt) -> None:
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                replace_file(directory, f"{key}.json", msgspec.json.encode(receipt) + b"\n")
            finally:
                os.close(directory)
        except OSError as error:
            message = f"the receipt of workspace {key} cannot be written to {self._directory}: {error.strerror}"
            raise WorkspaceError(message) from error

    def remove(self, key: str) -> None:
        try:
            os.unlink(os.path.join(self._directory, f"{key}.json"))
        except FileNotFoundError:
            return
        except OSError as error:
            raise WorkspaceError(f"the receipt of workspace {key} cannot be removed: {error.strerror}") from error
