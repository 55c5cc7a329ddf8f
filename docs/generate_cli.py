"""Writes docs/cli.md from the commands themselves: `python docs/generate_cli.py`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from opensymphony.cli import app

PAGE = Path(__file__).with_name("cli.md")

INTRODUCTION = """\
# Command line

Written by `docs/generate_cli.py`; do not edit it by hand.

Results go to standard output, everything else to standard error, so that the output of `--json` is always one document, that
of `logs` one a line. An error is one line: cause, place, what to do; when the command line itself is wrong, a hint at `--help`
stands above it. A command that takes a WORKFLOW.md looks for it in the current directory.

| exit code | meaning |
|---|---|
| 0 | done; `run` also after the first Ctrl-C or SIGTERM |
| 1 | a check or the operation failed |
| 2 | usage or configuration; or another daemon has the store, the workspaces or the port |
| 3 | the tracker could not be used; without --dry-run, `run` waits for it instead and says so |
| 4 | the agent-server could not be used |
| 130 | interrupted |
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(_section(path, command) for path, command in commands())])


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its path such as `config check`."""
    root = typer.main.get_command(app)
    yield from _below("", root)


def options(command: Any) -> set[str]:
    """Every option that the command takes."""
    return {name for parameter in command.params for name in parameter.opts if name.startswith("-")} | {"--help"}


def _below(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        here = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from _below(here, command)
        else:
            yield here, command


def _section(path: str, command: Any) -> str:
    text = inspect.cleandoc(command.help or "")
    positional = [parameter for parameter in command.params if not parameter.opts[0].startswith("-")]
    usage = " ".join(["opensymphony", path, "[OPTIONS]", *(_name(parameter) for parameter in positional)])
    rows = [
        f"| `{_name(parameter)}` | {_meaning(parameter)} |"
        for parameter in command.params
        if getattr(parameter, "help", None)
    ]
    return "\n".join([f"## `{path}`", "", f"    {usage}", "", text, "", "| | |", "|---|---|", *rows, ""])


def _name(parameter: Any) -> str:
    if not parameter.opts[0].startswith("-"):
        return parameter.metavar or f"[{parameter.name}]"
    return " ".join([", ".join(parameter.opts), *([] if parameter.is_flag else [parameter.metavar])])


def _meaning(parameter: Any) -> str:
    default = parameter.default if isinstance(parameter.default, str) else None
    return parameter.help + (f" Default: {default}." if default else "")


if __name__ == "__main__":
    PAGE.write_text(page())
