"""`GET /openapi.json` and `GET /docs`: the interface for programs, and as one page for people.

The page is made from the document alone, needs nothing from elsewhere and runs no script.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import cache
from html import escape
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from opensymphony.api.openapi import document

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--link:light-dark(#0b57d0,#9cc3ff);--text:light-dark(#1c1d21,#e8e9ed);
--quiet:light-dark(#50535c,#b4b7c0);--page:light-dark(#fff,#15171c)}
*{box-sizing:border-box}
body{margin:0;font:16px/1.55 system-ui,sans-serif;color:var(--text);background:var(--page)}
a{color:var(--link)}
a:focus-visible,[tabindex]:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:1rem;background:var(--page);padding:.5rem;z-index:1}
.page{display:grid;grid-template-columns:18rem minmax(0,1fr);max-width:80rem;margin:auto}
nav{position:sticky;top:0;max-height:100vh;overflow-y:auto;padding:1.5rem 1rem;
font-size:.88rem;border-right:1px solid var(--line)}
nav ul{list-style:none;margin:.2rem 0 1rem;padding:0}nav li{margin:.15rem 0}nav h2{font-size:.88rem;margin:0}
main{padding:1.5rem 2rem 6rem}
h1{line-height:1.2}main h2{margin-top:3rem;border-bottom:1px solid var(--line)}h3{margin:2.2rem 0 .3rem}h4{margin:1rem 0 .3rem}
code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
.quiet{color:var(--quiet)}
.table{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.93rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .7rem .35rem 0;border-bottom:1px solid var(--line)}
@media(max-width:50rem){.page{display:block}nav{position:static;max-height:none;border:0;border-bottom:1px solid var(--line)}
main{padding:1rem}}
"""
_POLICY = "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

Shown = Callable[[str], str]
"""The name of a schema, as a link to it."""


class Row(NamedTuple):
    """One line of a table: a name, its type in words, what it means."""

    name: str
    kind: str
    meaning: str


def reference_routes() -> tuple[tuple[str, str, Callable[[Request], Response | Awaitable[Response]]], ...]:
    """Path, method and answer of each; they hold no data, so nobody is asked for the token."""
    return (("/openapi.json", "GET", openapi), ("/docs", "GET", reference))


def openapi(request: Request) -> Response:
    return Response(_encoded(), media_type="application/json", headers={"Cache-Control": "no-cache"})


def reference(request: Request) -> Response:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    headers = {"Content-Security-Policy": _POLICY.format(digest=digest), "Cache-Control": "no-cache"}
    return Response(page(), media_type="text/html", headers=headers)


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(document())


