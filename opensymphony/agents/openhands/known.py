"""What is known of each conversation while we live: bounded in number, those used last are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from opensymphony.agents.openhands.mirror import Mirror

_CONVERSATIONS_MAX = 512


class Known(Struct, kw_only=True):
    """One conversation, as far as we had to do with it."""

    mirror: Mirror
    boot: int | None = None
    """Of the server that took the last message, where that is known."""
    body: dict[str, Any] | None = None
    """What it works with, as far as it was opened by us."""
    tools: tuple[str, ...] = ()
    """Of one that was made as the policy asks; one of an earlier policy keeps the tools it has."""
    is_stopped: bool = False
    """We were told to stop it, and no message was sent since."""
    stands_still: bool = False
    """It was stopped and confirmed to be, and no message was sent since: a call that is open all the same never ends."""
    is_certain: bool = False
    """No message to it may still be on its way: it was made by us, or the last one was answered."""


class Conversations:
    """All of them, by their ids."""

    def __init__(self, new_mirror: Callable[[], Mirror]) -> None:
        self._new_mirror = new_mirror
        self._known: OrderedDict[str, Known] = OrderedDict()

    def of(self, conversation_id: str) -> Known:
        """What is known, perhaps nothing yet."""
        known = self._known.pop(conversation_id, None) or Known(mirror=self._new_mirror())
        self._known[conversation_id] = known
        if len(self._known) > _CONVERSATIONS_MAX:
            self._known.popitem(last=False)
        return known

    def forget(self, conversation_id: str) -> None:
        """It is gone, or another one has its id."""
        self._known.pop(conversation_id, None)

    def __len__(self) -> int:
        return len(self._known)
