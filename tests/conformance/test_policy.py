"""WORKFLOW.md and the command line: rows W1-W15 but reloading, C1-C4, D1-D3, D9, D11 and D12."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.conformance.conftest import MakeWorld
from tests.conformance.world import World

OTHER = '---\ntracker: {kind: files, provider: {path: "other"}}\n---\nWork.\n'


def tickets(world: World, *arguments: str, cwd: Path | None = None) -> list[str]:
    """Which tickets a policy leads to."""
    said = world.command("run", "--dry-run", "--json", *arguments, cwd=cwd)
    assert said.code == 0, said.err
    return [one["identifier"] for one in json.loads(said.out)]


@pytest.fixture(scope="module")
def two(make_world: MakeWorld) -> World:
    """A WORKFLOW.md and another file, each with a board of its own."""
    made = make_world()
    made.ticket("HERE-1")
    (made.root / "other").mkdir()
    (made.root / "other" / "THERE-1.md").write_text("---\ntitle: There\nstate: Todo\n---\n")
    made.write_workflow(OTHER, "other.md")
    return made


@pytest.fixture(scope="module")
def named(two: World) -> list[str]:
    """The tickets of the file that is named."""
    return tickets(two, "other.md")


@pytest.fixture(scope="module")
def unnamed(two: World) -> list[str]:
    """The tickets when no file is named."""
    return tickets(two)


def test_W1_the_named_file_comes_before_the_one_in_the_directory(named: list[str]) -> None:
    """With both there, only the board of the named one is read."""
    assert named == ["THERE-1"]


def test_W1a_an_explicit_path_is_used(here: World) -> None:
    """A broken WORKFLOW.md in the directory does not matter to whoever names another file."""
    here.write_workflow("---\na: [\n---\n")
    (here.root / "other").mkdir()
    path = here.write_workflow(OTHER, "other.md")
    assert tickets(here, str(path)) == []


def test_W1b_the_default_is_the_working_directory(unnamed: list[str]) -> None:
    """Without a path the WORKFLOW.md of the working directory counts."""
    assert unnamed == ["HERE-1"]


def test_C1_one_positional_path(two: World, named: list[str]) -> None:
    """The path may be given as the only argument; a second one is a usage error."""
    assert named == ["THERE-1"]
    said = two.command("run", "other.md", "WORKFLOW.md")
    assert said.code == 2
    assert "Usage:" in said.err


def test_C2_the_default_path(two: World) -> None:
    """A directory below, with a WORKFLOW.md of its own, is another project."""
    below = two.root / "below"
    (below / "board").mkdir(parents=True)
    (below / "WORKFLOW.md").write_text(OTHER.replace('"other"', "board"))
    assert tickets(two, cwd=below) == []


@pytest.mark.parametrize("path", ["nowhere.md", "board"])
def test_C3_a_path_that_is_no_file(here: World, path: str) -> None:
    """A file that is missing, or a directory in its place: the message names it."""
    said = here.command("run", path)
    assert said.code == 2
    assert said.err.startswith(f"error: {path}: ")
    assert "missing_workflow_file" in said.err


def test_C4_a_start_that_fails_says_why_in_one_line(here: World) -> None:
    """A port that is taken is told in one line, without a traceback, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = here.command("run", "--port", port)
    assert said.code == 2
    errors = [line for line in said.err.splitlines() if port in line]
    assert len(errors) == 1
    assert "--port" in errors[0]
    assert here.seen() == []
    assert here.processes() == []


def test_D1_which_file_is_read(named: list[str], unnamed: list[str]) -> None:
    """Path and default lead to two different policies of the same command."""
    assert named != unnamed


def test_W4_a_missing_file_is_an_error_with_a_name(here: World) -> None:
    """At the start: exit code 2, the path and `missing_workflow_file`. What follows while it runs is in test_reload.py."""
    (here.root / "WORKFLOW.md").unlink()
    said = here.command("run")
    assert said.code == 2
    assert "WORKFLOW.md" in said.err
    assert "[missing_workflow_file]" in said.err


def broken(world: World, text: str) -> str:
    """What `run` says about this WORKFLOW.md, which it must refuse before it does anything."""
    world.write_workflow(text)
    said = world.command("run")
    assert said.code == 2
    assert world.seen() == []
    assert not world.workspaces.exists()
    return said.err


def test_W5_invalid_yaml(here: World) -> None:
    """An error with file, line and name."""
    said = broken(here, "---\na: [\n---\nWork.\n")
    assert "WORKFLOW.md:2:" in said
    assert "[workflow_parse_error]" in said


def test_W6_front_matter_that_is_no_map(here: World) -> None:
    """A list is told apart from a mistake in the YAML."""
    assert "[workflow_front_matter_not_a_map]" in broken(here, "---\n- a\n- b\n---\nWork.\n")


def test_W7_defaults(here: World) -> None:
    """A policy of a tracker alone gets every other value."""
    here.write_workflow("---\ntracker: {kind: files, provider: {path: board}}\n---\nWork.\n")
    policy = json.loads(here.command("config", "show").out)
    assert policy["polling"]["interval_ms"] == 30_000
    assert policy["hooks"]["timeout_ms"] == 60_000
    assert policy["tracker"]["active_states"] == ["Todo", "In Progress"]
    agent = policy["agent"]
    assert (agent["max_turns"], agent["retry_backoff_ms"], agent["max_retry_backoff_ms"]) == (20, 10_000, 300_000)
    assert agent["max_concurrent_agents"] == 4
    places = json.loads(here.command("paths", "--json").out)
    assert places["workspaces"] == str(here.root / "tmp" / "symphony_workspaces")


