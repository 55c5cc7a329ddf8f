"""What the commands for operators share; and all of them against a daemon at work."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from opensymphony import logs
from opensymphony.cli.ask import near
from opensymphony.views import ActionAnswer
from tests.cli.program import Said, call, played, write_workflow
from tests.daemon.world import GOOD, HOLDS, World, until, until_phase, view
from tests.fakes.scripted_runtime import Step

COMMANDS = [
    *(("explain", "A-1"), ("stop", "A-1"), ("retry", "A-1"), ("pause", "--all"), ("resume", "A-1")),
    *(("message", "A-1", "text"), ("issues",), ("status",), ("shutdown",)),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_without_a_daemon_each_says_how_to_start_one(command: tuple[str, ...], here: Path) -> None:
    """Exit code 1 and one line; exit code 2 when there is no WORKFLOW.md at all, or the settings are wrong."""
    said = call(*command)
    assert (said.code, said.out) == (2, "")
    assert said.lines == [
        "opensymphony: WORKFLOW.md: there is no such file: go to the directory of a WORKFLOW.md, or name one"
    ]
    (here / "elsewhere").mkdir()
    path = write_workflow(here / "elsewhere")
    said = call(*command, "-w", str(path))
    assert (said.code, said.out, len(said.lines)) == (1, "", 1)
    assert "start one with `opensymphony run`" in said.err
    (here / "elsewhere" / "opensymphony.toml").write_text("[store]\ndirectory = 7\n")
    said = call(*command, "--workflow", str(path))
    assert (said.code, said.out, len(said.lines)) == (2, "", 1)
    assert "opensymphony.toml:2: store.directory: " in said.err


def test_a_refusal_is_exit_code_1(here: Path) -> None:
    """Told as an error, or as data for programs; who asks is told to the daemon."""
    refused = ActionAnswer(request_id="k", accepted=False, answer="nobody\nworks on it")
    with played(here, 409, refused) as asked:
        said = call("stop", "A-1")
        document = call("stop", "A-1", "--json")
    assert (said.code, said.out, said.lines) == (1, "", ["opensymphony: A-1: nobody\\nworks on it"])
    assert (document.code, json.loads(document.out)["accepted"], document.err) == (1, False, "")
    assert asked[0][1]["author"] == getpass.getuser()


def test_a_user_without_a_name_can_ask_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is in no list."""

    def nobody() -> str:
        raise OSError("no username set in the environment")

    monkeypatch.setattr(getpass, "getuser", nobody)
    with played(here, 200, ActionAnswer(request_id="k", accepted=True, answer="so be it")) as asked:
        assert call("stop", "A-1").code == 0
    assert asked[0][1]["author"] == ""


@pytest.mark.parametrize("body", [b"<html>", b'{"accepted": true}', b""])
def test_another_program_is_one_line(body: bytes, here: Path) -> None:
    """Exit code 1; it may have taken over the port of a daemon that was killed."""
    with played(here, 200, body):
        said = call("stop", "A-1")
    assert (said.code, said.out, len(said.lines)) == (1, "", 1)
    assert "is no daemon of this release" in said.err


def test_a_bad_request_id_is_one_line(here: Path) -> None:
    """Exit code 2 with the daemon's own words; an empty one is not taken for none, which would not be answered once."""
    body = b'{"error": {"code": "bad_request", "message": "the body cannot be used: `$.request_id`"}}'
    with played(here, 400, body) as asked:
        said = call("stop", "A-1", "--request-id", "two words")
        empty = call("stop", "A-1", "--request-id", "")
    assert (said.code, said.lines) == (2, ["opensymphony: the body cannot be used: `$.request_id`"])
    assert [asked[0][1]["request_id"], asked[1][1]["request_id"]] == ["two words", ""]
    assert empty.code == 2


def test_settings_that_were_named_and_cannot_be_read_ask_nobody(here: Path) -> None:
    """They may mean another store, and so another daemon."""
    with played(here, 200, ActionAnswer(request_id="k", accepted=True, answer="so be it")) as asked:
        said = call("stop", "A-1", "--config", "no-such-file.toml")
    assert (said.code, said.out, len(said.lines), asked) == (2, "", 1, [])
    assert "no-such-file.toml" in said.err


def test_names_that_may_have_been_meant() -> None:
    """The likeliest first, few, and whatever the case; none for nonsense."""
    known = ["PROJ-1", "PROJ-12", "PROJ-2", "OTHER-9", "proj-1"]
    assert near("proj-1", known)[:2] == ["PROJ-1", "proj-1"]
    assert near("PRJ-12", known)[0] == "PROJ-12"
    assert len(near("PROJ", known)) <= 3
    assert near("", known) == near("\udcff" * 100_000, known) == []


