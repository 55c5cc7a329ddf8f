"""Writes docs/api.md from the document that the daemon serves: `python docs/generate_api.py`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opensymphony.api.openapi import document
from opensymphony.api.reference import Row, answers_of, bodies_of, fields_of, operations_of, parameters_of

PAGE = Path(__file__).with_name("api.md")

INTRODUCTION = """\
# HTTP interface

Written by `docs/generate_api.py`; do not edit it by hand. A running daemon serves the same at `/docs`, and for programs as an
OpenAPI document at `/openapi.json`; neither asks for the token. Which requests are refused is in
[security.md](security.md#the-operators-listener).
"""


def page() -> str:
    """The whole page."""
    about = document()
    schemas = about["components"]["schemas"].items()
    return "\n".join(
        [
            INTRODUCTION,
            about["info"]["description"],
            "",
            *(line for tag in about["tags"] for line in _section(tag)),
            "## Shapes",
            "",
            *(line for name, schema in schemas for line in _schema(name, schema)),
        ]
    )


def _section(tag: dict[str, str]) -> Iterable[str]:
    yield from (f"## {tag['name']}", "", tag["description"], "")
    for method, path, operation in operations_of(tag["name"]):
        token = "Needs no token." if operation.get("security") == [] else "Needs the token."
        yield from (f"### `{method} {path}`", "", f"{operation['summary']}. {token}", "")
        if "description" in operation:
            yield from (operation["description"], "")
        yield from _table(("parameter", "place and type", "meaning"), parameters_of(operation, _link))
        yield from _table(("body", "type", ""), bodies_of(operation, _link))
        yield from _table(("answer", "body", "meaning"), answers_of(operation, _link))


def _schema(name: str, schema: dict[str, Any]) -> Iterable[str]:
    yield from (f"### `{name}`", "", schema.get("description", ""), "")
    yield from _table(("field", "type", "meaning"), fields_of(schema, _link))


def _table(heads: tuple[str, str, str], rows: list[Row]) -> Iterable[str]:
    if not rows:
        return
    yield f"| {' | '.join(heads)} |"
    yield "|---|---|---|"
    yield from (f"| `{row.name}` | {row.kind} | {row.meaning} |" for row in rows)
    yield ""


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


if __name__ == "__main__":
    PAGE.write_text(page())
