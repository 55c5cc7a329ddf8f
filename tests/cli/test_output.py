"""How commands talk."""

import io

import pytest

from opensymphony import errors
from opensymphony.cli import output


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


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (-5_000, "0 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (3_599_999, "59 min"),
        (2 * 3_600_000 + 5 * 60_000, "2 h 5 min"),
        (49 * 3_600_000, "2 d 1 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(duration_ms, text):
    """Never below zero, whatever two clocks say."""
    assert output.duration(duration_ms) == text
