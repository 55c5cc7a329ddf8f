"""The document and the page that is made of it."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from html.parser import HTMLParser

import httpx
import pytest

from opensymphony.api.openapi import document
from opensymphony.api.reference import page, type_of
from tests.api.desk import Desk

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """What a page consists of; every element must be closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]


async def test_they_are_open_and_hold_no_data(client: httpx.AsyncClient, desk: Desk) -> None:
    """Nobody needs the token for them, and nothing is looked at for them."""
    answer = await client.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == document()
    answer = await client.get("/docs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text == page()
    assert desk.looks == 0


async def test_the_page_may_do_nothing_but_look_right(client: httpx.AsyncClient) -> None:
    """No script, nothing from elsewhere; its one style is allowed by its hash."""
    answer = await client.get("/docs")
    style = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    found = Page(answer.text)
    assert not {tag for tag, _ in found.elements} & {"script", "img", "link", "iframe", "form", "object"}
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert not found.all("style") and not found.all("src")


def test_the_page_has_everything_and_its_links_lead_somewhere() -> None:
    """Every operation with its path, every shape with its fields; each anchor is there once."""
    found, text = Page(page()), page()
    anchors = found.all("id")
    assert len(set(anchors)) == len(anchors)
    assert {link.removeprefix("#") for link in found.all("href") if link.startswith("#")} <= set(anchors)
    assert [link for link in found.all("href") if not link.startswith("#")] == ["openapi.json"]
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            assert f"<code>{method.upper()} {path}</code>" in text
            assert operation["operationId"] in anchors
    for name, schema in document()["components"]["schemas"].items():
        assert f"schema-{name}" in anchors
        assert not [field for field in schema["properties"] if f"<code>{field}</code>" not in text]


def test_the_page_can_be_used_without_a_mouse_and_read_aloud() -> None:
    """A language, one first heading, no level left out, a way past the list, and a name for whatever scrolls."""
    found = Page(page())
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h[1-6]", tag)]
    in_main = levels[levels.index(1) :]
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(in_main))
    assert found.elements[0] == ("html", {"lang": "en"})
    assert next(attributes["href"] for tag, attributes in found.elements if tag == "a") == "#main"
    regions = [attributes for _, attributes in found.elements if attributes.get("class") == "table"]
    names = [attributes["aria-label"] for attributes in regions]
    assert len(set(names)) == len(names)
    assert {attributes["tabindex"] for attributes in regions} == {"0"}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/components/schemas/Rule"}, "<Rule>"),
        ({"type": "array", "items": {"type": "string"}}, "list of string"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"enum": ["a", True]}, '"a", true'),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "integer from 1 to 9"),
        ({"type": "integer", "minimum": 0}, "integer, at least 0"),
        ({"type": "string", "maxLength": 2000}, "string, at most 2,000 long"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer"),
        ({"type": "object"}, "object"),
        ({}, "anything"),
    ],
)
def test_types_are_told_in_words(schema: dict[str, object], words: str) -> None:
    assert type_of(schema, lambda name: f"<{name}>") == words
