"""`opensymphony run`: what it refuses, in one line and with which exit code, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from opensymphony.isolation import best
from opensymphony.processes import list_processes
from tests.cli.program import argv, call, run, write_ticket, write_workflow
from tests.fakes.stub_installation import install_stub

MODEL = {"LLM_MODEL": "openai/m", "LLM_API_KEY": "canary-key"}
REPOSITORY = "repository: {url: upstream.git}\n"


@pytest.fixture
def place(here: Path) -> Path:
    """A directory with a good WORKFLOW.md and a store that is named in opensymphony.toml."""
    write_workflow(here)
    (here / "opensymphony.toml").write_text('[server]\nport = 0\n[store]\ndirectory = "store"\n')
    return here


@pytest.fixture
def tools(place: Path) -> dict[str, str]:
    """An agent-server that is installed and never gets ready, and a model: the environment that names them."""
    return {"OPENSYMPHONY_TOOL_DIR": str(install_stub(place / "tools")), **MODEL}


def test_a_missing_workflow_is_one_line(here: Path) -> None:
    """Exit code 2 and what to do."""
    said = call("run")
    assert (said.code, said.out) == (2, "")
    assert said.lines == [
        "error: WORKFLOW.md: there is no such file: give the path of a WORKFLOW.md, or write one [missing_workflow_file]"
    ]
    assert (
        run("run", "elsewhere/WORKFLOW.md").lines[0].startswith("error: elsewhere/WORKFLOW.md: there is no such file")
    )


def test_json_without_a_dry_run_is_refused(place: Path) -> None:
    """A daemon has no document to print; whoever asks for one must not wait for it."""
    said = call("run", "--json")
    assert (said.code, said.out, len(said.lines)) == (2, "", 1)
    assert said.lines[0].startswith("opensymphony: --json is for --dry-run only")


def test_an_unreadable_workflow_is_one_line(here: Path) -> None:
    """A directory, or bytes that are no text."""
    (here / "WORKFLOW.md").mkdir()
    said = call("run")
    assert (said.code, len(said.lines)) == (2, 1)
    assert said.lines[0].startswith("error: WORKFLOW.md: is not a file")
    (here / "WORKFLOW.md").rmdir()
    (here / "WORKFLOW.md").write_bytes(b"---\ntracker: \xff\xfe\n---\n")
    said = call("run")
    assert (said.code, len(said.lines)) == (2, 1)
    assert said.lines[0].startswith("error: WORKFLOW.md")
    (here / "WORKFLOW.md").write_text("---\ntracker: [\n---\n")
    said = call("run")
    assert (said.code, len(said.lines)) == (2, 1)
    assert said.lines[0].startswith("error: WORKFLOW.md:")


def test_a_wrong_type_names_key_and_line(place: Path) -> None:
    """Every problem at once."""
    write_workflow(place, more="agent: {max_turns: many}\nverify: {timeout_ms: -1}\n")
    said = call("run")
    assert said.code == 2
    assert len(said.lines) == 2
    assert said.lines[0].startswith("error: WORKFLOW.md:5: agent.max_turns: ")
    assert said.lines[1].startswith("error: WORKFLOW.md:6: verify.timeout_ms: ")


def test_an_unset_variable_is_named(place: Path) -> None:
    """Not taken for an empty value."""
    write_workflow(place, more="repository: {url: $NO_SUCH_VARIABLE}\n")
    said = call("run")
    assert (said.code, len(said.lines)) == (2, 1)
    assert "NO_SUCH_VARIABLE" in said.lines[0]
    assert said.lines[0].startswith("error: WORKFLOW.md:5: repository.url: ")


def test_an_unknown_template_variable_is_named(place: Path) -> None:
    """With its line and the variables that there are."""
    (place / "WORKFLOW.md").write_text((place / "WORKFLOW.md").read_text().replace("issue.title", "issue.titel"))
    said = call("run")
    assert (said.code, len(said.lines)) == (2, 1)
    assert said.lines[0].startswith("error: WORKFLOW.md:6: prompt: unknown variable issue.titel")


def test_an_unknown_key_is_a_warning_with_the_nearest_one(place: Path) -> None:
    """`run` goes on; `config check` ends with 1."""
    write_workflow(place, more="agent: {max_concurent_agents: 2}\n")
    said = call("run", "--dry-run")
    assert said.code == 0
    assert said.lines[0].startswith("warning: WORKFLOW.md:5: agent.max_concurent_agents: ")
    assert "max_concurrent_agents" in said.lines[0]
    assert call("config", "check").code == 1


def test_a_dry_run_prints_what_would_start(place: Path) -> None:
    """Data on standard output, problems on standard error, nothing made."""
    write_ticket(place)
    write_ticket(place, "A-2").write_text("---\ntitle: [\n---\n")
    before = sorted(path.name for path in place.rglob("*"))
    said = call("run", "--dry-run")
    assert (said.code, said.out) == (0, "A-1  would start  (Title of A-1)\n")
    assert len(said.lines) == 1
    assert said.lines[0].startswith("warning: ")
    [ticket] = json.loads(call("run", "--dry-run", "--json").out)
    assert (ticket["identifier"], ticket["would_start"]) == ("A-1", True)
    assert sorted(path.name for path in place.rglob("*")) == before
    (place / "board" / "A-1.md").unlink()
    (place / "board" / "A-2.md").unlink()
    assert call("run", "--dry-run").lines == ["no ticket is in an active state"]


def test_an_unreadable_board_is_the_trackers_exit_code(place: Path, tools: dict[str, str]) -> None:
    """3, in a dry run and with `--once`: a board that nobody can read is not one without work."""
    (place / "board").rmdir()
    said = call("run", "--dry-run")
    assert (said.code, said.out, len(said.lines)) == (3, "", 1)
    assert str(place / "board") in said.lines[0]
    said = run("run", "--once", **tools)
    assert said.code == 3
    assert said.lines[-1].startswith("opensymphony: ")
    assert str(place / "board") in said.lines[-1]


def test_without_a_model_it_says_where_to_name_one(place: Path) -> None:
    """Exit code 2, before anything is made."""
    said = run("run")
    assert (said.code, len(said.lines)) == (2, 1)
    assert "no model is named" in said.lines[0]
    assert not (place / "store").exists()


def test_without_the_agent_server_it_says_how_to_install_it(place: Path) -> None:
    """Exit code 4; no ticket was touched and no token left."""
    text = write_ticket(place).read_text()
    said = run("run", OPENSYMPHONY_TOOL_DIR=str(place / "nothing"), **MODEL)
    assert (said.code, said.out, len(said.lines)) == (4, "", 1)
    assert said.lines[0] == (
        f"opensymphony: {place / 'nothing'}: the agent-server is not installed: run `opensymphony install openhands`"
    )
    assert (place / "board" / "A-1.md").read_text() == text
    assert not (place / "store" / "token").exists()


def test_without_git_it_does_not_begin(place: Path, tools: dict[str, str]) -> None:
    """Asked up front when a repository is named; without one nobody needs it."""
    write_workflow(place, more=REPOSITORY)
    (place / "bin").mkdir()
    said = run("run", **tools, PATH=str(place / "bin"))
    assert (said.code, said.out) == (1, "")
    assert said.lines == ["opensymphony: git was not found on the PATH: install git (on Debian: apt-get install git)"]
    assert not (place / "store" / "journal.db").exists()


def test_a_port_in_use_is_one_line(place: Path, tools: dict[str, str]) -> None:
    """Exit code 2 with the port and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = run("run", "--port", port, **tools)
    assert (said.code, said.out, len(said.lines)) == (2, "", 1)
    assert said.lines[0].startswith(f"opensymphony: cannot listen on 127.0.0.1:{port} (Address already in use): ")


