"""From what a person wrote to a typed value: one loader, one expansion syntax, every problem at once.

In: a tree of `Placed` values (from YAML or TOML) and a Struct type. Out: the Struct, or problems with file, key and line.
The Struct is the schema: its types, its `Meta` limits, and in `Meta(extra={"as": ...})` how a text is meant:

    path      `~` and a relative path are resolved      location   a path or an address, as git takes it
    name      the name of an environment variable       verbatim   a script or template, never expanded
    value     expanded, may be empty                    (nothing)  expanded, trimmed, not empty
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct, inspect

from opensymphony.errors import Problem
from opensymphony.model import encodable

S = TypeVar("S", bound=Struct)

Scalar = None | bool | int | float | str

INTEGER_DIGITS_MAX = 18
SHOWN_CHARS_MAX = 40

_WHOLE_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER = re.compile(rf"[+-]?[0-9]{{1,{INTEGER_DIGITS_MAX}}}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,2})?")
_SECRET_WORD = re.compile(
    r"(?:^|_)(?:(?:api|access|private|secret|session|signing)_?key|token|secret|password|passwd|credentials?|authorization|cookie)$",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/\s]+:|[A-Za-z0-9-]+::")


class Placed(Struct, frozen=True):
    """A value and the line on which its key stands."""

    value: Scalar | tuple[Placed, ...] | dict[str, Placed]
    line: int | None = None


class Surroundings(Struct, frozen=True, kw_only=True):
    """What a file may refer to without naming it."""

    environment: Mapping[str, str]
    home: str
    directory: str
    """Absolute; relative paths start here."""
    knows_zone: Callable[[str], bool] | None = None
    """Whether there is a time zone of that name; None: nobody can tell."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What is said about a key that has no field."""

    code: str
    message: str
    severity: str = "warning"


class _Wrong(Exception):
    """A value cannot be used; the text says why."""

    def __init__(self, message: str, code: str = "bad_value") -> None:
        super().__init__(message)
        self.code = code


class _Failed:
    """Stands for a value that could not be read; its problem has been noted."""


FAILED = _Failed()


def looks_secret(key: str) -> bool:
    """Whether a key's last word says that its value is a credential; a name ending in `_env` only names one."""
    return _SECRET_WORD.search(key.rpartition(".")[2]) is not None


def variable_in(text: str) -> str | None:
    """NAME of a text that is `$NAME` or `${NAME}` as a whole."""
    match = _WHOLE_VARIABLE.fullmatch(text.strip())
    return (match[1] or match[2]) if match else None


def is_path(location: str) -> bool:
    """Whether git would read this as a path of this machine: no scheme, and no `host:` before the first slash."""
    return location.startswith(("/", "~", ".")) or not _ADDRESS.match(location)


def absolute_path(text: str, around: Surroundings) -> str:
    """Resolve `~` and a relative path, without looking at the disk."""
    if text == "~" or text.startswith("~/"):
        text = posixpath.join(around.home, text[2:])
    elif text.startswith("~"):
        raise ValueError("only ~ itself is known, not another user's home: write the path in full")
    if "\0" in text:
        raise ValueError("a path cannot hold a NUL character")
    path = posixpath.normpath(posixpath.join(around.directory, text))
    if encodable(path) != path:
        raise ValueError("the path is not UTF-8 text: choose a directory whose name is")
    return "/" + path.lstrip("/")


