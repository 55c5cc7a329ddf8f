"""`config check`, `config show` and `paths`, and how commands talk."""

import io
import json
import os

import pytest
import typer
from typer.testing import CliRunner

from opensymphony import errors
from opensymphony.cli import config, loading, output, paths

app = typer.Typer()
app.command()(config.check)
app.command()(config.show)
app.command()(paths.paths)

GOOD = "---\ntracker: {kind: files, provider: {path: board}}\n---\nDo it.\n"
WARNING = "---\ntracker: {kind: files, provider: {path: board}}\npoling: {}\n---\nDo it.\n"
BAD = (
    "---\ntracker: {kind: files, provider: {path: board}}\nagent: {max_turns: 0}\nhooks: {timeout_ms: x}\n---\nDo it.\n"
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty directory to be in, with a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "OPENSYMPHONY_TOOL_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(("text", "code", "lines"), [(GOOD, 0, 1), (WARNING, 1, 2), (BAD, 2, 3)])
def test_check_says_what_is_wrong_by_its_exit_code_and_a_line_each(here, text, code, lines):
    """0: nothing; 1: warnings; 2: errors."""
    (here / "WORKFLOW.md").write_text(text)
    result = run("check")
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.count("\n") == lines


def test_check_names_file_line_key_and_code(here):
    """So that an editor can jump there."""
    (here / "other.md").write_text(BAD)
    lines = run("check", "other.md").stderr.splitlines()
    assert lines[0].startswith("error: other.md:3: agent.max_turns: must be a whole number from 1")
    assert lines[0].endswith("[bad_value]")
    assert lines[1].startswith("error: other.md:4: hooks.timeout_ms:")


def test_check_as_json(here):
    """For programs."""
    (here / "WORKFLOW.md").write_text(WARNING)
    result = run("check", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["ok"] is False
    assert [(problem["key"], problem["line"], problem["code"]) for problem in document["problems"]] == [
        ("poling", 3, "unknown_key")
    ]


def test_check_reads_the_settings_too(here):
    """Both files are the configuration."""
    (here / "WORKFLOW.md").write_text(GOOD)
    (here / "opensymphony.toml").write_text("[server]\nport = -1")
    result = run("check")
    assert result.exit_code == 2
    assert "opensymphony.toml:2: server.port:" in result.stderr


@pytest.mark.parametrize("make", [lambda place: None, lambda place: place.mkdir(), lambda place: os.mkfifo(place)])
def test_a_workflow_that_is_not_there_is_one_line(here, make):
    """Missing, a directory, a pipe: none of them is waited for."""
    make(here / "x.md")
    for command in ("check", "show"):
        result = run(command, "x.md")
        assert result.exit_code == 2
        assert "x.md: " in result.stderr and "[missing_workflow_file]" in result.stderr


def test_a_workflow_that_may_not_be_read_is_one_line(here):
    """With what to do; a file where a directory should be is the case that also root meets."""
    (here / "file").write_text(GOOD)
    result = run("check", "file/WORKFLOW.md")
    assert result.exit_code == 2
    assert "[workflow_unreadable]" in result.stderr


def test_show_prints_the_resolved_policy(here):
    """Defaults filled in, paths absolute."""
    (here / "WORKFLOW.md").write_text(GOOD)
    result = run("show")
    assert result.exit_code == 0
    policy = json.loads(result.stdout)
    assert policy["tracker"]["provider"] == {"path": str(here / "board")}
    assert policy["agent"]["max_turns"] == 20


def test_show_tells_warnings_and_goes_on(here):
    """Data on standard output, narration on standard error."""
    (here / "WORKFLOW.md").write_text(WARNING)
    result = run("show")
    assert result.exit_code == 0
    assert json.loads(result.stdout)
    assert "unknown key" in result.stderr


def test_paths_are_told_also_when_the_workflow_is_broken(here):
    """That is when they are asked for."""
    (here / "WORKFLOW.md").write_text(BAD)
    result = run("paths", "--json")
    places = json.loads(result.stdout)
    assert result.exit_code == 0
    assert places["workflow"] == str(here / "WORKFLOW.md")
    assert places["workspaces"] is None
    assert list(places) == ["workflow", "config", "store", "logs", "tools", "workspaces"]
    (here / "WORKFLOW.md").write_text(GOOD)
    assert "workspaces  /" in run("paths").stdout


def test_the_port_of_the_command_line_wins(here):
    """Then the settings', then the WORKFLOW.md's."""
    (here / "WORKFLOW.md").write_text(GOOD.replace("---\nDo", "server: {port: 5}\n---\nDo"))
    assert loading.load().settings.port == 5
    assert loading.load(port=0).settings.port == 0


def test_required_ends_the_command(here):
    """Every other command starts with it."""
    with pytest.raises(SystemExit) as caught:
        loading.required()
    assert caught.value.code == output.USAGE


def test_messages_are_one_printable_line(capsys):
    """A key of a file may hold anything."""
    output.report([errors.Problem(file="W", key="a\x1b[31m\nb", message="x")])
    assert capsys.readouterr().err == "error: W: a\\x1b[31m\\nb: x\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError([errors.Problem(file="W", message="x")]), 2),
        (errors.InstanceError("x"), 2),
        (errors.Unreachable("files", "x"), 3),
        (errors.AgentServerError("x"), 4),
        (errors.InstallationError("x"), 4),
        (errors.StoreError("x"), 1),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(error, code, capsys):
    """What a script can tell apart."""
    with pytest.raises(SystemExit) as caught:
        output.fail_with(error)
    assert caught.value.code == code == output.exit_code(error)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_terminal_without_unicode_is_no_reason_to_fail(monkeypatch):
    """What it cannot show is escaped."""
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(raw, encoding="ascii"))
    output.say("naïve…")
    assert raw.getvalue() == b"na\\xefve\\u2026\n"


def test_a_reader_that_has_gone_away_ends_the_command_quietly(tmp_path):
    """`opensymphony paths | head -0` shows no traceback."""
    import subprocess
    import sys

    code = "from opensymphony.cli import output\nfor _ in range(100000): output.data('x' * 100)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 0


def test_the_commands_import_nothing_heavy():
    """`--help` is fast."""
    import subprocess
    import sys

    code = "import sys, opensymphony.cli.config, opensymphony.cli.paths; print(' '.join(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"httpx", "textual", "liquid", "ruamel.yaml", "structlog", "anyio"} & set(modules)
