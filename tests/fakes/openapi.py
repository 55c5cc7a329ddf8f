"""Holds requests and answers against an official OpenAPI document, whichever of ../shared/specs it is.

In: a method, a path, and a body that went over the wire. Out: what is wrong with it, one line each. OpenAPI 3.0 is JSON Schema
of draft 4 but for `nullable`, which is taken in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft4, Draft4Validator, Registry

Json = dict[str, Any]
_NAME = "urn:specification"
ROOT = Path(__file__).resolve().parents[2].parent / "shared" / "specs"


def _in_draft_4(schema: Any) -> Any:
    """What may be null, by the words of draft 4; and references into the document by its name."""
    if isinstance(schema, list):
        return [_in_draft_4(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _in_draft_4(value) for name, value in schema.items()}
    if isinstance(made.get("$ref"), str):
        made["$ref"] = made["$ref"].replace("#/", f"{_NAME}#/", 1)
    if schema.get("nullable") is True:
        if isinstance(made.get("type"), str):
            made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list):
            made["enum"] = [*made["enum"], None]
    return made


class Specification:
    """One document."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._registry = Registry([(_NAME, _in_draft_4(document))], draft=Draft4)
        self._paths = [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path) for path in document["paths"]]
        # What is named in full is found before what a placeholder would take, too.
        self._paths.sort(key=lambda found: found[1].count("{"))
        self._validators: dict[str, Draft4Validator] = {}

    def operation(self, method: str, path: str) -> tuple[str, Json] | None:
        for pattern, template in self._paths:
            if pattern.fullmatch(path) and method.lower() in self._document["paths"][template]:
                return template, self._document["paths"][template][method.lower()]
        return None

    def faults_of_request(self, method: str, path: str, query: Mapping[str, str], body: Any) -> list[str]:
        found = self.operation(method, path)
        if found is None:
            return [f"{method} {path}: there is no such operation"]
        template, operation = found
        shared = self._document["paths"][template].get("parameters", [])
        declared = [self._resolved(one) for one in (*operation.get("parameters", []), *shared)]
        known = {one["name"] for one in declared if one["in"] == "query"}
        faults = [f"{method} {path}: there is no parameter {name}" for name in query if name not in known]
        required = {one["name"] for one in declared if one["in"] == "query" and one.get("required")}
        faults += [f"{method} {path}: the parameter {name} is missing" for name in required - set(query)]
        content = self._resolved(operation.get("requestBody", {})).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if schema is None and body is not None:
            faults.append(f"{method} {path}: takes no body")
        elif schema is not None:
            faults += self._faults(f"{method} {path}", schema, body)
        return faults

    def faults_of_answer(self, method: str, path: str, status: int, body: Any) -> list[str]:
        found = self.operation(method, path)
        if found is None:
            return [f"{method} {path}: there is no such operation"]
        responses = found[1]["responses"]
        answer = responses.get(str(status))
        if answer is None:
            return [] if status in (429, 500, 502, 503) else [f"{method} {path}: is never answered with {status}"]
        schema = self._resolved(answer).get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            return []  # the document says nothing of the body
        return self._faults(f"{method} {path} {status}", schema, body)

    def faults_of_value(self, where: str, schema: str, value: Any) -> list[str]:
        """Against a schema by its name, for where the document speaks of it in words only."""
        return self._faults(where, {"$ref": f"#/components/schemas/{schema}"}, value)

    def _resolved(self, found: Json) -> Json:
        while "$ref" in found:
            target: Any = self._document
            for part in found["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            found = target
        return found

    def _faults(self, where: str, schema: Json, value: Any) -> list[str]:
        key = json.dumps(schema, sort_keys=True)
        validator = self._validators.get(key)
        if validator is None:
            validator = self._validators[key] = Draft4Validator(
                _in_draft_4(schema), registry=self._registry, validate_formats=False
            )
        return [
            f"{where}: {'/'.join(map(str, error.instance_path))}: {error.message[:200]}"
            for error in validator.iter_errors(value)
        ]


@cache
def specification(name: str) -> Specification | None:
    """One of ../shared/specs; None where that is not there."""
    path = ROOT / name
    return Specification(json.loads(path.read_text())) if path.is_file() else None