@pytest.mark.parametrize(
    ("toml", "more", "what"),
    [
        ('[store]\ndirectory = "file/store"\n', "", "the store"),
        ('[store]\ndirectory = "store"\n', "workspace: {root: file/root}\n", "the workspace root"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line(
    toml: str, more: str, what: str, place: Path, tools: dict[str, str]
) -> None:
    """Exit code 2, with the place and what to do."""
    (place / "file").write_text("a file of mine")
    (place / "opensymphony.toml").write_text("[server]\nport = 0\n" + toml)
    text = (place / "WORKFLOW.md").read_text()
    if more:
        text = text.replace("workspace: {root: workspaces}\n", more)
    (place / "WORKFLOW.md").write_text(text)
    said = run("run", **tools)
    assert (said.code, said.out, len(said.lines)) == (2, "", 1)
    assert what in said.lines[0]
    assert str(place / "file") in said.lines[0]
    assert (place / "file").read_text() == "a file of mine"


def test_a_damaged_journal_is_one_line(place: Path, tools: dict[str, str]) -> None:
    """Exit code 1, with the file and what to do; the file stays."""
    (place / "store").mkdir()
    (place / "store" / "journal.db").write_bytes(b"no journal at all" * 400)
    said = run("run", **tools)
    assert (said.code, len(said.lines)) == (1, 1)
    assert said.lines[0].startswith(f"opensymphony: the journal {place / 'store' / 'journal.db'} cannot be used")
    assert (place / "store" / "journal.db").read_bytes() == b"no journal at all" * 400


def test_a_bad_option_is_a_usage_error(place: Path) -> None:
    """Exit code 2."""
    assert call("run", "--port", "70000").code == 2
    assert call("run", "--nonsense").code == 2


@contextmanager
def daemon(place: Path, tools: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A daemon in a process of its own, and its address; ended whatever happens."""
    env = {**os.environ, **tools}
    with subprocess.Popen(argv("run"), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_good_order(number: int, place: Path, tools: dict[str, str]) -> None:
    """Exit code 0; the address was told on standard output; nothing runs any more and nothing can be found."""
    with daemon(place, tools) as (process, url):
        assert url.startswith("http://127.0.0.1:")
        status = call("status", "--json")
        assert status.code == 0
        assert json.loads(status.out)["status"] in ("starting", "running")
        nonce = (place / "store" / "boot").read_text()
        process.send_signal(number)
        _, err = process.communicate(timeout=40)
        assert (process.returncode, "Traceback" in err) == (0, False)
    assert f"isolation: {best()}: " in err
    assert "canary-key" not in err
    assert list_processes(nonce) == ()
    assert call("status").code == 1
    assert not (place / "store" / "daemon.json").exists()


def test_a_second_one_is_refused(place: Path, tools: dict[str, str]) -> None:
    """Exit code 2 with the pid of the first."""
    with daemon(place, tools) as (process, _):
        said = run("run", **tools)
        assert (said.code, said.out, len(said.lines)) == (2, "", 1)
        assert said.lines[0].startswith(f"opensymphony: another daemon (pid {process.pid} on ")
        process.terminate()
        process.communicate(timeout=40)


def test_killed_it_leaves_no_daemon_behind(place: Path, tools: dict[str, str]) -> None:
    """kill -9: `status` says so in one line although the address file is still there, and the next start works."""
    with daemon(place, tools) as (process, _):
        process.kill()
        process.wait()
    assert (place / "store" / "daemon.json").exists()
    said = call("status")
    assert (said.code, len(said.lines)) == (1, 1)
    assert said.lines[0].endswith(
        f"(pid {process.pid}) is gone: start it again with `opensymphony run`, which goes on from there"
    )
    said = run("run", "--once", **tools)
    assert said.code == 0, said.err
    assert list_processes((place / "store" / "boot").read_text()) == ()


def test_once_on_an_empty_board_ends_by_itself(place: Path, tools: dict[str, Any]) -> None:
    """Exit code 0 with nothing done."""
    said = run("run", "--once", **tools)
    assert said.code == 0, said.err
    assert said.out.startswith("http://127.0.0.1:")
