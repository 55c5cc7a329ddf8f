"""Writes docs/parity.md from the tests that are marked `parity` and `fixes`.

`python docs/generate_parity.py`, after a test was marked, renamed or described otherwise.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).with_name("parity.md")
TESTS = PAGE.parents[1] / "tests"

WEAKNESSES = {
    1: "keys stand in files of the agent's own workspace",
    3: "a run that is given up leaves its agent at work",
    10: "the whole history is read and folded anew at each attach and each change",
    11: "memory grows with the length of a session",
    16: "requests and sockets without a time limit",
    19: "an agent-server that died is never started again",
    21: "paused, waiting for a confirmation, deleting: no meaning",
    23: "mistakes of the configuration are found by the run that they fail",
    27: "a context that became too long is deleted with its history",
}
"""What is wrong there, by its number, in our words."""


class Marked(NamedTuple):
    """A test and what it is marked with."""

    kind: str
    subject: str | int
    test: str
    says: str


def marked() -> Iterator[Marked]:
    """All of them, file by file."""
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr in _KINDS:
                    subject = ast.literal_eval(mark.args[0])
                    where = f"`{path.relative_to(TESTS)}::{node.name}`"
                    says = (ast.get_docstring(node) or "").splitlines()[0]
                    yield Marked(mark.func.attr, subject, where, says)


_KINDS = ("parity", "fixes")


def page() -> str:
    """The whole file."""
    found = list(marked())
    lines = [
        "# How it stands to the OpenSymphony of Rust",
        "",
        "<!-- Written by docs/generate_parity.py from the marks of the tests. -->",
        "",
        "There is another OpenSymphony, written in Rust, whose tests name what such a system has to show. Below is each of",
        "them that a test of ours shows too, and each weakness of it that a test of ours shows to be none here. What is",
        "not listed is not claimed.",
        "",
        "## What both do",
        "",
        "| there | here | in our words |",
        "|---|---|---|",
        *_rows(found, "parity", lambda subject: f"`{subject}`"),
        "",
        "## What is better here",
        "",
        "| there | here | in our words |",
        "|---|---|---|",
        *_rows(found, "fixes", lambda subject: WEAKNESSES[int(subject)]),
    ]
    return "\n".join(lines) + "\n"


def _rows(found: list[Marked], kind: str, name: object) -> list[str]:
    assert callable(name)
    chosen = sorted((one for one in found if one.kind == kind), key=lambda one: (one.subject, one.test))
    return [f"| {name(one.subject)} | {one.test} | {one.says} |" for one in chosen]


if __name__ == "__main__":
    PAGE.write_text(page())
