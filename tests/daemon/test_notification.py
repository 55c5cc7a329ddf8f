"""The operator's command: what it gets, what it never gets, and what becomes of its trouble."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opensymphony import logs
from opensymphony.clock import new_id
from opensymphony.daemon.notification import Notifier
from opensymphony.errors import ServiceError
from opensymphony.model import CommandKey, TicketId
from opensymphony.processes import list_processes
from opensymphony.scheduler.commands import NotifyPerson
from opensymphony.workflow.policy import NotifyPolicy
from tests.daemon.world import World, until, until_phase
from tests.fakes.scripted_runtime import Step

CANARY = "canary-5f0c9d"


def person(command: str, **fields: Any) -> NotifyPerson:
    given = {
        "key": CommandKey("A-1#1/9/notify"),
        "ticket_id": TicketId("id-1"),
        "generation": 1,
        "timeout_ms": 20_000,
        "identifier": "A-1",
        "title": "A title",
        "headline": "Needs your input",
        "reason": "which way?",
        "outcome": "needs_input",
    }
    return NotifyPerson(command=command, **{**given, **fields})


@pytest.fixture
def notify(tmp_path: Path) -> Iterator[Notifier]:
    nonce = new_id()
    yield Notifier(str(tmp_path), nonce)
    assert list_processes(nonce) == ()


async def test_it_gets_what_happened(notify: Notifier, tmp_path: Path) -> None:
    """In its environment and on its input, in the directory of the WORKFLOW.md."""
    await notify(person("cat > input.json; env -0 > environment", url="https://tracker/A-1"))
    facts = {
        "issue": "id-1",
        "identifier": "A-1",
        "title": "A title",
        "outcome": "needs_input",
        "headline": "Needs your input",
        "reason": "which way?",
        "url": "https://tracker/A-1",
    }
    assert json.loads((tmp_path / "input.json").read_text()) == facts
    variables = environment(tmp_path / "environment")
    assert {name: variables[f"OPENSYMPHONY_{name.upper()}"] for name in facts} == facts


def environment(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().split("\0") if line)


async def test_no_secret_is_in_it(notify: Notifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither our own environment nor a known secret in an error's text; what a desktop needs is there."""
    for name in ("LLM_API_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK", "AWS_SECRET_ACCESS_KEY", "OPENSYMPHONY_ANYTHING"):
        monkeypatch.setenv(name, CANARY)
    desktop = {"DISPLAY": ":7", "WAYLAND_DISPLAY": "w", "DBUS_SESSION_BUS_ADDRESS": "unix:x", "XDG_RUNTIME_DIR": "/r"}
    for name, value in desktop.items():
        monkeypatch.setenv(name, value)
    logs.know_secret(CANARY)
    command = "cat > input.json; env -0 > environment; tr '\\0' ' ' < /proc/self/cmdline > line"
    await notify(person(command, reason=f"refused with {CANARY}", title=CANARY))
    assert not [path.name for path in tmp_path.iterdir() if CANARY in path.read_text()]
    variables = environment(tmp_path / "environment")
    assert variables.items() >= desktop.items()
    assert variables["OPENSYMPHONY_REASON"] == f"refused with {logs.REDACTED}"


async def test_text_of_others_is_bounded_and_on_one_line(notify: Notifier, tmp_path: Path) -> None:
    """Whatever it holds, it stays a value: no control character, no end, nothing that a shell would run."""
    nasty = "$(touch run) `touch run` '; touch run #\x00\x1b[31m\r\n\ud800 \u202e"
    await notify(person("cat > input.json; env -0 > environment", title=nasty, reason="x" * 1_000_000))
    facts = json.loads((tmp_path / "input.json").read_text())
    assert facts["title"] == "$(touch run) `touch run` '; touch run # [31m \ufffd"
    assert len(facts["reason"]) == 2_000
    assert environment(tmp_path / "environment")["OPENSYMPHONY_TITLE"] == facts["title"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "timeout_ms", "said"),
    [
        ("echo first; echo 'no\033 bus' >&2; echo; exit 3", 20_000, "ended with exit code 3: no bus"),
        ("exit 1", 20_000, "ended with exit code 1"),
        ("no-such-program-here", 20_000, "ended with exit code 127: "),
        ("sleep 600", 50, "took longer than 50 ms and was ended"),
    ],
)
async def test_its_failure_is_one_line(command: str, timeout_ms: int, said: str, notify: Notifier) -> None:
    """With the last line of its output; and nothing that it started goes on."""
    with pytest.raises(ServiceError) as failed:
        await notify(person(command, timeout_ms=timeout_ms))
    assert str(failed.value).startswith(f"notify.command: {said}")
    assert str(failed.value).isprintable()


async def test_a_directory_that_is_gone_is_one_line(tmp_path: Path) -> None:
    """The daemon outlives the directory of its WORKFLOW.md."""
    with pytest.raises(ServiceError, match="exit code 127"):
        await Notifier(str(tmp_path / "gone"), "nonce")(person("true"))


async def test_a_command_that_reads_nothing_is_no_failure(notify: Notifier) -> None:
    """Most only look at the environment."""
    await notify(person("exit 0", reason="x" * 100_000))


async def test_it_runs_once_for_each_wait(tmp_path: Path) -> None:
    """When a ticket comes to need a person, and when it does so again; a failure changes nothing about the ticket."""
    world = World(tmp_path, {"A-1": [Step(says="Which way?")]})
    world.ticket("A-1")
    command = 'echo "$OPENSYMPHONY_IDENTIFIER $OPENSYMPHONY_OUTCOME" >> told; exit 7'
    told = tmp_path / "told"

    def times() -> int:
        return len(told.read_text().splitlines()) if told.exists() else 0

    async with world.running(world.policy(notify=NotifyPolicy(command=command))) as daemon:
        await until_phase(daemon, "A-1", "needs_person")
        await until(daemon, lambda: times() == 1)
        assert daemon.control is not None
        answer = await daemon.control.act("retry", "A-1", request_id="k")
        assert answer is not None and answer.accepted
        await until(daemon, lambda: times() == 2)
        found = await until_phase(daemon, "A-1", "needs_person")
        assert found.error == "the agent ended twice without a new commit"
    assert told.read_text() == "A-1 needs_input\n" * 2