class Reader:
    """Reads Structs out of placed values and notes every problem on the way."""

    def __init__(self, file: str, around: Surroundings, verdict: Callable[[str], Verdict | None] | None = None) -> None:
        self.file = file
        self.around = around
        self.problems: list[Problem] = []
        self.lines: dict[str, int | None] = {}
        """Where each key stands, by its full path."""
        self._verdict = verdict
        self._paths: tuple[str, ...] = ()

    def note(
        self,
        key: str | None,
        message: str,
        *,
        line: int | None = None,
        code: str | None = None,
        severity: str = "error",
    ) -> None:
        """Add a problem; without `line` it is put where the key, or the nearest section above it, stands."""
        place = line if line is not None else self._line_of(key)
        level = "warning" if severity == "warning" else "error"
        self.problems.append(
            Problem(file=self.file, message=message, key=key, line=place, severity=level, code=code or "bad_value")
        )

    def failed(self, *keys: str) -> bool:
        """Whether an error was noted at one of these keys or below it: what follows from it need not be said."""
        noted = [problem.key or "" for problem in self.problems if problem.severity == "error"]
        return any(key == at or at.startswith((f"{key}.", f"{key}[")) for key in keys for at in noted)

    def read(self, type_: type[S], placed: Placed) -> S | None:
        """The Struct; what could not be read has its default, so that the rest can still be checked.

        None when a part without a default could not be read. Whether there were errors is in `problems`.
        """
        info = cast("inspect.StructType", inspect.type_info(type_))
        self._paths = tuple(key_paths(type_))
        result = self._struct(info, placed, "")
        return None if isinstance(result, _Failed) else cast("S", result)

    def _line_of(self, key: str | None) -> int | None:
        while key:
            if (line := self.lines.get(key)) is not None:
                return line
            key = key.rpartition(".")[0]
        return None

    def _struct(self, info: inspect.StructType, placed: Placed, path: str) -> object:
        if not isinstance(placed.value, dict):
            raise _Wrong(f"must be a section with keys of its own, not {shown(placed.value)}")
        fields = {field.encode_name: field for field in info.fields}
        values: dict[str, object] = {}
        for key, child in placed.value.items():
            full = f"{path}.{key}" if path else key
            self.lines[full] = child.line
            if key not in fields:
                self._unknown(full, key, tuple(fields))
            elif child.value is not None:
                value = self._guarded(fields[key].type, child, full)
                if not isinstance(value, _Failed) or fields[key].required:
                    values[fields[key].name] = value
        for key, field in fields.items():
            if field.name not in values and field.required:
                full = f"{path}.{key}" if path else key
                self.note(full, "is missing", code="missing_key")
                values[field.name] = FAILED
        if any(isinstance(value, _Failed) for value in values.values()):
            return FAILED
        return info.cls(**values)

    def _unknown(self, full: str, key: str, siblings: tuple[str, ...]) -> None:
        verdict = self._verdict(full) if self._verdict else None
        if verdict is None:
            near = self._nearest(key, full, siblings)
            hint = f": did you mean {near}?" if near else ": it has no effect"
            verdict = Verdict(code="unknown_key", message=f"unknown key{hint}")
        self.note(full, verdict.message, code=verdict.code, severity=verdict.severity)

    def _nearest(self, key: str, full: str, siblings: tuple[str, ...]) -> str | None:
        section = full.rpartition(".")[0]
        if close := difflib.get_close_matches(key.lower()[:80], siblings, 1, 0.6):
            return f"{section}.{close[0]}" if section else close[0]
        elsewhere = [path for path in self._paths if path.rpartition(".")[2] == key]
        return elsewhere[0] if elsewhere else None

    def _guarded(self, type_: inspect.Type, placed: Placed, path: str) -> object:
        try:
            return self._value(type_, placed, path)
        except _Wrong as wrong:
            self.note(path, str(wrong), line=placed.line, code=wrong.code)
            return FAILED

    def _value(self, type_: inspect.Type, placed: Placed, path: str, meaning: str = "") -> object:
        match type_:
            case inspect.Metadata():
                return self._value(type_.type, placed, path, _meaning(type_))
            case inspect.UnionType():
                inner = next(kind for kind in type_.types if not isinstance(kind, inspect.NoneType))
                return self._value(inner, placed, path, meaning)
            case inspect.StructType():
                return self._struct(type_, placed, path)
            case inspect.VarTupleType():
                return self._tuple(type_, placed, path)
            case inspect.DictType():
                return self._dict(type_, placed, path)
            case inspect.AnyType():
                return self._any(placed, path)
            case inspect.StrType():
                return self._text(placed, meaning)
            case inspect.BoolType():
                return self._bool(placed)
            case inspect.IntType() | inspect.FloatType():
                return self._number(type_, placed)
            case inspect.LiteralType():
                return self._choice(type_, placed)
            case _:
                raise TypeError(f"{path}: no rule for {type_}")

    def _tuple(self, type_: inspect.VarTupleType, placed: Placed, path: str) -> object:
        if not isinstance(placed.value, tuple):
            raise _Wrong(f"must be a list, not {shown(placed.value)}")
        for at, item in enumerate(placed.value):
            self.lines[f"{path}[{at}]"] = item.line
        items = [self._guarded(type_.item_type, item, f"{path}[{at}]") for at, item in enumerate(placed.value)]
        return FAILED if any(isinstance(item, _Failed) for item in items) else tuple(items)

    def _dict(self, type_: inspect.DictType, placed: Placed, path: str) -> object:
        if not isinstance(placed.value, dict):
            raise _Wrong(f"must be a section with keys of its own, not {shown(placed.value)}")
        items: dict[str, object] = {}
        for key, child in placed.value.items():
            self.lines[f"{path}.{key}"] = child.line
            items[key] = self._guarded(type_.value_type, child, f"{path}.{key}")
        return FAILED if any(isinstance(item, _Failed) for item in items.values()) else items

    def _any(self, placed: Placed, path: str) -> object:
        """An adapter's own setting: kept as it is, but a secret stays a reference and never becomes a value."""
        if isinstance(placed.value, dict):
            return {key: self._any(child, f"{path}.{key}") for key, child in placed.value.items()}
        if isinstance(placed.value, tuple):
            return [self._any(child, f"{path}[{at}]") for at, child in enumerate(placed.value)]
        if looks_secret(path):
            if placed.value is None or (isinstance(placed.value, str) and variable_in(placed.value)):
                return placed.value
            raise _Wrong("must not stand in this file: write $NAME and put the secret in that environment variable")
        return self.expand(placed.value)[0] if isinstance(placed.value, str) else placed.value

    def expand(self, text: str) -> tuple[str, str]:
        """The text with a whole-value `$NAME` replaced, and what may be shown of it in a message."""
        name = variable_in(text)
        if name is None:
            return text, shown(text)
        if not (value := self.around.environment.get(name)):
            state = "is empty" if name in self.around.environment else "is not set"
            message = f"environment variable {name} {state}: set it, or write the value here"
            raise _Wrong(message, "missing_environment_variable")
        if encodable(value) != value:
            raise _Wrong(f"environment variable {name} is not UTF-8 text: correct it, or write the value here")
        return value, f"the value of ${name}"

    def _text(self, placed: Placed, meaning: str) -> str:
        if not isinstance(placed.value, str):
            quotes = ": put it in quotes" if isinstance(placed.value, int | float) else ""
            raise _Wrong(f"must be a text, not {shown(placed.value)}{quotes}")
        if meaning == "verbatim":
            return placed.value
        if meaning == "name":
            name = variable_in(placed.value) or placed.value.strip()
            if not _VARIABLE_NAME.fullmatch(name):
                raise _Wrong("must be the name of an environment variable, such as LLM_API_KEY")
            return name
        text, _ = self.expand(placed.value)
        if meaning == "value":
            return text
        text = text.strip()
        if not text:
            raise _Wrong("is empty: write a value, or leave the key out")
        if meaning == "path" or (meaning == "location" and is_path(text)):
            try:
                return absolute_path(text, self.around)
            except ValueError as error:
                raise _Wrong(str(error)) from None
        return text

    def _scalar(self, placed: Placed) -> tuple[Any, str]:
        if isinstance(placed.value, str):
            text, seen = self.expand(placed.value)
            return text.strip(), seen
        return placed.value, shown(placed.value)

    def _bool(self, placed: Placed) -> bool:
        value, seen = self._scalar(placed)
        if variable_in(str(placed.value)) and value in ("true", "false"):
            return value == "true"
        if not isinstance(value, bool):
            raise _Wrong(f"must be true or false, not {seen}")
        return value

    def _number(self, type_: inspect.IntType | inspect.FloatType, placed: Placed) -> int | float:
        value, seen = self._scalar(placed)
        whole = isinstance(type_, inspect.IntType)
        number: int | float | None = None
        if isinstance(value, str) and (_INTEGER if whole else _NUMBER).fullmatch(value):
            number = int(value) if whole else float(value)
        elif not isinstance(value, bool) and isinstance(value, int if whole else int | float):
            number = value
        low, high = type_.ge, type_.le
        if number is None or (low is not None and number < low) or (high is not None and number > high):
            raise _Wrong(f"must be a {'whole number' if whole else 'number'}{_limits(type_)}, not {seen}")
        return number if whole else float(number)

    def _choice(self, type_: inspect.LiteralType, placed: Placed) -> object:
        value, seen = self._scalar(placed)
        if value not in type_.values or isinstance(value, bool):
            raise _Wrong(f"must be one of {', '.join(map(str, type_.values))}, not {seen}")
        return value


