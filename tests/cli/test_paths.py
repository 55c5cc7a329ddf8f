"""`opensymphony paths`."""

import json

import typer
from typer.testing import CliRunner

from opensymphony.cli import paths

app = typer.Typer()
app.command()(paths.paths)

GOOD = "---\ntracker: {kind: files, provider: {path: board}}\n---\nDo it.\n"
BAD = "---\ntracker: {kind: files, provider: {path: board}}\nagent: {max_turns: 0}\n---\nDo it.\n"


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def test_paths_are_told_also_when_the_workflow_is_broken(here):
    """That is when they are asked for."""
    (here / "WORKFLOW.md").write_text(BAD)
    result = run("--json")
    places = json.loads(result.stdout)
    assert result.exit_code == 0
    assert places["workflow"] == str(here / "WORKFLOW.md")
    assert places["workspaces"] is None
    assert list(places) == ["workflow", "config", "store", "logs", "tools", "workspaces"]
    (here / "WORKFLOW.md").write_text(GOOD)
    assert "workspaces  /" in run().stdout
