"""The text of a WORKFLOW.md, taken apart.

In: the file's bytes or text. Out: a `Document` (front matter as placed values, and the prompt), or problems with lines.
YAML 1.2: `yes` is a text, a doubled key is an error. We read ruamel's events and build the values ourselves: every value
keeps its line, no tag makes an object, and size, depth and what aliases multiply are limited.
"""

from __future__ import annotations

import re
from typing import Any, cast

from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from opensymphony.errors import Problem
from opensymphony.model import encodable
from opensymphony.schema import Placed, Scalar

FILE_BYTES_MAX = 1_048_576
FRONT_MATTER_CHARS_MAX = 262_144
NODES_MAX = 20_000
"""About a second of parsing; a large policy has two hundred."""
DEPTH_MAX = 32
"""The scanner's time grows with the square of the depth; the deepest key of a policy is at 6."""

PARSE_ERROR = "workflow_parse_error"
NOT_A_MAP = "workflow_front_matter_not_a_map"

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_BASED_INTEGER = re.compile(r"0o[0-7]{1,18}|0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,18}|[0-9]{1,18}(?:\.[0-9]{0,18})?)(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_CORE = "tag:yaml.org,2002:"


class Document(Struct, frozen=True, kw_only=True):
    """A WORKFLOW.md in its two parts."""

    front: Placed
    """Always a mapping; empty when there is no front matter."""
    prompt: str
    prompt_line: int
    """Line of the file on which the prompt starts."""
    has_front_matter: bool


class _Bad(Exception):
    """Parsing cannot go on: message and the character where it stopped."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index


def parse(data: bytes | str, file: str) -> tuple[Document | None, tuple[Problem, ...]]:
    """Take a file apart. Never raises: whatever the text is, what is wrong with it comes back as problems."""
    text = _decoded(data)
    if isinstance(text, tuple):
        return None, (Problem(file=file, message=text[0], line=text[1], code=PARSE_ERROR),)
    lines = text.split("\n")
    if lines[0] != "---":
        if lines[0].strip() == "---":
            message = "the front matter must start with --- alone: take the spaces off this line"
            return None, (Problem(file=file, message=message, line=1, code=PARSE_ERROR),)
        return Document(front=Placed({}, None), prompt=text.strip(), prompt_line=1, has_front_matter=False), ()
    if "---" not in lines[1:]:
        message = "the front matter that starts here has no end: put a line with --- alone below it"
        return None, (Problem(file=file, message=message, line=1, code=PARSE_ERROR),)
    end = lines.index("---", 1)
    front, problems = _front_matter("\n".join(lines[1:end]), file)
    if front is None:
        return None, problems
    body = lines[end + 1 :]
    blank = next((at for at, line in enumerate(body) if line.strip()), 0)
    prompt = "\n".join(body[blank:]).rstrip()
    document = Document(front=front, prompt=prompt, prompt_line=end + 2 + blank, has_front_matter=True)
    return document, problems


def line_of(front: Placed, key: str) -> int | None:
    """The line on which a key such as `budget.day.cost` stands, or the nearest section around it that is there."""
    line, place = None, front
    for name in key.split("."):
        inside = place.value.get(name) if isinstance(place.value, dict) else None
        if inside is None:
            break
        line, place = inside.line, inside
    return line


def _decoded(data: bytes | str) -> str | tuple[str, int | None]:
    """The text with plain line ends, or what is wrong with it and where."""
    size = len(data) if isinstance(data, bytes) else len(data.encode("utf-8", "surrogatepass"))
    if size > FILE_BYTES_MAX:
        return f"the file has {size} bytes, more than the {FILE_BYTES_MAX} allowed: shorten it", None
    try:
        text = (data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")).decode("utf-8")
    except UnicodeDecodeError as error:
        return "is not UTF-8 text: save the file as UTF-8", error.object.count(b"\n", 0, error.start) + 1
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _front_matter(text: str, file: str) -> tuple[Placed | None, tuple[Problem, ...]]:
    if len(text) > FRONT_MATTER_CHARS_MAX:
        message = f"the front matter has more than {FRONT_MATTER_CHARS_MAX} characters: shorten it"
        return None, (Problem(file=file, message=message, line=1, code=PARSE_ERROR),)
    builder = _Builder(text, file)
    try:
        root = builder.document()
    except (_Bad, YAMLError, RecursionError, ValueError, IndexError) as error:
        message, index = _explained(error)
        line = text.count("\n", 0, index) + 2 if index is not None else None
        return None, (Problem(file=file, message=message, line=line, code=PARSE_ERROR),)
    if root.value is None:
        root = Placed({}, root.line)
    if not isinstance(root.value, dict):
        message = "the front matter must be a map of keys, such as tracker: and agent:"
        return None, (*builder.problems, Problem(file=file, message=message, line=root.line, code=NOT_A_MAP))
    return (None if builder.problems else root), tuple(builder.problems)


def _explained(error: Exception) -> tuple[str, int | None]:
    if isinstance(error, _Bad):
        return str(error), error.index
    if isinstance(error, MarkedYAMLError):
        marked = cast("Any", error)
        parts = [str(part) for part in (marked.context, marked.problem) if part]
        mark = marked.problem_mark or marked.context_mark
        message = ", ".join(" ".join(part.split()) for part in parts)
        return f"not readable as YAML: {message[:200]}", mark.index if mark is not None else None
    if isinstance(error, ReaderError):
        found = cast("Any", error)
        return f"a character that YAML does not allow (code {found.character}): delete it", int(found.position)
    return "not readable as YAML: simplify it", None


class _Builder:
    """Turns parser events into placed values."""

    def __init__(self, text: str, file: str) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._file = file
        # ruamel's own types leave the events open; each attribute used below is checked by the tests.
        self._events: Any = cast("Any", YAML(typ="safe", pure=True)).parse(text)
        self._anchors: dict[str, tuple[Placed, int]] = {}
        self._nodes = 0
        self._last_index = 0
        self._last_line = 2

    def document(self) -> Placed:
        """The only document of the stream."""
        root: Placed | None = None
        for event in self._events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                if root is not None:
                    raise _Bad("a second YAML document starts here: keep one", event.start_mark.index)
                root = self._node(next(self._events), 0, "")
        return root or Placed(None, 2)

    def _line(self, event: Any) -> int:
        """Counted as editors count: ruamel also counts rarer separators. Events come in order, so each part is read once."""
        index = int(event.start_mark.index)
        if index < self._last_index:
            return self._text.count("\n", 0, index) + 2
        self._last_line += self._text.count("\n", self._last_index, index)
        self._last_index = index
        return self._last_line

    def _node(self, event: Any, depth: int, path: str) -> Placed:
        index = int(event.start_mark.index)
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise _Bad(f"more than {NODES_MAX} values, counting what aliases repeat: shorten it", index)
        if depth > DEPTH_MAX:
            raise _Bad(f"nested deeper than {DEPTH_MAX} levels: simplify it", index)
        line = self._line(event)
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event, line, index)
        before = self._nodes
        if kind == "ScalarEvent":
            placed = Placed(_scalar(event, index), line)
        elif kind == "SequenceStartEvent":
            placed = Placed(tuple(self._items(depth, path)), line)
        else:
            placed = Placed(self._mapping(depth, path), line)
        if event.anchor:
            self._anchors[str(event.anchor)] = (placed, self._nodes - before + 1)
        return placed

    def _alias(self, event: Any, line: int, index: int) -> Placed:
        found = self._anchors.get(str(event.anchor))
        if found is None:
            raise _Bad(f"alias *{event.anchor} has no finished anchor &{event.anchor} above it", index)
        self._nodes += found[1]
        return Placed(found[0].value, line)

    def _items(self, depth: int, path: str) -> list[Placed]:
        items: list[Placed] = []
        for event in self._events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            items.append(self._node(event, depth + 1, f"{path}[{len(items)}]"))
        return items

    def _mapping(self, depth: int, path: str) -> dict[str, Placed]:
        entries: dict[str, Placed] = {}
        for event in self._events:
            kind = type(event).__name__
            if kind == "MappingEndEvent":
                break
            index = int(event.start_mark.index)
            if kind != "ScalarEvent":
                raise _Bad("a key must be a plain text", index)
            key, line = _whole(str(event.value), index), self._line(event)
            full = f"{path}.{key}" if path else key
            value = self._node(next(self._events), depth + 1, full)
            if key == "<<":
                raise _Bad("merge keys (<<) are not part of YAML 1.2: repeat the keys", index)
            if key in entries:
                message = f"doubled key: it stands on line {entries[key].line} already; delete one"
                self.problems.append(Problem(file=self._file, message=message, key=full, line=line, code=PARSE_ERROR))
            else:
                entries[key] = Placed(value.value, line)
        return entries


def _whole(text: str, index: int) -> str:
    """Escapes can spell half a character, which neither the journal nor a terminal can hold."""
    joined = encodable(text)
    if joined.count("\ufffd") > text.count("\ufffd"):
        raise _Bad("holds half a character (an escape such as \\ud83d): write the character itself", index)
    return joined


def _scalar(event: Any, index: int) -> Scalar:
    """The value by YAML 1.2's core schema; what does not look like anything else is a text."""
    text = _whole(str(event.value), index)
    tag = str(event.tag) if event.tag is not None else None
    if tag in ("!", _CORE + "str") or (tag is None and not event.implicit[0]):
        return text
    if tag is not None and tag.removeprefix(_CORE) not in ("int", "float", "bool", "null"):
        raise _Bad(f"the tag {tag[:40]} is not allowed: delete it", index)
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED_INTEGER.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text
