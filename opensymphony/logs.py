"""Logs: `key=value` lines on standard error for people, JSON lines in a rotating file, and no secret in either.

In: structlog calls of ours and standard `logging` calls of libraries. Out: both sinks, after redaction. A sink that fails (a
full disk) says so once on standard error and never stops the daemon.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Literal, TextIO, cast

import structlog

from opensymphony.private_files import make_private_directory
from opensymphony.schema import looks_secret

FILE_NAME = "opensymphony.jsonl"
FILE_BYTES_MAX = 10_485_760
FILES_MAX = 5
VALUE_CHARS_MAX = 8_192
DEPTH_MAX = 6
ITEMS_MAX = 100
SECRET_CHARS_MIN = 6
"""Shorter texts turn up by chance everywhere; replacing them would destroy the log and hide nothing."""
SECRETS_MAX = 256

SECRET_LINES_MAX = 256
"""Of one secret; a key of 16,384 bits has about 200."""

REDACTED = "[redacted]"

_known_secrets: tuple[str, ...] = ()
_wanted: tuple[str, ...] = ()
"""The known secrets and their lines, the longest first."""
_lock = threading.Lock()


def know_secret(value: str) -> None:
    """From now on this text is taken out of every line, and so is each line of it: a diff or a folded text has no other.

    The newest `SECRETS_MAX` are remembered.
    """
    text = value.strip()
    if len(text) < SECRET_CHARS_MIN:
        return
    with _lock:  # readers take the whole tuple, so they need no lock
        _remember((*(secret for secret in _known_secrets if secret != text), text)[-SECRETS_MAX:])


def forget_secret(value: str) -> None:
    """It has ended, and leaves its place to others."""
    with _lock:
        _remember(tuple(secret for secret in _known_secrets if secret != value.strip()))


def _remember(secrets: tuple[str, ...]) -> None:
    global _known_secrets, _wanted
    _known_secrets = secrets
    _wanted = tuple(sorted({part for secret in secrets for part in _parts(secret)}, key=len, reverse=True))


def _parts(secret: str) -> list[str]:
    lines = [line.strip() for line in secret.splitlines()[:SECRET_LINES_MAX]]
    return [secret, *(line for line in lines if len(line) >= SECRET_CHARS_MIN)]


def redacted(text: str) -> str:
    """The text without any known secret; of two secrets that overlap the longer goes first."""
    found = [secret for secret in _wanted if secret in text]
    for secret in found:
        text = text.replace(secret, REDACTED)
    return text


def set_up(
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["text", "json"] = "text",
    directory: str | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send every line to `stream` (standard error) and, with a directory, to files in it. Replaces an earlier set-up."""
    shut_down()
    structlog.configure(
        processors=[*_before(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    console = _Console(stream or sys.stderr)
    console.setFormatter(_formatter(structlog.processors.JSONRenderer() if form == "json" else _people))
    handlers: list[logging.Handler] = [console]
    if directory is not None:
        handlers.append(_file(directory, console))
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "websockets", "asyncio", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def shut_down() -> None:
    """Close the sinks; later lines are lost."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Console | _File)]:
        root.removeHandler(handler)
        handler.close()


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for a module. The event is a short phrase, what it is about goes into keys."""
    return structlog.stdlib.get_logger(name)


@contextmanager
def about(
    *,
    issue_id: str | None = None,
    issue_identifier: str | None = None,
    run: int | None = None,
    conversation_id: str | None = None,
) -> Generator[None]:
    """Every line logged within, by this task and its children, says which ticket, run and conversation it is about."""
    given = {
        "issue_id": issue_id,
        "issue_identifier": issue_identifier,
        "run": run,
        "conversation_id": conversation_id,
    }
    with structlog.contextvars.bound_contextvars(**{key: value for key, value in given.items() if value is not None}):
        yield


class _Console(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """A closed terminal is no reason to stop; there is nobody left to tell."""


class _File(RotatingFileHandler):
    """Files of the owner only. Tells of its first failure, and tries again with every line."""

    def __init__(self, path: str, console: logging.Handler) -> None:
        self._console = console
        self._failed = False
        super().__init__(path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_MAX - 1, encoding="utf-8", delay=True)

    def _open(self) -> Any:
        def opener(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        return open(self.baseFilename, self.mode, encoding=self.encoding, errors="replace", opener=opener)

    def close(self) -> None:
        """What could not be written until now is lost: a full disk must not spoil an end in good order."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:
        if self._failed:
            return
        self._failed = True
        message = f"log file {self.baseFilename} cannot be written: {sys.exc_info()[1]}"
        warning = logging.LogRecord("opensymphony.logs", logging.WARNING, "", 0, message, None, None)
        self._console.handle(warning)


def _file(directory: str, console: logging.Handler) -> logging.Handler:
    with suppress(OSError):  # the first line will say so
        make_private_directory(Path(directory))
    handler = _File(os.path.join(directory, FILE_NAME), console)
    handler.setFormatter(_formatter(structlog.processors.JSONRenderer()))
    return handler


def _before() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def _formatter(renderer: Any) -> structlog.stdlib.ProcessorFormatter:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    # A library's line comes here unprocessed; ours has been through `_before` already.
    foreign = [structlog.stdlib.ExtraAdder(), *_before()]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=[remove, _clean, renderer])


def _clean(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out, and limit how much one line may hold."""
    for key, value in list(event.items()):
        if not key.startswith("_"):  # structlog's own, removed before the line is rendered
            event[key] = REDACTED if looks_secret(key) and value is not None else _cleaned(value, 0)
    return event


def _cleaned(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        items = list(cast("Mapping[Any, Any]", value).items())[:ITEMS_MAX]
        return {
            str(key): REDACTED if looks_secret(str(key)) and child is not None else _cleaned(child, depth + 1)
            for key, child in items
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(child, depth + 1) for child in list(cast("list[Any]", value))[:ITEMS_MAX]]
    text = redacted(value if isinstance(value, str) else str(value))
    return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 1] + "…"


def _people(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """`time level event key=value ... (logger)`, one line, whatever the values hold."""
    time, level = str(event.pop("timestamp", "")), str(event.pop("level", "info"))
    name, what = str(event.pop("logger", "")), str(event.pop("event", ""))
    trace = event.pop("exception", None)
    parts = [time[11:19], f"{level:<7}", _one_line(what)]
    parts += [f"{key}={_value(value)}" for key, value in event.items()]
    if name:
        parts.append(f"logger={name}")
    line = " ".join(part for part in parts if part)
    return f"{line}\n{trace}" if trace else line


def _value(value: Any) -> str:
    text = _one_line(str(value))
    return f'"{text}"' if " " in text or not text else text


def _one_line(text: str) -> str:
    """Control characters (a ticket's text may hold some) would forge lines or colours of a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
