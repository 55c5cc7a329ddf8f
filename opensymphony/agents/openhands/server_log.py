"""The log of a managed server: kept short while it is written, and its end as one line for a person."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import msgspec

from opensymphony.logs import get_logger

LOG_BYTES_MAX = 20 * 1024 * 1024
_TAIL_BYTES = 8_192
_TAIL_LINES = 3
_LINE_MAX = 200

log = get_logger(__name__)


def open_log(path: Path) -> int:
    """A descriptor to append to it."""
    limit_log(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)


def limit_log(path: Path, bytes_max: int = LOG_BYTES_MAX) -> None:
    """Move a log that grew too long aside; its writer appends, so the file can be emptied under it.

    Where there is no room for the copy the log is emptied all the same: it must not fill a full disk. Never raises.
    """
    try:
        if path.stat().st_size <= bytes_max:
            return
        try:
            shutil.copyfile(path, path.with_suffix(".log.1"))
        except OSError as error:
            warn_of("the agent-server's log is emptied without a copy", path, error)
        os.truncate(path, 0)
    except FileNotFoundError:
        return
    except OSError as error:
        warn_of("the agent-server's log cannot be kept short", path, error)


def warn_of(what: str, path: Path, error: OSError) -> None:
    """What goes wrong with a file of the server's and stops nothing."""
    log.warning(what, file=str(path), error=error.strerror or type(error).__name__)


def last_lines(path: Path) -> str:
    """The end of the server's log, as one line for a person."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "no log"
    told = [_message(line) for line in lines if line.strip()]
    return " | ".join(told[-_TAIL_LINES:]) or "its log is empty"


def _message(line: str) -> str:
    """The log is JSON lines, but what goes wrong early is plain text."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeError):
        line = str(msgspec.json.decode(line, type=dict[str, object]).get("message", line))
    return " ".join(line.split())[:_LINE_MAX]
