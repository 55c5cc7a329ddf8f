"""`opensymphony config check` and `config show`."""

import json

import pytest
import typer
from typer.testing import CliRunner

from opensymphony.cli import config

app = typer.Typer()
app.command()(config.check)
app.command()(config.show)

GOOD = "---\ntracker: {kind: files, provider: {path: board}}\n---\nDo it.\n"
WARNING = "---\ntracker: {kind: files, provider: {path: board}}\npoling: {}\n---\nDo it.\n"
BAD = (
    "---\ntracker: {kind: files, provider: {path: board}}\nagent: {max_turns: 0}\nhooks: {timeout_ms: x}\n---\nDo it.\n"
)


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


def test_check_places_what_it_says_about_budgets(here, tmp_path, monkeypatch):
    """The file as it was named, and the line of the key, as with every other problem."""
    monkeypatch.setenv("LLM_MODEL", "nobody/knows")
    monkeypatch.setenv("OPENSYMPHONY_TOOL_DIR", str(tmp_path / "none"))
    (here / "WORKFLOW.md").write_text(GOOD.replace("---\nDo", "budget:\n  day:\n    tokens: 1000\n---\nDo"))
    result = run("check")
    assert result.exit_code == 1
    warning, verdict = result.stderr.splitlines()
    assert warning.startswith(
        "warning: WORKFLOW.md:5: budget.day.tokens: is less than one model call may take (264,000"
    )
    assert verdict == "1 warning: no error, `opensymphony run` starts in spite of that"
    (here / "WORKFLOW.md").write_text(GOOD.replace("---\nDo", "budget:\n  day:\n    cost: 5\n---\nDo"))
    result = run("check")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: WORKFLOW.md:5: budget.day.cost: is in money, but")


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


def test_the_commands_import_nothing_heavy():
    """`--help` is fast."""
    import subprocess
    import sys

    code = "import sys, opensymphony.cli.config, opensymphony.cli.paths; print(' '.join(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"httpx", "textual", "liquid", "ruamel.yaml", "structlog", "anyio"} & set(modules)


BUDGET = (
    "---\ntracker: {kind: files, provider: {path: board}}\nbudget: {timezone: %s, day: {cost: %s}}\n"
    "openhands: {conversation: {agent: {llm: {model: own/model, input_cost_per_token_micros: %s}}}}\n---\nDo it.\n"
)


def test_check_says_which_budget_cannot_be_counted(here):
    """Money needs prices, a day needs a time zone, and a limit has to leave room for one call."""
    (here / "WORKFLOW.md").write_text(BUDGET % ("UTC", 5, "null"))
    result = run("check")
    assert result.exit_code == 2
    assert "error: WORKFLOW.md:3: budget.day.cost: is in money, but what own/model costs is not known" in result.stderr
    assert "[unknown_price]" in result.stderr
    (here / "WORKFLOW.md").write_text(BUDGET % ("UTC", 0.5, "2, output_cost_per_token_micros: 10"))
    result = run("check")
    assert result.exit_code == 1
    assert "budget.day.cost: is less than one model call may take (1.04: 200,000 tokens read" in result.stderr
    (here / "WORKFLOW.md").write_text(BUDGET % ("UTC", 50, "0, output_cost_per_token_micros: 0"))
    assert run("check").exit_code == 0


def test_check_names_the_line_of_a_zone_that_does_not_exist(here):
    """A slip in its name would make the day begin at another hour."""
    (here / "WORKFLOW.md").write_text(BUDGET % ("Mars/Olympus", "null", "null"))
    result = run("check")
    assert result.exit_code == 2
    assert 'WORKFLOW.md:3: budget.timezone: "Mars/Olympus" is not a time zone' in result.stderr
    (here / "WORKFLOW.md").write_text(BUDGET % ("Europe/Berlin", "null", "0, output_cost_per_token_micros: 0"))
    assert run("check").exit_code == 0


def test_check_wants_both_prices(here):
    """The agent-server would ignore a single one."""
    (here / "WORKFLOW.md").write_text(BUDGET % ("UTC", "null", "2"))
    result = run("check")
    assert result.exit_code == 1
    assert "input_cost_per_token_micros: stands alone and has no effect" in result.stderr
