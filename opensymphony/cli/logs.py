"""`opensymphony logs`: what the daemon has written down, from its files; no daemon is needed."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from opensymphony.cli import output

_LOOK_S = 0.25
_PART_BYTES = 1024 * 1024
_LINE_BYTES_MAX = 4 * 1024 * 1024
"""More than the daemon ever writes in a line; what is longer is passed over."""
_ABOUT = ("issue_identifier", "issue_id", "ticket")
"""Fields that say which ticket a line is about."""


def logs(
    ticket: Annotated[
        str | None, typer.Argument(metavar="[TICKET]", help="Only lines about this ticket, such as PROJ-1.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, max=1_000_000, help="The newest so many.")
    ] = 100,
    json: Annotated[bool, typer.Option("--json", help="As they are in the file: one JSON document a line.")] = False,
    workflow: Annotated[
        str | None, typer.Option("--workflow", "-w", metavar="FILE", help="Whose daemon. Default: ./WORKFLOW.md")
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Host settings (opensymphony.toml).")
    ] = None,
) -> None:
    """Print what the daemon has logged, the newest last.

    Reads the files in the directory of logs, whether or not a daemon runs, those that were put aside included.
    """
    directory = _directory(workflow, config)
    show = _Lines(ticket, json)
    try:
        with LogFiles(directory) as files:
            found = files.newest(lines, show.wants)
            for line in found:
                show(line)
            if not files.any and not follow:
                output.fail(f"nothing is logged in {directory} yet: `opensymphony run` starts the daemon")
            if not found and not follow and ticket is not None:
                output.say(f"no line is about {ticket}")
            while follow:
                for line in filter(show.wants, files.added()):
                    show(line)
                time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        raise SystemExit(output.INTERRUPTED) from None
    except OSError as error:
        output.fail(f"{error.filename or directory} cannot be read ({error.strerror}): correct its permissions")


def _directory(workflow: str | None, config: str | None) -> Path:
    from opensymphony.settings import load_settings

    named = workflow or "WORKFLOW.md"
    settings, problems = load_settings(named, config_path=config)
    if any(problem.severity == "error" for problem in problems):
        output.report(problems)
        raise SystemExit(output.USAGE)
    directory = Path(settings.logs_dir)
    if not directory.is_dir() and not os.path.exists(settings.workflow_path):
        output.fail(f"{named}: there is no such file: go to the directory of a WORKFLOW.md, or name one", output.USAGE)
    return directory


class LogFiles:
    """The newest file and those that were put aside, as one row of lines that grows."""

    def __init__(self, directory: Path) -> None:
        from opensymphony.logs import FILE_NAME, FILES_MAX

        self._newest = directory / FILE_NAME
        self._aside = [directory / f"{FILE_NAME}.{number}" for number in range(1, FILES_MAX)]
        self._current: _File | None = None
        self.any = False
        """Whether there is a file at all."""

    def __enter__(self) -> LogFiles:
        return self

    def __exit__(self, *_: object) -> None:
        if self._current is not None:
            self._current.close()

    def newest(self, number: int, wanted: Callable[[bytes], bool]) -> list[bytes]:
        """The last lines that are wanted, oldest first; what is added after them `added` gives."""
        found: list[bytes] = []
        self._current = _opened(self._newest)
        if self._current is not None:
            self.any = True
            found = list(deque(filter(wanted, self._current.lines()), maxlen=number))
        for file in self._before(None):
            with file:
                self.any = True
                if len(found) < number:
                    found = [*deque(filter(wanted, file.lines()), maxlen=number - len(found)), *found]
        return found

    def added(self) -> Iterator[bytes]:
        """Whole lines that were written since the last look, also where files were put aside meanwhile."""
        last = self._current
        if last is not None:
            yield from last.lines()
        current = _opened(self._newest)
        if current is None:
            return  # it is being put aside just now
        if last is not None and current.identity == last.identity:
            current.close()
            return
        self._current = current
        if last is not None:
            yield from last.lines()
            for file in reversed(list(self._before(last))):
                with file:
                    yield from file.lines()
            last.close()
        yield from current.lines()

    def _before(self, last: _File | None) -> Iterator[_File]:
        """The files that were put aside, the newest first, as far back as the one that was read last."""
        read = {file.identity for file in (self._current, last) if file is not None}
        for path in self._aside:
            file = _opened(path)
            if file is None:
                continue
            if file.identity not in read:
                yield file
                continue
            file.close()
            if last is not None and file.identity == last.identity:
                return


class _File:
    """One file, read from its beginning on."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._rest = b""
        self._skipping = False
        status = os.fstat(file.fileno())
        self.identity = status.st_dev, status.st_ino
        """It keeps it when it is put aside."""

    def lines(self) -> Iterator[bytes]:
        """Whole lines that were not given before."""
        while part := self._file.read(_PART_BYTES):
            *whole, self._rest = (self._rest + part).split(b"\n")
            for line in whole:
                if not self._skipping:
                    yield line
                self._skipping = False
            if len(self._rest) > _LINE_BYTES_MAX:
                self._rest, self._skipping = b"", True

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(path: Path) -> _File | None:
    try:
        return _File(open(path, "rb"))
    except FileNotFoundError:
        return None


class _Lines:
    """Which lines are shown, and how."""

    def __init__(self, ticket: str | None, json: bool) -> None:
        self._ticket = ticket.casefold() if ticket is not None else None
        self._json = json

    def wants(self, line: bytes) -> bool:
        """A line that was cut short, as a full disk leaves one, is shown to people, and is about no ticket."""
        record = _record(line)
        if record is None:
            return bool(line) and self._ticket is None and not self._json
        return self._ticket is None or any(str(record.get(name, "")).casefold() == self._ticket for name in _ABOUT)

    def __call__(self, line: bytes) -> None:
        record = None if self._json else _record(line)
        if record is None:
            output.data(output.one_line(line.decode(errors="replace")))
            return
        for told in _told(record):
            output.data(output.one_line(told))


def _record(line: bytes) -> dict[str, object] | None:
    import msgspec

    try:
        return msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _told(record: dict[str, object]) -> Iterator[str]:
    """`time level event key=value ... (logger)`, and below it where an error came from."""
    at, level = str(record.pop("timestamp", "")), str(record.pop("level", ""))
    event, logger = str(record.pop("event", "")), record.pop("logger", None)
    trace = record.pop("exception", None)
    facts = [f"{key}={_value(value)}" for key, value in record.items()]
    if logger:
        facts.append(f"logger={logger}")
    yield " ".join([f"{at[:19]}Z" if at else "-", f"{level:<7}", event, *facts])
    if trace:
        yield from (f"    {line}" for line in str(trace).splitlines())


def _value(value: object) -> str:
    import msgspec

    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f'"{text}"' if " " in text or not text else text
