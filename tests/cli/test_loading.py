"""What every command loads first."""

import os

import pytest

from opensymphony.cli import loading, output

GOOD = "---\ntracker: {kind: files, provider: {path: board}}\n---\nDo it.\n"


@pytest.mark.parametrize("make", [lambda place: None, lambda place: place.mkdir(), lambda place: os.mkfifo(place)])
def test_a_workflow_that_is_not_there_is_one_line(here, make):
    """Missing, a directory, a pipe: none of them is waited for."""
    make(here / "x.md")
    loaded = loading.load("x.md")
    assert not loaded.ok
    assert [(problem.file, problem.code) for problem in loaded.problems] == [("x.md", "missing_workflow_file")]


def test_a_workflow_that_may_not_be_read_is_one_line(here):
    """With what to do; a file where a directory should be is the case that also root meets."""
    (here / "file").write_text(GOOD)
    assert [problem.code for problem in loading.load("file/WORKFLOW.md").problems] == ["workflow_unreadable"]


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
