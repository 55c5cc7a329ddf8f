"""What one conversation leaves to the next."""

from __future__ import annotations

from typing import Any

import msgspec

from opensymphony.agents.openhands.client import Client
from opensymphony.agents.openhands.handover import hand_over, summarise
from opensymphony.agents.openhands.messages import Event
from opensymphony.agents.openhands.mirror import marker
from tests.agents.openhands.fakes import ID, FakeServer, in_turn


def event(kind: str, **fields: Any) -> Event:
    return msgspec.json.decode(msgspec.json.encode({"kind": kind, "id": kind, **fields}), type=Event)


def text_of(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


def said(text: str, source: str = "user") -> Event:
    return event("MessageEvent", source=source, llm_message=text_of(text))


def did(command: str, **more: Any) -> Event:
    return event("ActionEvent", tool_name="terminal", action={"kind": "TerminalAction", "command": command, **more})


def answered(text: str, exit_code: int = 0) -> Event:
    return event(
        "ObservationEvent", observation={"kind": "TerminalObservation", **text_of(text), "exit_code": exit_code}
    )


def test_what_was_done_and_said_is_in_it() -> None:
    """The server's summary, people's words without our marker, files, commands with their ends, and the agent's last words."""
    text = summarise(
        summary="Parsed the file.",
        said=[said(f"Mind the umlauts.\n\n{marker('A-1#2/4/send-message')}")],
        tail=[
            did("create", path="/w/parser.py"),
            did("make test"),
            answered("2 failed", 1),
            said("I go on.", source="agent"),
            event("ActionEvent", tool_name="finish", action={"kind": "FinishAction", "message": "Half of it."}),
        ],
    )
    assert "Parsed the file." in text
    assert "- Mind the umlauts." in text
    assert "- /w/parser.py" in text
    assert "terminal: make test" in text
    assert "(exit code 1): 2 failed" in text
    assert "you said: I go on." in text
    assert "you closed with: Half of it." in text
    assert "opensymphony:" not in text


def test_it_has_a_limit_and_keeps_the_newest() -> None:
    """However long a history was, its summary is not; the same log makes the same text."""
    tail = [one for number in range(1_000) for one in (did(f"step {number} {'x' * 2_000}"), answered("y" * 100_000))]
    given: dict[str, Any] = {"summary": "z" * 100_000, "said": [said("w" * 50_000)] * 12, "tail": tail}
    text = summarise(**given)
    assert len(text) < 20_000
    assert "step 999" in text
    assert "step 1 " not in text
    assert text == summarise(**given)


def test_nothing_done_is_an_empty_summary() -> None:
    """Events that say nothing leave nothing."""
    assert summarise(summary="", said=[], tail=[event("PauseEvent"), event("unreadable")]) == ""


async def test_the_instructions_are_not_repeated(fake: FakeServer) -> None:
    """The successor gets the full prompt itself: the first message of the old log is left out."""
    first = {"id": "m1", "kind": "MessageEvent", "source": "user", "llm_message": text_of("The whole prompt.")}
    later = {"id": "m2", "kind": "MessageEvent", "source": "user", "llm_message": text_of("One more thing.")}
    condensed = {"id": "c", "kind": "Condensation", "summary": "So far so good."}
    answers = ([condensed], [later, first], [first, later], [later, first])
    fake.answers["GET /events/search"] = in_turn(*((200, {"items": answer}) for answer in answers))
    client = Client(fake.endpoint)
    text = await hand_over(client, ID)
    await client.close()
    assert "So far so good." in text
    assert "One more thing." in text
    assert "The whole prompt." not in text
