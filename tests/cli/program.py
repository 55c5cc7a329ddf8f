"""The command as a person runs it: a process of its own, and what it said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from typer.testing import CliRunner

from opensymphony.api.client import ADDRESS_FILE
from opensymphony.cli import app
from tests.api.test_client import answering

WORKFLOW = """\
---
tracker: {{kind: files, provider: {{path: board}}}}
polling: {{interval_ms: 200}}
workspace: {{root: workspaces}}
{more}---
Do {{{{ issue.title }}}}.
"""


class Said(Struct, frozen=True, kw_only=True):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Narration without log lines."""
        return [line for line in self.err.splitlines() if not line.startswith("isolation: ")]


def argv(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "opensymphony", *arguments]


def run(*arguments: str, **environment: str | None) -> Said:
    """Run it here; never with a traceback. A variable that is None is taken away."""
    env = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    done = subprocess.run(argv(*arguments), env=env, capture_output=True, text=True, timeout=50, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert "Traceback" not in done.stdout
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)


def call(*arguments: str, given: bytes | None = None) -> Said:
    """The same within this process, for what needs no signals and no log: a tenth of the time. `given` is its input."""
    done = CliRunner().invoke(app, arguments, input=given, catch_exceptions=False)
    return Said(code=done.exit_code, out=done.stdout, err=done.stderr)


def write_workflow(directory: Path, more: str = "", text: str | None = None) -> Path:
    """A WORKFLOW.md with an empty board beside it."""
    (directory / "board").mkdir(exist_ok=True)
    path = directory / "WORKFLOW.md"
    path.write_text(text if text is not None else WORKFLOW.format(more=more))
    return path


def write_ticket(directory: Path, name: str = "A-1") -> Path:
    path = directory / "board" / f"{name}.md"
    path.write_text(f"---\ntitle: Title of {name}\nstate: Todo\n---\n\nWhat to do.\n")
    return path


@contextmanager
def played(directory: Path, status: int, answer: object) -> Iterator[list[Any]]:
    """A daemon of this directory's WORKFLOW.md that always gives this answer; what it is asked is noted."""
    store = directory / "store"
    store.mkdir(exist_ok=True)
    (directory / "opensymphony.toml").write_text('[store]\ndirectory = "store"\n')
    write_workflow(directory)
    body = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    with answering(status, body, store) as (address, asked):
        (store / ADDRESS_FILE).write_bytes(msgspec.json.encode(address))
        yield asked
