"""What the prompt understands, beside a daemon that is played."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from opensymphony.debug import console as console_module
from opensymphony.debug.console import Console
from opensymphony.debug.finding import Found
from opensymphony.debug.screen import Screen
from opensymphony.model import Usage
from opensymphony.views import ActionAnswer, Changes, TicketView
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


def test_the_ticket_is_told_about(tmp_path: Path, conversation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it stands, what it cost, what was changed, and the transcript from its beginning."""
    world = World(tmp_path / "world")
    view = msgspec.structs.replace(
        VIEW,
        stage="working",
        reason="it works",
        activity="terminal: ls",
        workspace="/w",
        usage=Usage(prompt_tokens=1_200),
    )
    told = iter([Changes(diff="+ added", truncated=True), Changes(diff="")])

    async def changes(workspace: str, base: str | None) -> Changes:
        assert workspace == "/w"
        return next(told)

    monkeypatch.setattr(console_module, "view_of", lambda settings, found: view)
    monkeypatch.setattr(console_module, "changes", changes)
    found = Found(conversation_id=ID, directory=conversation, view=view)
    shown, stream = console(world, found, "/status", "/cost", "/diff", "/diff", "/history all")
    shown.talk()
    text = stream.getvalue()
    assert "A-1: running, working: it works\nlast: terminal: ls" in text
    for part in (
        f"conversation {ID} (in use)",
        "1,200 tokens in",
        "+ added",
        "there is more",
        "nothing has changed",
        "**Done.**",
    ):
        assert part in text
    monkeypatch.setattr(console_module, "view_of", lambda settings, found: None)
    archived = msgspec.structs.replace(found, archived=True, view=None)
    shown, stream = console(world, archived, "/status")
    shown.talk()
    assert stream.getvalue() == f"conversation {ID} (archived)\n"


class Played:
    """A server of the console's own, whose agent works until it is interrupted."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.working = False
        self.ended = ""

    def send(self, text: str) -> None:
        self.said.append(text)
        self.working, self.ended = True, ""

    def interrupt(self) -> None:
        self.working, self.ended = False, "paused"

    def end(self) -> str:
        return self.ended


def test_a_server_of_its_own_is_started_once(
    tmp_path: Path, conversation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the first message; Ctrl-C shows the prompt again and leaves the agent at work, `/interrupt` ends its turn."""
    world, played, started = World(tmp_path / "world"), Played(), list[str]()

    @contextmanager
    def own_server(settings: object, policy: object, conversation_id: str) -> Iterator[Played]:
        started.append(conversation_id)
        yield played

    def look(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(console_module, "own_server", own_server)
    monkeypatch.setattr("time.sleep", look)
    found = Found(conversation_id=ID, directory=conversation)
    shown, stream = console(world, found, "hello", "/follow", "/interrupt", "again", "/quit")
    shown.talk()
    text = stream.getvalue()
    assert (played.said, started) == (["hello", "again"], [ID])
    assert text.count("starting an agent-server") == 1
    assert text.count("/follow shows it again") == 3
    assert "interrupted\n" in text
    assert "the agent works on" in text
    played.interrupt()
    shown, stream = console(world, found, "hello")
    monkeypatch.setattr("time.sleep", lambda seconds: played.interrupt())
    write(conversation, [{"kind": "LaterEvent"}], first=len(EVENTS))
    shown.talk()
    assert "the turn has ended: paused" in stream.getvalue()
    assert "works on" not in stream.getvalue()
