"""What a tracker is about: tickets, their names, what is written on them, and what a tracker answers.

Part of `opensymphony.model`, which has all the nouns.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, NewType

from msgspec import Struct

TicketId = NewType("TicketId", str)
"""The tracker's own stable id; never shown to people. For the files tracker: the file's stem."""

TICKET_KEY_CHARS_MAX = 128
"""Half of what a file system allows for a name: room for what tools append to it."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_FOREIGN_TO_KEYS = re.compile(r"[^A-Za-z0-9._-]")


def encodable(text: str) -> str:
    """The text as UTF-8 and JSON can carry it: halves of a surrogate pair are joined, a lone one becomes U+FFFD.

    For whatever enters from outside: YAML escapes, file names and the environment can hold halves, and one of them in an
    event cannot be written into the journal.
    """
    if _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def ticket_key(identifier: str) -> str:
    """A ticket's name for directories, branches and shells: the identifier itself where it is a safe name, as `ABC-1` is.

    Otherwise every character outside `[A-Za-z0-9._-]` becomes `_`, and so does a dot or dash that would mean something to
    the file system, a command line or git; such a name, or one that is too long, ends in `--` and 16 hex digits of the
    identifier's SHA-256, so that `A/B`, `A:B` and `A_B` stay apart.
    """
    key = _FOREIGN_TO_KEYS.sub("_", identifier) or "_"
    if key[:1] in (".", "-"):
        key = "_" + key[1:]
    if ".." in key or key.endswith((".", ".lock")):
        key = key.replace(".", "_")
    if key == identifier and 0 < len(key) <= TICKET_KEY_CHARS_MAX:
        return key
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{key[: TICKET_KEY_CHARS_MAX - 18]}--{digest}"


class TicketRef(Struct, frozen=True, kw_only=True):
    """Another ticket as seen from one: a blocker, a parent or a child."""

    id: TicketId
    identifier: str
    state: str | None = None
    """None when the tracker does not show it to us; such a blocker blocks."""


class Claim(Struct, frozen=True, kw_only=True):
    """Whose ticket it is, as written on the ticket itself."""

    instance: str
    generation: int
    heartbeat_ms: int


class TicketComment(Struct, frozen=True, kw_only=True):
    """What somebody has said on a ticket; our own comments are none."""

    id: str
    """Stable, and never used for another comment of the ticket."""
    number: int
    """Rises with each comment of the ticket."""
    author: str
    """The tracker's own id of the account, or the name where accounts have none."""
    author_name: str = ""
    """As people see it; whoever has the account may change it, so it decides nothing."""
    created_at: str | None = None
    text: str = ""
    """Markdown, shortened."""


class Ticket(Struct, frozen=True, kw_only=True):
    """A tracker's unit of work, normalised. The API calls it *issue*, as Symphony does."""

    id: TicketId
    identifier: str
    title: str
    state: str
    description: str | None = None
    priority: int | None = None
    """1 is the most urgent, 4 the least; anything else sorts last."""
    labels: tuple[str, ...] = ()
    """Lower case, without doubles, in the tracker's order."""
    assignee: str | None = None
    parent: TicketRef | None = None
    children: tuple[TicketRef, ...] = ()
    blocked_by: tuple[TicketRef, ...] = ()
    comments: tuple[TicketComment, ...] = ()
    """The newest ones, oldest first."""
    url: str | None = None
    branch_name: str | None = None
    created_at: str | None = None
    """ISO 8601 with offset, as the prompt shows it."""
    created_ms: int | None = None
    updated_at: str | None = None
    claim: Claim | None = None
    native_ref: dict[str, Any] | None = None
    """What the tracker needs to find the ticket again; opaque to everyone else."""
    dispatchable: bool = True
    """False when a rule of the tracker itself forbids work on it."""


class ClaimAnswer(Struct, frozen=True, kw_only=True):
    """Whether a ticket is ours now."""

    granted: bool
    holder: Claim | None = None
    """The live claim of another instance that stands in the way."""


class TransitionAnswer(Struct, frozen=True, kw_only=True):
    """Whether a ticket was moved."""

    moved: bool
    state: str
    """The state the ticket is in now; a person's newer choice wins over ours."""


class TicketPage(Struct, frozen=True, kw_only=True):
    """The answer to one poll: good tickets, and what was wrong with the others."""

    tickets: tuple[Ticket, ...]
    problems: tuple[str, ...] = ()
    """One line each, with place and cause; a bad ticket never hides a good one."""


class TrackerState(Struct, frozen=True, kw_only=True):
    """What a tracker was asked since the start, and what it lets us ask."""

    requests: int = 0
    refused: int = 0
    """Of these, for being too many."""
    remaining: int | None = None
    """As it said last; None when it does not say."""
    paused_until_ms: int = 0
    """Until then it asked not to be asked at all."""