def type_of(schema: dict[str, Any], shown: Shown) -> str:
    """A type in words."""
    if "$ref" in schema:
        return shown(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(type_of(one, shown) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(msgspec.json.encode(one).decode() for one in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        if "prefixItems" in schema:
            return "list of exactly " + ", ".join(type_of(one, shown) for one in schema["prefixItems"])
        return f"list of {type_of(schema.get('items', {}), shown)}"
    values: Any = schema.get("additionalProperties")
    if kind == "object" and values not in (None, True, False):
        return f"object of {type_of(values, shown)}"
    low, high, longest = schema.get("minimum"), schema.get("maximum"), schema.get("maxLength")
    if high is not None:
        return f"{kind} from {low} to {high}"
    return f"{kind}, at least {low}" if low is not None else f"{kind}, at most {longest:,} long" if longest else kind


def parameters_of(operation: dict[str, Any], shown: Shown) -> list[Row]:
    return [
        Row(one["name"], f"{one['in']}, {type_of(one['schema'], shown)}", one["description"])
        for one in operation.get("parameters", ())
    ]


def bodies_of(operation: dict[str, Any], shown: Shown) -> list[Row]:
    """Media type, type, and whether it may be left out."""
    body = operation.get("requestBody", {"content": {}})
    needed = "Required." if body.get("required") else "May be left out."
    return [Row(kind, type_of(content["schema"], shown), needed) for kind, content in body["content"].items()]


def answers_of(operation: dict[str, Any], shown: Shown) -> list[Row]:
    return [
        Row(status, _content(answer["content"], shown), answer["description"])
        for status, answer in operation["responses"].items()
    ]


def fields_of(schema: dict[str, Any], shown: Shown) -> list[Row]:
    """Each field of an object; one that may be missing says so."""
    required = schema.get("required", ())
    return [
        Row(
            name,
            type_of(field, shown) + ("" if name in required else ", may be left out"),
            field.get("description", ""),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def operations_of(tag: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation of each with this tag."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


def _content(content: dict[str, Any], shown: Shown) -> str:
    return ", ".join(
        type_of(one["schema"], shown) if kind == "application/json" else _other(kind, one["schema"], shown)
        for kind, one in content.items()
    )


def _other(kind: str, schema: dict[str, Any], shown: Shown) -> str:
    return f"{kind} of {type_of(schema, shown)}" if "$ref" in schema else kind


@cache
def page() -> str:
    """The whole page."""
    about = document()
    title = escape(about["info"]["title"])
    return "".join(
        (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f'<style>{_STYLE}</style></head><body><a class="skip" href="#main">Skip to the operations</a>',
            f'<div class="page">{_contents()}<main id="main" tabindex="-1"><h1>{title}</h1>',
            f'<p class="quiet">Release {escape(about["info"]["version"])}, ',
            '<a href="openapi.json">as an OpenAPI document</a></p>',
            *(f"<p>{_text(part)}</p>" for part in about["info"]["description"].split("\n\n")),
            *(_section(tag) for tag in about["tags"]),
            '<section aria-labelledby="schemas"><h2 id="schemas">Shapes</h2>',
            *(_schema(name, schema) for name, schema in about["components"]["schemas"].items()),
            "</section></main></div></body></html>",
        )
    )


def _contents() -> str:
    parts = [
        f"<h2>{escape(tag['name'])}</h2><ul>"
        + "".join(
            f'<li><a href="#{operation["operationId"]}">{escape(operation["summary"])}</a></li>'
            for _, _, operation in operations_of(tag["name"])
        )
        + "</ul>"
        for tag in document()["tags"]
    ]
    return f'<nav aria-label="Contents">{"".join(parts)}<p><a href="#schemas">Shapes</a></p></nav>'


def _section(tag: dict[str, str]) -> str:
    anchor = f"tag-{tag['name'].lower()}"
    operations = "".join(_operation(*one) for one in operations_of(tag["name"]))
    return (
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{escape(tag["name"])}</h2>'
        f"<p>{_text(tag['description'])}</p>{operations}</section>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    anchor, summary = operation["operationId"], operation["summary"]
    detail = f"<p>{_text(operation['description'])}</p>" if "description" in operation else ""
    token = "Needs no token." if operation.get("security") == [] else "Needs the token."
    return (
        f'<article aria-labelledby="{anchor}"><h3 id="{anchor}">{escape(summary)}</h3>'
        f'<p><code>{method} {escape(path)}</code> <span class="quiet">{token}</span></p>{detail}'
        + _table("Parameters", summary, ("Name", "Place and type", "Meaning"), parameters_of(operation, _link))
        + _table("Body", summary, ("Media type", "Type", ""), bodies_of(operation, _link))
        + _table("Answers", summary, ("Status", "Body", "Meaning"), answers_of(operation, _link))
        + "</article>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    anchor = f"schema-{name}"
    meaning = f"<p>{_text(schema['description'])}</p>" if "description" in schema else ""
    rows = _table("Fields", name, ("Field", "Type", "Meaning"), fields_of(schema, _link), level=4)
    return f'<article aria-labelledby="{anchor}"><h3 id="{anchor}"><code>{escape(name)}</code></h3>{meaning}{rows}</article>'


def _table(title: str, of: str, heads: tuple[str, str, str], rows: Iterable[Row], level: int = 4) -> str:
    """Its place can be scrolled with the keys alone, so it has a name."""
    if not (rows := list(rows)):
        return ""
    head = "".join(f'<th scope="col">{one}</th>' if one else "<td></td>" for one in heads)
    body = "".join(
        f'<tr><th scope="row"><code>{escape(row.name)}</code></th><td>{row.kind}</td><td>{_text(row.meaning)}</td></tr>'
        for row in rows
    )
    return (
        f'<h{level}>{title}</h{level}><div class="table" tabindex="0" role="region" aria-label="{title}: {escape(of)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _link(name: str) -> str:
    return f'<a href="#schema-{name}"><code>{name}</code></a>'


def _text(text: str) -> str:
    """What stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