def _meaning(type_: inspect.Metadata) -> str:
    extra: Any = cast("Any", type_).extra
    return str(extra["as"]) if extra and "as" in extra else ""


def _limits(type_: inspect.IntType | inspect.FloatType) -> str:
    if type_.ge is not None and type_.le is not None:
        return f" from {type_.ge:g} to {type_.le}"
    return f" of at least {type_.ge:g}" if type_.ge is not None else ""


def shown(value: object) -> str:
    """A value as it may stand in a message: short, on one line."""
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    short = text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"
    return msgspec.json.encode(short.encode("utf-8", "replace").decode()).decode() if isinstance(value, str) else short


def key_paths(type_: type[Struct]) -> list[str]:
    """Every key that a file may hold, by its full path; sections before what is in them."""
    return _paths(cast("inspect.StructType", inspect.type_info(type_)), "")


def _paths(info: inspect.StructType, prefix: str) -> list[str]:
    found: list[str] = []
    for field in info.fields:
        found.append(prefix + field.encode_name)
        inner = _section(field.type)
        if inner is not None:
            found += _paths(inner, f"{prefix}{field.encode_name}.")
    return found


def _section(type_: inspect.Type) -> inspect.StructType | None:
    if isinstance(type_, inspect.UnionType):
        return next((kind for kind in type_.types if isinstance(kind, inspect.StructType)), None)
    return type_ if isinstance(type_, inspect.StructType) else None
