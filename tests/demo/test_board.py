"""The demo's directory: what is in it, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from opensymphony import processes
from opensymphony.demo.board import TICKETS, DemoFiles, make_demo
from opensymphony.demo.template import FILES
from opensymphony.errors import ConfigurationError, WorkspaceError


async def shell(directory: Path, command: str) -> processes.Completed:
    environment = processes.scrubbed_environment("test", {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"})
    return await processes.run(["sh", "-c", command], cwd=str(directory), env=environment, timeout_ms=30_000)


def front_matter(path: Path) -> tuple[dict[str, object], str]:
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    return YAML(typ="safe", pure=True).load(head), body


@pytest.fixture
async def demo(tmp_path: Path) -> DemoFiles:
    return await make_demo(tmp_path / "demo")


async def test_base_fails_exactly_the_tests_of_the_tickets(demo: DemoFiles) -> None:
    """On `main` every ticket's test module fails and every other one passes."""
    modules = [name[:-3].replace("/", ".") for name in FILES if re.fullmatch(r"tests/test_\w+\.py", name)]
    failing = {ticket.test for ticket in demo.tickets}
    assert failing < set(modules)
    for module in modules:
        done = await shell(demo.repository, f"{demo.python} -m unittest {module}")
        assert done.exit_code == (1 if module in failing else 0), done.output


async def test_repository_is_clean_and_its_first_commit_is_always_the_same(tmp_path: Path) -> None:
    """Two demos have one and the same commit on `main`, and nothing uncommitted, also after a test run."""
    heads: list[str] = []
    for name in ("one", "two"):
        files = await make_demo(tmp_path / name)
        await shell(files.repository, files.test_command(files.tickets[0]))
        status = await shell(files.repository, "git status --porcelain --branch")
        assert status.output.strip() == "## main"
        heads.append((await shell(files.repository, "git rev-parse refs/heads/main")).output)
    assert heads[0] == heads[1]


async def test_configuration_of_the_user_has_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks, templates and identities that somebody configured for git change nothing."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[core]\n\thooksPath = /nowhere\n\tautocrlf = true\n[commit]\n\tgpgSign = true\n[user]\n\tname = Somebody\n"
        "[init]\n\tdefaultBranch = trunk\n\ttemplateDir = /nowhere\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    files = await make_demo(tmp_path / "demo")
    log = await shell(files.repository, "git log --format='%an %s' main")
    assert log.output.startswith("OpenSymphony demo ")
    assert not (tmp_path / "elsewhere").exists()


async def test_board_has_priorities_a_blocker_and_good_front_matter(demo: DemoFiles) -> None:
    """Each ticket is one Markdown file; the most urgent one waits for another."""
    tickets = {path.stem: front_matter(path)[0] for path in demo.board.iterdir()}
    assert sorted(tickets) == [ticket.identifier for ticket in TICKETS]
    assert len({ticket["priority"] for ticket in tickets.values()}) == len(tickets)
    assert {ticket["state"] for ticket in tickets.values()} == {"Todo"}
    blocked = [name for name, ticket in tickets.items() if "blocked_by" in ticket]
    assert blocked == ["DEMO-4"]
    assert tickets["DEMO-4"]["priority"] == 1
    assert tickets["DEMO-4"]["blocked_by"] == ["DEMO-1"]


async def test_workflow_verifies_each_ticket_with_its_own_test(demo: DemoFiles) -> None:
    """The verification command, filled in for a ticket, is the test that the result names."""
    policy, prompt = front_matter(demo.workflow)
    template = str(policy["verify"]["command"])  # pyright: ignore[reportIndexIssue, reportArgumentType, reportCallIssue]
    place = "{{ issue.identifier | downcase | replace: '-', '_' }}"
    for ticket in demo.tickets:
        filled = template.replace(place, ticket.identifier.lower().replace("-", "_"))
        assert filled == demo.test_command(ticket)
    assert template in prompt


async def test_occupied_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A directory with anything in it, or a file, is refused with one line that says what to do."""
    (tmp_path / "mine.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "mine.txt", tmp_path / "mine.txt" / "below"):
        with pytest.raises(ConfigurationError) as caught:
            await make_demo(place)
        assert str(place) in str(caught.value)
        assert "name a" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


async def test_git_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a working git there is one line and an empty directory, so the next try starts afresh."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "git").write_text("#!/bin/sh\necho 'disk quota exceeded' >&2\nexit 3\n")
    (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    with pytest.raises(WorkspaceError, match=r"git init in .*: exit code 3: disk quota exceeded"):
        await make_demo(tmp_path / "demo")
    assert list((tmp_path / "demo").iterdir()) == []
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(WorkspaceError, match="install git"):
        await make_demo(tmp_path / "demo")


async def test_python_that_does_not_work_is_replaced_by_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `python3` that only pretends to be one (a shim without a version behind it) is not used."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "python3").write_text("#!/bin/sh\nexit 127\n")
    (tools / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/local/bin:/usr/bin:/bin")
    files = await make_demo(tmp_path / "demo")
    assert files.python.startswith("/") or files.python.startswith("'/")
    policy, _ = front_matter(files.workflow)
    assert files.python in str(policy["verify"])
