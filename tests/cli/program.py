"""The command as a person runs it: a process of its own, and what it said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from msgspec import Struct
from typer.testing import CliRunner

from opensymphony.cli import app

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


def call(*arguments: str) -> Said:
    """The same within this process, for what needs no signals and no log: a tenth of the time."""
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
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
