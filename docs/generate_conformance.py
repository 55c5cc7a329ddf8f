"""Writes docs/conformance.md from the rows of the conformance tests: `python docs/generate_conformance.py`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("conformance.md")
ROWS = Path(__file__).parent.parent / "tests" / "conformance" / "rows.toml"

INTRODUCTION = """\
# Conformance

Written by `docs/generate_conformance.py`; do not edit it by hand.

OpenSymphony does what the specification of [Symphony](https://github.com/openai/symphony) asks for, with some differences that
are meant. Each row that applies has a test of its name in `tests/conformance/`, which looks from outside: the real command with
a WORKFLOW.md, a folder of tickets, scripted agents, the HTTP interface, files and logs. Where it says *differs*, the test shows
what happens here instead. Rows A1-A16 are about the protocol of another agent and do not apply.
"""

Row = dict[str, str]


def rows() -> tuple[dict[str, str], dict[str, Row]]:
    """Titles of the sections by the letter of their rows, and the rows by name."""
    read: dict[str, Any] = tomllib.loads(ROWS.read_text())
    return read["sections"], read["rows"]


def page() -> str:
    """The whole page."""
    sections, all_rows = rows()
    counts = dict.fromkeys(("passes", "differs", "not applicable"), 0)
    for row in all_rows.values():
        counts[row["verdict"]] += 1
    said = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    parts = [INTRODUCTION, f"{len(all_rows)} rows: {said}.\n"]
    for letter, title in sections.items():
        parts.append(f"## {title}\n\n| row | asks | here | where we differ, and why |\n|---|---|---|---|")
        parts.extend(
            f"| {name} | {row['asks']} | {row['verdict']} | {row.get('reason', '')} |"
            for name, row in all_rows.items()
            if name[0] == letter
        )
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
