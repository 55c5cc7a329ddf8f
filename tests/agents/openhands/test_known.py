"""What is remembered of conversations."""

from __future__ import annotations

import pytest

from opensymphony.agents.openhands import known as known_module
from opensymphony.agents.openhands.known import Conversations
from opensymphony.agents.openhands.mirror import Mirror


@pytest.mark.fixes(11)
def test_the_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those used last are kept, with all that is known of them."""
    monkeypatch.setattr(known_module, "_CONVERSATIONS_MAX", 2)
    conversations = Conversations(Mirror)
    first, _ = conversations.of("1"), conversations.of("2")
    first.is_stopped = True
    conversations.of("1")
    conversations.of("3")
    assert len(conversations) == 2
    assert conversations.of("1") is first
    assert not conversations.of("2").is_stopped


def test_what_is_forgotten_begins_anew() -> None:
    """Another conversation may come to have its id."""
    conversations = Conversations(Mirror)
    conversations.of("1").mirror.last_seq = 5
    conversations.forget("1")
    conversations.forget("2")
    assert conversations.of("1").mirror.last_seq == -1
