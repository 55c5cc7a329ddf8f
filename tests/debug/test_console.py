"""What the prompt understands, beside a daemon that is played."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import msgspec

from opensymphony.debug.console import Console
from opensymphony.debug.finding import Found
from opensymphony.debug.screen import Screen
from opensymphony.views import ActionAnswer, TicketView
from tests.api.test_client import answering
from tests.daemon.world import World
from tests.debug.conftest import EVENTS, ID, write

ANSWER = ActionAnswer(request_id="k", accepted=True, answer="it is done")
VIEW = TicketView(id="1", identifier="A-1", title="", state="Todo", phase="running")  # type: ignore[arg-type]


def console(world: World, found: Found, *lines: str | type[BaseException]) -> tuple[Console, io.StringIO]:
    """A person who types these lines and then goes away."""
    given: Iterator[str | type[BaseException]] = iter((*lines, EOFError))

    def read_line(prompt: str) -> str:
        line = next(given)
        if isinstance(line, str):
            return line
        raise line

    stream = io.StringIO()
    return Console(found, world.settings(), world.policy(), Screen(stream), author="me", read_line=read_line), stream


def test_actions_and_messages_go_through_the_daemon(tmp_path: Path, conversation: Path) -> None:
    """By their names; a message is followed until the agent rests."""
    world = World(tmp_path / "world")
    with answering(200, msgspec.json.encode(ANSWER), tmp_path) as (address, asked):
        found = Found(conversation_id=ID, directory=conversation, view=VIEW, daemon=address)
        typed = (
            "/pause",
            "/resume",
            "/interrupt",
            "/approve",
            "/reject not this",
            "two \\",
            "lines",
            "/quit",
            "/pause",
        )
        shown, stream = console(world, found, *typed)
        shown.talk()
    assert [path.rpartition("/")[2] for path, _ in asked] == [
        *("pause", "resume", "stop", "approve", "reject", "message"),
    ]
    assert [body["text"] for _, body in asked[-2:]] == ["not this", "two \nlines"]
    assert stream.getvalue().count("it is done") == 6
    assert "**Done.**" in stream.getvalue()


def test_trouble_never_ends_the_prompt(tmp_path: Path, conversation: Path) -> None:
    """An unknown command, an action that needs a daemon, and one Ctrl-C; the second ends it."""
    world = World(tmp_path / "world")
    found = Found(conversation_id=ID, directory=conversation, archived=True)
    typed = (
        "/nothing",
        "/pause",
        "hello",
        "/cost",
        "/diff",
        KeyboardInterrupt,
        "/help",
        *[KeyboardInterrupt] * 2,
        "/help",
    )
    shown, stream = console(world, found, *typed)
    shown.talk()
    text = stream.getvalue()
    for part in ("there is no /nothing", "no daemon runs", "is archived", "known of tickets only", "no workspace"):
        assert part in text
    assert text.count("/history [all]") == 1


def test_only_what_is_new_is_shown_again(tmp_path: Path, conversation: Path) -> None:
    """An empty line looks for news."""
    world = World(tmp_path / "world")
    shown, stream = console(world, Found(conversation_id=ID, directory=conversation), "")
    shown.show(2)
    before = len(stream.getvalue())
    write(conversation, [{"kind": "LaterEvent"}], first=len(EVENTS))
    shown.talk()
    assert stream.getvalue()[before:] == "-- LaterEvent\n"
