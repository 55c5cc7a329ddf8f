"""`GET /openapi.json`: the operator's interface as an OpenAPI 3.1 document, made from `operations.py` and our Structs."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import msgspec
from msgspec import UNSET, Struct, structs
from msgspec import inspect as types

from opensymphony import __version__
from opensymphony.api.bodies import BODY_BYTES_MAX
from opensymphony.api.operations import JSON, OPERATIONS, TAGS, Operation, Parameter, Reply

_REF = "#/components/schemas/{name}"
_SCHEME = "token"
_INTRODUCTION = """\
The interface that the daemon serves to its operator on a loopback address. Whatever holds data asks for the token from the \
file `token` in the store, as `Authorization: Bearer ...`; the token is new at each start of the daemon.

Times that end in `_ms` are milliseconds since 1970, money in `_micros` is in millionths. Texts of tickets, agents and tools \
are untrusted: escape them wherever you show them. Fields may be added in later releases. `HEAD` is answered wherever `GET` \
is; another method gets 405 with `Allow`. What is no HTTP at all gets 400 as plain text, and the connection is closed."""


_HOST = Reply(403, "`forbidden_host`, `forbidden_origin`: only this machine's own names are answered.")
_TOKEN = Reply(401, "`unauthorized`: the token is missing or wrong.")
_DEFECT = Reply(500, "`internal_error`: a defect; see the daemon's log.")
_BODY = (
    Reply(408, "`too_slow`: the body did not arrive in time."),
    Reply(413, f"`too_large`: the body is longer than {BODY_BYTES_MAX:,} bytes."),
    Reply(415, "`unsupported_media_type`: the body is of another media type."),
)


def replies_of(operation: Operation) -> tuple[Reply, ...]:
    """Every answer that may come, also those that many have in common."""
    shared = [_HOST, _DEFECT]
    if not operation.open:
        shared.append(_TOKEN)
    if operation.body is not None:
        shared += _BODY
    return tuple(sorted((*operation.replies, *shared), key=lambda reply: reply.status))


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    kinds = list(_kinds())
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    found = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, found)
    bodies = {operation.body.__name__ for operation in OPERATIONS if operation.body is not None}
    known = {kind.__name__: kind for kind in _structs(kinds)}
    for name, schema in components.items():
        _complete(schema, known[name], answer=name not in bodies)
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "OpenSymphony, the operator's interface",
            "version": __version__,
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The daemon that serves this document"}],
        "security": [{_SCHEME: []}],
        "tags": [{"name": name, "description": meaning} for name, meaning in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                _SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "From the file `token` in the daemon's store.",
                }
            },
        },
    }
    return _portable(made)


def _kinds() -> Iterator[Any]:
    """Every type of the table, in the order in which `_operation` takes their schemas."""
    for operation in OPERATIONS:
        yield from (parameter.kind for parameter in operation.parameters)
        if operation.body is not None:
            yield operation.body
        yield from (reply.kind for reply in replies_of(operation))


def _operation(operation: Operation, schemas: Iterator[Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"operationId": operation.id, "tags": [operation.tag], "summary": operation.summary}
    if operation.detail:
        made["description"] = operation.detail
    if operation.parameters:
        made["parameters"] = [_parameter(parameter, next(schemas)) for parameter in operation.parameters]
    if operation.body is not None:
        content = {operation.body_media_type: {"schema": next(schemas)}}
        made["requestBody"] = {"required": operation.body_media_type != JSON, "content": content}
    responses: dict[str, dict[str, Any]] = {}
    for reply in replies_of(operation):
        content = {reply.media_type: {"schema": next(schemas)}}
        responses[str(reply.status)] = {"description": reply.meaning, "content": content}
    made["responses"] = responses
    if operation.open:
        made["security"] = []
    return made


def _parameter(parameter: Parameter, schema: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": parameter.name, "in": parameter.where, "description": parameter.meaning}
    return {**made, "required": parameter.where == "path", "schema": schema}


def _structs(kinds: list[Any]) -> Iterator[type[Struct]]:
    """Every Struct that these types are made of."""
    seen: set[type[Struct]] = set()
    waiting = list(types.multi_type_info(kinds))
    while waiting:
        one = waiting.pop()
        if isinstance(one, types.StructType):
            if one.cls in seen:
                continue
            seen.add(one.cls)
            yield one.cls
            waiting += [field.type for field in one.fields]
        elif isinstance(one, types.UnionType):
            waiting += one.types
        elif isinstance(one, types.VarTupleType | types.ListType):
            waiting.append(one.item_type)
        elif isinstance(one, types.TupleType):
            waiting += one.item_types
        elif isinstance(one, types.DictType):
            waiting.append(one.value_type)


def _complete(schema: dict[str, Any], kind: type[Struct], *, answer: bool) -> None:
    """Say of each field what its source says; an answer has every field, whatever its default."""
    meanings = field_meanings(kind)
    for name, field in schema.get("properties", {}).items():
        if name in meanings:
            field["description"] = meanings[name]
        if answer and not kind.__struct_config__.omit_defaults:
            field.pop("default", None)
    if answer and not kind.__struct_config__.omit_defaults:
        left_out = {field.encode_name for field in structs.fields(kind) if field.default is UNSET}
        schema["required"] = [name for name in schema["properties"] if name not in left_out]


def field_meanings(kind: type[Struct]) -> dict[str, str]:
    """The sentence below each field in the source; nothing where there is no source."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if not (
            isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr)
        ):
            continue
        if isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            found[field.target.id] = inspect.cleandoc(below.value.value).replace("\n", " ")
    return found


def _portable(node: Any) -> Any:
    """Python's `\\Z` is the `$` of everybody else."""
    if isinstance(node, dict):
        items = cast("dict[str, Any]", node).items()
        return {key: value.replace(r"\Z", "$") if key == "pattern" else _portable(value) for key, value in items}
    return [_portable(one) for one in cast("list[Any]", node)] if isinstance(node, list) else node
