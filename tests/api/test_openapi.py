"""The OpenAPI document."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from opensymphony.api.openapi import document, field_meanings
from opensymphony.views import TicketView, TranscriptEntry
from tests.api.desk import SNAPSHOT


def nodes(node: Any) -> list[Any]:
    """Every object in it."""
    if isinstance(node, dict):
        return [node, *(found for one in node.values() for found in nodes(one))]
    return [found for one in node for found in nodes(one)] if isinstance(node, list) else []


def checked(name: str, value: object) -> list[str]:
    """What of a value does not fit a shape of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    found = Draft202012Validator(schema).iter_errors(msgspec.json.decode(msgspec.json.encode(value)))
    return [error.message for error in found]


def test_what_it_refers_to_is_there() -> None:
    """Each reference leads to a shape, each shape is referred to and is a JSON Schema."""
    schemas = document()["components"]["schemas"]
    named = {node["$ref"].removeprefix("#/components/schemas/") for node in nodes(document()) if "$ref" in node}
    assert named == set(schemas)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_our_shapes_fit_it() -> None:
    """A real picture fits its shape; one without a field, or with another kind of value, does not."""
    assert checked("Snapshot", SNAPSHOT) == []
    broken = {**msgspec.to_builtins(SNAPSHOT), "sequence": "7"}
    del broken["paused"]
    assert len(checked("Snapshot", broken)) == 2


def test_an_answer_has_every_field_and_a_body_may_leave_out_what_has_a_default() -> None:
    """Whoever reads it need not think of defaults; what is left out when it has its default may be missing."""
    schemas = document()["components"]["schemas"]
    assert set(schemas["TicketView"]["required"]) == set(TicketView.__struct_fields__)
    assert schemas["TranscriptEntry"]["required"] == ["seq", "kind"]
    assert checked("TranscriptEntry", TranscriptEntry(seq=1, kind="prompt")) == []
    assert (schemas["ActionBody"]["required"], schemas["Queued"]["required"]) == ([], ["queued"])


def test_fields_are_explained_by_their_source() -> None:
    """The sentence below a field, of views and of bodies."""
    schemas = document()["components"]["schemas"]
    assert schemas["Snapshot"]["properties"]["polled_ms"]["description"] == "Last poll that succeeded."
    assert "Printable ASCII" in schemas["ActionBody"]["properties"]["request_id"]["description"]
    assert field_meanings(msgspec.defstruct("Unwritten", ["a"])) == {}


@pytest.mark.parametrize("name", ["ActionBody", "ShutdownBody"])
def test_patterns_are_understood_by_everybody(name: str) -> None:
    """`\\Z` is Python's alone."""
    assert not [node for node in nodes(document()["components"]["schemas"][name]) if r"\Z" in str(node.get("pattern"))]


def test_whatever_holds_data_asks_for_the_token() -> None:
    """Only health and what has no data in it is open."""
    opened = {
        path
        for path, methods in document()["paths"].items()
        for operation in methods.values()
        if operation.get("security") == []
    }
    assert opened == {"/healthz", "/readyz", "/", "/assets/{name}", "/openapi.json", "/docs"}
    assert document()["security"] == [{"token": []}]
    assert document()["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_it_says_nothing_of_this_machine() -> None:
    """It is told to whoever asks."""
    assert not re.search(r"/(home|root|tmp|work)/", msgspec.json.encode(document()).decode())
