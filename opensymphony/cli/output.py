"""How every command talks: data on standard output, narration on standard error, errors in one line, and exit codes.

Text of others (a ticket, a key of a file) may hold control characters, which would forge lines or colours of a terminal:
whatever goes out through here is on one line and printable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import NoReturn, TextIO

from opensymphony.errors import (
    AgentServerError,
    ConfigurationError,
    InstallationError,
    InstanceError,
    OpenSymphonyError,
    Problem,
    ServiceError,
)
from opensymphony.printable import escaped

DONE = 0
FAILED = 1
"""A check or the operation failed."""
USAGE = 2
"""Usage or configuration."""
TRACKER = 3
AGENT_SERVER = 4
INTERRUPTED = 130


def data(text: str) -> None:
    """A result on standard output. A reader that has gone away (`| head`) ends the command quietly."""
    _write(sys.stdout, text if text.endswith("\n") else f"{text}\n")


def document(value: object) -> None:
    """A result as JSON on standard output."""
    import msgspec

    data(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def say(message: str) -> None:
    """One line of narration on standard error."""
    _write(sys.stderr, f"{one_line(message)}\n")


def report(problems: Iterable[Problem]) -> None:
    """Problems on standard error, one a line: `error: file:line: key: message [code]`."""
    for problem in problems:
        code = f" [{problem.code}]" if problem.code else ""
        say(f"{problem.severity}: {problem}{code}")


def fail(message: str, code: int = FAILED) -> NoReturn:
    """End the command with one line on standard error."""
    say(f"opensymphony: {message}")
    raise SystemExit(code)


def fail_with(error: OpenSymphonyError) -> NoReturn:
    """End the command with what an error says and the exit code of its kind."""
    if isinstance(error, ConfigurationError):
        report(error.problems)
        raise SystemExit(USAGE)
    fail(str(error), exit_code(error))


def exit_code(error: OpenSymphonyError) -> int:
    """The exit code that tells a script what kind of thing went wrong."""
    if isinstance(error, ConfigurationError | InstanceError):
        return USAGE
    if isinstance(error, ServiceError):
        return TRACKER
    if isinstance(error, AgentServerError | InstallationError):
        return AGENT_SERVER
    return FAILED


def one_line(text: str) -> str:
    """The text with every control character shown as an escape."""
    return escaped(text)


def duration(duration_ms: int) -> str:
    """How long, in the two largest units: `12 s`, `3 min`, `2 h 5 min`, `4 d 1 h`. Never below zero."""
    seconds = max(0, duration_ms) // 1000
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # Python would complain once more when it closes the stream at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise SystemExit(DONE) from None
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
