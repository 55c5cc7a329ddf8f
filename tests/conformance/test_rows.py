"""The table of rows is whole: every row has an entry, every row that applies a test, and the page says the same."""

from __future__ import annotations

import ast
import runpy
from itertools import chain
from pathlib import Path

HERE = Path(__file__).parent
GENERATOR = runpy.run_path(str(HERE.parents[1] / "docs" / "generate_conformance.py"))
SECTIONS, ROWS = GENERATOR["rows"]()

LIST = [
    *(f"W{number}" for number in range(1, 16)),
    "W1a",
    "W1b",
    *(f"F{number}" for number in range(1, 13)),
    *(f"T{number}" for number in range(1, 13)),
    *(f"O{number}" for number in range(1, 16)),
    "A1-A16",
    *(f"V{number}" for number in range(1, 7)),
    *(f"C{number}" for number in range(1, 7)),
    *(f"R{number}" for number in range(1, 5)),
    *(f"D{number}" for number in range(1, 19)),
    *(f"X{number}" for number in range(1, 6)),
    *(f"P{number}" for number in range(1, 4)),
]
"""The names of all rows there are."""


def named_tests() -> dict[str, str]:
    """Row to the name of a test, for every test that is named by a row."""
    trees = [ast.parse(path.read_text()) for path in sorted(HERE.glob("test_*.py")) if path.name != "test_rows.py"]
    functions = [node for node in chain.from_iterable(tree.body for tree in trees) if isinstance(node, ast.FunctionDef)]
    return {one.name.split("_")[1]: one.name for one in functions if one.name.startswith("test_")}


def test_every_row_has_an_entry() -> None:
    """No row of the list is passed over, and none is made up."""
    assert sorted(ROWS) == sorted(LIST)


def test_every_row_that_applies_has_a_test() -> None:
    """And a row that does not apply has none; each test of the suite belongs to a row."""
    assert sorted(named_tests()) == sorted(name for name, row in ROWS.items() if row["verdict"] != "not applicable")


def test_entries_are_whole() -> None:
    """Each says what the row asks, and a reason wherever we do not simply pass."""
    for name, row in ROWS.items():
        assert row.keys() <= {"asks", "verdict", "reason"}, name
        assert row["asks"].endswith("."), name
        assert row["verdict"] in ("passes", "differs", "not applicable"), name
        assert ("reason" in row) == (row["verdict"] != "passes"), name
        assert name[0] in SECTIONS, name


def test_the_page_is_the_table() -> None:
    """docs/conformance.md is what docs/generate_conformance.py writes."""
    assert GENERATOR["PAGE"].read_text() == GENERATOR["page"]()
