"""Logs of failed pipelines: where they are, how much of them, and what a terminal would show."""

from __future__ import annotations

import pytest

from opensymphony.model import CommitCheck
from opensymphony.services.bitbucket.checks import plain
from opensymphony.services.bitbucket.code_host import BitbucketCodeHost
from tests.fakes.bitbucket import FakeBitbucket


async def failed(bitbucket: FakeBitbucket, host: BitbucketCodeHost, commit: str) -> CommitCheck:
    pull = bitbucket.open("work")
    reading = await host.read(str(pull.id))
    (check,) = [one for one in reading.checks if one.state == "failed"]
    return check


async def test_a_log_that_was_put_away_is_fetched_without_our_token(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost
) -> None:
    """The host leads to where it keeps old logs, which is not its own."""
    commit = bitbucket.push("work")
    bitbucket.run_pipeline(commit, {"Test": ("FAILED", b"x" * 100_000 + b"\nit broke\n")})
    bitbucket.logs_are_put_away = True
    log = await host.read_log(commit[:12], await failed(bitbucket, host, commit))
    assert log.endswith("\nit broke") and len(log) <= 65_536
    (headers,) = bitbucket.stored
    assert "authorization" not in headers and headers["range"] == "bytes=-65536"


async def test_several_failed_steps_share_the_room(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """Each with its name; those that passed say nothing, and an empty log is none."""
    commit = bitbucket.push("work")
    steps = {
        "Build": ("SUCCESSFUL", b"fine\n"),
        "Unit": ("FAILED", b"u" * 100_000),
        "Quiet": ("FAILED", b""),
        "Web": ("ERROR", b"w" * 100_000),
    }
    bitbucket.run_pipeline(commit, steps)
    log = await host.read_log(commit, await failed(bitbucket, host, commit))
    assert log.startswith("Unit:\nuuu") and "\n\nWeb:\nwww" in log and "fine" not in log and "Quiet" not in log
    assert len(log) <= 65_536


async def test_of_several_runs_it_is_the_one_of_the_check(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    commit = bitbucket.push("work")
    bitbucket.run_pipeline(commit, {"Test": ("FAILED", b"first run")})
    check = await failed(bitbucket, host, commit)
    bitbucket.run_pipeline(commit, {"Test": ("FAILED", b"second run")})
    assert await host.read_log(commit, check) == "first run"


async def test_a_log_that_we_may_not_read_is_empty(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """The check itself is known all the same."""
    commit = bitbucket.push("work")
    bitbucket.run_pipeline(commit, {"Test": ("FAILED", b"secret")})
    check = await failed(bitbucket, host, commit)
    bitbucket.missing_scopes = {"pipeline"}
    assert await host.read_log(commit, check) == ""


async def test_a_log_behind_an_open_line_is_not_fetched(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """Not over http to another machine."""
    commit = bitbucket.push("work")
    bitbucket.run_pipeline(commit, {"Test": ("FAILED", b"x")})
    check = await failed(bitbucket, host, commit)
    bitbucket.fail_next("GET", ".*/log", status=307, headers={"Location": "http://logs.example/x"})
    assert await host.read_log(commit, check) == ""


async def test_a_check_reported_twice_is_the_later(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    commit = bitbucket.push("work")
    bitbucket.report(commit, "ci", "FAILED", description="one\nline")
    bitbucket.report(commit, "ci", "SUCCESSFUL", name=None)
    reading = await host.read(str(bitbucket.open("work").id))
    assert [(one.key, one.name, one.state) for one in reading.checks] == [("ci", "ci", "passed")]


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m\n", "red"),
        ("\x1b]0;title\x07text\x1b(B", "text"),
        ("10%\r50%\r100%\nnext\r\n", "100%\nnext"),
        ("a\x00b\x08c\td", "abc\td"),
        ("\x9b31mx", "31mx"),
    ],
)
def test_a_log_is_what_a_terminal_would_show(printed: str, shown: str) -> None:
    """No colours, no control characters, of a line written over itself the last."""
    assert plain(printed) == shown