def test_W8_the_kind_of_tracker_is_checked(here: World) -> None:
    """None and an unknown one have names of their own."""
    assert "[missing_tracker_kind]" in broken(here, "---\ntracker: {}\n---\nWork.\n")
    assert "[unsupported_tracker_kind]" in broken(here, "---\ntracker: {kind: bogus}\n---\nWork.\n")


def test_W9_provider_settings_belong_to_the_adapter(here: World) -> None:
    """What the adapter does not know is kept, what it needs is asked for by its own error, and a secret stays a name."""
    here.configure(tracker={"provider": {"path": "board", "x_custom": 1, "api_key": "$TRACKER_KEY"}})
    said = here.command("config", "show", TRACKER_KEY="canary-tracker")
    assert json.loads(said.out)["tracker"]["provider"]["x_custom"] == 1
    assert "canary-tracker" not in said.out + said.err
    assert "[missing_files_path]" in broken(here, "---\ntracker: {kind: files}\n---\nWork.\n")


def test_W10_variables(here: World) -> None:
    """A path may come from the environment; a variable that is missing or empty is an error that names it."""
    here.configure(workspace={"root": "$ROOT"})
    assert json.loads(here.command("paths", "--json", ROOT="/somewhere").out)["workspaces"] == "/somewhere"
    for value in (None, ""):
        said = here.command("run", "--dry-run", ROOT=value)
        assert said.code == 2
        assert "ROOT" in said.err
        assert "workspace.root" in said.err


def test_W11_the_home_directory(here: World) -> None:
    """`~` in a path is the home; in a script it stays for the shell."""
    here.configure(workspace={"root": "~/ws"}, hooks={"before_run": "~/bin/prepare"})
    assert json.loads(here.command("paths", "--json").out)["workspaces"] == str(here.root / "home" / "ws")
    assert json.loads(here.command("config", "show").out)["hooks"]["before_run"] == "~/bin/prepare"


def test_W13_limits_by_state(here: World) -> None:
    """Names are compared without case and blanks; an entry that makes no sense is left out with a warning."""
    here.configure(agent={"max_concurrent_agents_by_state": {" In Progress ": 1, "todo": 0, "x": "n"}})
    for name in ("A-1", "A-2", "A-3"):
        here.ticket(name, "IN PROGRESS" if name != "A-3" else "Todo")
    said = here.command("run", "--dry-run", "--json")
    assert said.code == 0
    assert said.err.count("[ignored_value]") == 2
    would = {one["identifier"]: one["would_start"] for one in json.loads(said.out)}
    assert would == {"A-1": True, "A-2": False, "A-3": True}


@pytest.mark.parametrize("prompt", ["{{ nope }}", "{{ issue.nope }}", "{{ issue.title | zap }}"])
def test_W15_unknown_names_in_the_prompt(here: World, prompt: str) -> None:
    """They are found before anything starts, with the line in the file."""
    here.ticket("A-1")
    here.configure(prompt)
    said = here.command("run")
    assert said.code == 2
    assert "[template_render_error]" in said.err
    assert here.seen() == []


def test_D2_the_parts_of_the_file(here: World) -> None:
    """Other line ends and a rule in the body change nothing; a file without front matter is a prompt without a tracker."""
    here.write_workflow(
        "---\r\ntracker: {kind: files, provider: {path: board}}\r\n---\r\nAbove.\r\n\r\n---\r\n\r\nBelow.\r\n"
    )
    prompt = json.loads(here.command("config", "show").out)["prompt"]
    assert prompt.split() == ["Above.", "---", "Below."]
    assert "[missing_tracker_kind]" in broken(here, "Only a prompt.\n")
    assert "WORKFLOW.md:1:" in broken(here, "---\ntracker: {kind: files}\nno end\n")


def test_D3_numbers_are_checked(here: World) -> None:
    """Each wrong value is told with its key and its line, all of them at once."""
    wrong = {"polling.interval_ms": "abc", "agent.max_turns": -1, "hooks.timeout_ms": 0, "agent.max_failures": 1.5}
    for key, value in wrong.items():
        section, name = key.split(".")
        here.configure(**{section: {name: value}})
    said = here.command("run")
    assert said.code == 2
    assert sorted(line.split(": ")[2] for line in said.err.splitlines()) == sorted(wrong)


def test_D9_hooks_have_a_minute(here: World) -> None:
    """The default is seen in what the policy comes to; that a shorter limit is kept is shown by F7."""
    assert json.loads(here.command("config", "show").out)["hooks"]["timeout_ms"] == 60_000


def test_D11_settings_of_the_codex_runner(here: World) -> None:
    """They load, with a warning each that they have no effect; `config check` counts them as something to look at."""
    here.configure(codex={"command": "codex app-server", "read_timeout_ms": 5000})
    said = here.command("run", "--dry-run")
    assert said.code == 0
    assert said.err.count("[ignored_key]") == 2
    assert here.command("config", "check").code == 1


def test_D12_a_prompt_is_strict_wherever_the_mistake_stands(here: World) -> None:
    """Also in a branch of the template that no ticket has taken yet."""
    here.configure("{% if issue.priority == 1 %}{{ oops }}{% endif %}")
    assert "oops" in here.command("run", "--dry-run").err