def test_a_ticket_that_is_not_known_is_told_with_names_like_it(here: Path, tmp_path: Path) -> None:
    """Exit code 1; when the list cannot be had either, the error stays the same."""
    body = b'{"error": {"code": "issue_not_found", "message": "the daemon knows no ticket A-3"}}'
    with played(here, 404, body):
        said = call("stop", "A-3")
    assert (said.code, said.out, len(said.lines)) == (1, "", 1)
    assert "`opensymphony issues` lists those it knows" in said.err


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[None]:
    """The daemon in this process does not talk into what the commands say."""
    logs.set_up(level="error", form="text", directory=str(tmp_path / "logs"))
    yield
    logs.shut_down()


class Operator:
    """Somebody at a terminal beside a daemon that runs in this process."""

    async def does(self, *arguments: str) -> Said:
        with anyio.fail_after(30):
            return await anyio.to_thread.run_sync(call, *arguments)

    async def asks(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and the one line that was said."""
        said = await self.does(*arguments)
        return said.code, (said.out + said.err).removesuffix("\n")

    async def shows(self, *arguments: str) -> Any:
        said = await self.does(*arguments, "--json")
        assert (said.code, said.err) == (0, "")
        return json.loads(said.out)


async def test_a_day_of_an_operator(here: Path, quiet: None) -> None:
    """Every command against a daemon at work, as one would use them; asked again, a request is answered the same."""
    world = World(here, {"A-1": [HOLDS, HOLDS, GOOD], "A-2": [GOOD], "A-3": [Step(says="Which way?")]})
    write_workflow(here)
    (here / "opensymphony.toml").write_text('[store]\ndirectory = "store"\n')
    world.ticket("A-1")
    world.ticket("A-2", blocked_by="[A-1]")
    ann = Operator()
    async with world.running() as daemon:
        await until_phase(daemon, "A-1", "running")
        await until_phase(daemon, "A-2", "waiting_to_start")
        told = await ann.does("explain", "a-2")
        assert (told.code, told.err) == (0, "")
        assert told.out.startswith("A-2: it is blocked by A-1 (")
        assert "\n  NO  blocker   it is blocked by A-1 (" in told.out
        code, said = await ann.asks("explain", "A-22")
        assert (code, "did you mean A-2" in said) == (1, True)
        listed = await ann.shows("issues", "--phase", "waiting-to-start")
        assert [view["identifier"] for view in listed["issues"]] == ["A-2"]

        first = await ann.asks("stop", "A-1", "--reason", "wrong branch", "--request-id", "s")
        assert first == (0, "A-1: it is being stopped and then waits for a person")
        stopped = await until_phase(daemon, "A-1", "needs_person")
        assert stopped.reason.startswith(f"an operator stopped it ({getpass.getuser()}): wrong branch")
        assert await ann.asks("stop", "A-1", "--request-id", "s") == first
        assert await ann.asks("stop", "A-1") == (1, "opensymphony: A-1: nobody works on it")

        assert await ann.asks("pause", "--all") == (0, "nothing new starts; 0 at work are being stopped")
        assert "everything is paused" in (await ann.does("status")).out
        assert await ann.asks("retry", "A-1") == (0, "A-1: it starts after `resume`")
        assert await ann.asks("message", "A-1", "use tabs") == (0, "A-1: the agent gets it with its next turn")
        assert (await ann.shows("explain", "A-1"))["rules"][8]["holds"] is False
        assert (await ann.asks("pause", "A-2"))[0] == 0
        assert await ann.asks("resume", "--all") == (0, "work goes on")
        await until(daemon, lambda: (found := view(daemon, "A-1")) and found.stage == "working")
        assert await ann.asks("retry", "A-1") == (1, "opensymphony: A-1: a run works on it already")
        world.move("A-1", "Done")
        await until_phase(daemon, "A-1", "closed")
        assert (await ann.shows("explain", "A-2"))["sentence"].startswith("an operator paused it")
        assert await ann.asks("resume", "A-2") == (0, "A-2: it goes on")
        await until_phase(daemon, "A-2", "in_review")
    assert any("use tabs" in text for text in world.agents.talk("A-1").messages.values())


async def test_a_pause_and_an_answer_outlive_the_daemon(here: Path, quiet: None) -> None:
    """Killed or not: what was answered stays answered, and what is paused stays paused."""
    world = World(here, {"A-1": [GOOD]})
    write_workflow(here)
    (here / "opensymphony.toml").write_text('[store]\ndirectory = "store"\n')
    ann = Operator()
    async with world.running():
        answer = await ann.asks("pause", "--all", "--request-id", "p")
        assert answer[0] == 0
    world.ticket("A-1")
    async with world.running() as daemon:
        waiting = await until_phase(daemon, "A-1", "waiting_to_start")
        assert "everything is paused by an operator" in waiting.reason
        assert await ann.asks("pause", "--all", "--request-id", "p") == answer
        assert (await ann.asks("resume", "--all"))[0] == 0
        await until_phase(daemon, "A-1", "in_review")
