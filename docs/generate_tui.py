"""Writes the tables of keys into docs/tui.md from the bindings themselves: `python docs/generate_tui.py`."""

from __future__ import annotations

from pathlib import Path

from opensymphony.tui.app import KEYS
from opensymphony.tui.hints import key_rows

PAGE = Path(__file__).with_name("tui.md")
BEGIN, END = "<!-- keys: written by docs/generate_tui.py -->\n", "<!-- end of keys -->"


def generated() -> str:
    """A table for each place where keys mean something."""
    parts: list[str] = []
    for heading, bindings in KEYS:
        rows = [f"| {_code(keys)} | {meaning} |" for keys, meaning in key_rows(bindings)]
        parts.append("\n".join([f"\n### {heading}\n", "| key | |", "|---|---|", *rows, ""]))
    return "".join(parts) + "\n"


def _code(keys: str) -> str:
    return ", ".join(f"`{key}`" for key in keys.split(", "))


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + generated() + END + rest.partition(END)[2])
