"""The daemon's log, on the terminal."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opensymphony import logs
from opensymphony.cli import logs as command
from opensymphony.cli.logs import LogFiles
from tests.cli.program import argv, call, write_workflow


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the logs of this directory's WORKFLOW.md are."""
    write_workflow(tmp_path)
    (tmp_path / "opensymphony.toml").write_text('[store]\ndirectory = "store"\n')
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "store" / "logs"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def logger(directory: Path) -> Iterator[logging.Logger]:
    """What the daemon writes with."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.set_up(level="debug", directory=str(directory))
    yield logging.getLogger("opensymphony.x")
    logs.shut_down()
    root.handlers, level = before
    root.setLevel(level)


def line(event: str, **facts: object) -> str:
    record = {
        "event": event,
        **facts,
        "logger": "opensymphony.x",
        "level": "info",
        "timestamp": "2026-01-31T09:02:11.5Z",
    }
    return json.dumps(record) + "\n"


def write(directory: Path, *lines: str, name: str = logs.FILE_NAME) -> None:
    with open(directory / name, "a") as file:
        file.writelines(lines)


def everything(_: bytes) -> bool:
    return True


def events(lines: list[bytes]) -> list[str]:
    return [json.loads(one)["event"] for one in lines]


def test_a_line_is_told_for_people(directory: Path) -> None:
    """Time, level, what happened, and about what; where an error came from stands below it."""
    write(directory, line("run ended", issue_identifier="A-1", reason="so be it", files=["a"]))
    write(directory, line("a defect", exception="Traceback:\n  there"))
    said = call("logs")
    assert (said.code, said.out.splitlines()) == (
        0,
        [
            '2026-01-31T09:02:11Z info    run ended issue_identifier=A-1 reason="so be it" files=["a"] logger=opensymphony.x',
            "2026-01-31T09:02:11Z info    a defect logger=opensymphony.x",
            "    Traceback:",
            "      there",
        ],
    )


def test_the_newest_are_found_in_files_that_were_put_aside_too(directory: Path) -> None:
    """In the order in which they were written, and never more than asked for."""
    write(directory, line("one"), line("two"), name=f"{logs.FILE_NAME}.2")
    write(directory, line("three"), name=f"{logs.FILE_NAME}.1")
    write(directory, line("four"), line("five"))

    def found(*arguments: str) -> list[str]:
        return [json.loads(one)["event"] for one in call("logs", "--json", *arguments).out.splitlines()]

    assert found() == ["one", "two", "three", "four", "five"]
    assert found("--lines", "4") == ["two", "three", "four", "five"]
    assert found("-n", "1") == ["five"]
    assert found("-n", "0") == []


def test_only_lines_about_a_ticket(directory: Path) -> None:
    """By its name in any case, or its id; so many of these, however many others there are."""
    write(directory, line("one", issue_identifier="A-1"), line("two", ticket="A-1"), line("three", issue_id="a-1"))
    write(directory, line("no", issue_identifier="A-11"), line("A-1"), "A-1 cut sho\n", line("no", ticket=["A-1"]))
    found = call("logs", "a-1", "-n", "2", "--json").out.splitlines()
    assert [json.loads(one)["event"] for one in found] == ["two", "three"]
    said = call("logs", "B-1")
    assert (said.code, said.out, said.lines) == (0, "", ["no line is about B-1"])


def test_control_characters_are_harmless(directory: Path) -> None:
    """Neither a ticket's text nor a line that is no JSON can colour a terminal or forge a line."""
    write(directory, line("a\x1b[31mb\nc", title="x\r\x9b2Jy"), "no json \x1b[2J\x07\n")
    for said in (call("logs"), call("logs", "--json")):
        assert not [char for char in said.out if not char.isprintable() and char != "\n"]
    assert "a\\x1b[31mb\\nc" in call("logs").out
    assert call("logs").out.splitlines()[1] == "no json \\x1b[2J\\x07"
    assert len(call("logs", "--json").out.splitlines()) == 1  # each line of it can be read by a program


def test_a_line_without_end_is_passed_over(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows it is read; a line that is not whole yet waits."""
    monkeypatch.setattr(command, "_LINE_BYTES_MAX", 100)
    monkeypatch.setattr(command, "_PART_BYTES", 50)
    write(directory, "x" * 1_000 + "\n", '{"event": "after"}\n', '{"event": "half')
    with LogFiles(directory) as files:
        assert events(files.newest(10, everything)) == ["after"]
        write(directory, ' and half"}\n')
        assert events(list(files.added())) == ["half and half"]


def test_what_is_added_is_followed_over_rotation(
    directory: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every line once and in order, also when several files were put aside between two looks."""
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 600)
    logs.set_up(level="debug", directory=str(directory))
    found: list[str] = []
    with LogFiles(directory) as files:
        assert (files.newest(10, everything), files.any) == ([], False)
        for number in range(120):
            logger.info("line %d", number)
            if number % 5 == 0 or number % 7 == 0:
                found += events(list(files.added()))
        found += events(list(files.added()))
    assert found == [f"line {number}" for number in range(120)]
    assert (directory / f"{logs.FILE_NAME}.4").exists()
    with LogFiles(directory) as again:
        assert events(again.newest(3, everything)) == ["line 117", "line 118", "line 119"]


def test_following_goes_on_until_ctrl_c(directory: Path) -> None:
    """First what is there, then what comes, about the ticket; exit code 130, as everywhere."""
    write(directory, line("before", issue_identifier="A-1"))
    command = argv("logs", "A-1", "-f", "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert json.loads(process.stdout.readline())["event"] == "before"
        write(directory, line("of another", issue_identifier="A-2"), line("after", issue_identifier="A-1"))
        assert json.loads(process.stdout.readline())["event"] == "after"
        process.send_signal(signal.SIGINT)
        assert (process.wait(20), process.stderr.read()) == (130, "")


def test_where_nothing_is_logged_it_says_so(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 before the first start, 2 where no WORKFLOW.md is, or its settings are wrong."""
    said = call("logs")
    assert (said.code, said.lines) == (
        1,
        [f"opensymphony: nothing is logged in {directory} yet: `opensymphony run` starts the daemon"],
    )
    (tmp_path / "opensymphony.toml").write_text("[store]\ndirectory = 1\n")
    assert call("logs").code == 2
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert call("logs").lines == [
        "opensymphony: WORKFLOW.md: there is no such file: go to the directory of a WORKFLOW.md, or name one"
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="a directory can be opened there in another way")
def test_what_cannot_be_read_is_one_line(directory: Path) -> None:
    """With the name of the file."""
    (directory / logs.FILE_NAME).mkdir()
    said = call("logs")
    assert (said.code, len(said.lines)) == (1, 1)
    assert f"{directory / logs.FILE_NAME} cannot be read (Is a directory)" in said.err
