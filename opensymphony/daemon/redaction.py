"""Takes every text out of records and states and keeps their shape, so that a journal can be shown to others.

What a text means is known from its place: the type or the name of its field (`_MEANINGS`); where neither says anything, it
is taken out. Equal texts become equal placeholders and different ones different, tickets keep their order, states and labels
are compared as before, and a blank stays blank: the scheduler decides the same from what is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from msgspec import Struct

from opensymphony.model import CommandKey, ConversationId, TicketId, Verification
from opensymphony.scheduler.comments import read_instruction
from opensymphony.scheduler.eligibility import GONE, limits_of
from opensymphony.scheduler.progress import failing_tests

S = TypeVar("S", bound=Struct)

Meaning = Literal[
    "text",
    "keep",
    "word",
    "date",
    "ticket",
    "identifier",
    "key",
    "conversation",
    "state",
    "label",
    "limit",
    "mark",
    "output",
    "account",
    "instruction",
    "digest",
]

_NAMED: dict[object, Meaning] = {TicketId: "ticket", CommandKey: "key", ConversationId: "conversation"}
"""What the types of the model say."""

_MEANINGS: dict[str, Meaning] = {
    "identifier": "identifier",
    "state": "state",
    "active_states": "state",
    "terminal_states": "state",
    "unblocking_states": "state",
    "from_states": "state",
    "to_state": "state",
    "TransitionsPolicy.started": "state",
    "TransitionsPolicy.succeeded": "state",
    "TransitionsPolicy.needs_attention": "state",
    "labels": "label",
    "required_labels": "label",
    "resting_mark": "mark",
    "TicketTracked.was": "state",
    "Verification.output_tail": "output",
    "State.running": "limit",
    "instructions_from": "account",
    "TicketComment.author": "account",
    "TicketComment.text": "instruction",
    "digest": "digest",
    "granted": "digest",
    "hold": "word",
    "kind": "word",
    "AgentFailure.code": "word",
    "HookResult.name": "word",
    "version": "word",
    "server_version": "word",
    "day": "date",
    "created_at": "date",
    "updated_at": "date",
}
"""What the names of fields say, with or without the name of their class."""

_KEY_MEANINGS: dict[str, Meaning] = {
    "max_concurrent_agents_by_state": "state",
    "max_concurrent_agents_by_label": "label",
    "State.ready": "limit",
    "State.occupied": "limit",
    "Run.timers": "keep",
}
"""The same for the keys of tables."""

_HEAPS: dict[str, tuple[Meaning, ...]] = {
    "State.ready": ("keep", "keep", "identifier", "ticket", "keep"),
    "State.timers": ("keep", "keep", "keep", "ticket", "keep"),
}
"""Items of heaps, place by place."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T[0-9:.]{5,15}(Z|[+-]\d\d:?\d\d)?)?")
_DIGEST = re.compile(r"[0-9a-fA-F]{1,64}")
_SEPARATOR = "\x1f"

Rewrite = Callable[[str], str]


class Rewriter:
    """Leads every text through the method of its meaning. This one changes nothing; what is derived from it does."""

    def __init__(self) -> None:
        self._fields: dict[type, list[tuple[str, Callable[[Any], Any] | None]]] = {}

    def rewritten(self, value: S) -> S:
        """The same record, event, decision or state, with other texts."""
        fields = self._fields.get(type(value))
        if fields is None:
            fields = self._fields[type(value)] = self._of_class(type(value))
        changed: dict[str, Any] = {}
        for name, rewrite in fields:
            found = getattr(value, name)
            changed[name] = found if rewrite is None else rewrite(found)
        return type(value)(**changed)

    def text(self, value: str) -> str:
        return value

    def ticket(self, value: str) -> str:
        return value

    def identifier(self, value: str) -> str:
        return value

    def conversation(self, value: str) -> str:
        return value

    def state(self, value: str) -> str:
        return value

    def label(self, value: str) -> str:
        return value

    def output(self, value: str) -> str:
        """What a failed check said: which tests failed is compared."""
        return self.text(value)

    def account(self, value: str) -> str:
        """Compared without case; `*` is everybody."""
        return value if value == "*" else self.text(value.casefold())

    def instruction(self, value: str) -> str:
        """What somebody says on a ticket: a verb at its beginning is decided by."""
        said = read_instruction(value)
        if not said.verb:
            return self.text(value)
        return " ".join(filter(None, (f"/{said.verb}", said.digest, self.text(said.text))))

    def digest(self, value: str) -> str:
        """Names what was asked for; its beginning is compared."""
        return value if _DIGEST.fullmatch(value) else self.text(value)

    def keep(self, value: str) -> str:
        return value

    def word(self, value: str) -> str:
        """One of ours, as far as it looks like one."""
        return value if _WORD.fullmatch(value) else self.text(value)

    def date(self, value: str) -> str:
        return value if _DATE.fullmatch(value) else self.text(value)

    def key(self, value: str) -> str:
        ticket, mark, rest = value.rpartition("#")
        return f"{self.ticket(ticket)}{mark}{rest}"

    def limit(self, value: str) -> str:
        """A capacity class, such as `state todo`."""
        single = (one.partition(" ") for one in limits_of(value))
        return _SEPARATOR.join(
            f"{kind} {self.state(name) if kind == 'state' else self.label(name)}" for kind, _, name in single
        )

    def mark(self, value: str) -> str:
        """State, title, description, labels and assignee, as `eligibility.resting_mark` joins them."""
        parts = value.split(_SEPARATOR)
        if len(parts) != 5:
            return self.text(value)
        state, title, description, labels, assignee = parts
        labels = ",".join(self.label(label) for label in labels.split(",")) if labels else ""
        return _SEPARATOR.join(
            (self.state(state), self.text(title), self.text(description), labels, self.text(assignee))
        )

    def _of_class(self, cls: type) -> list[tuple[str, Callable[[Any], Any] | None]]:
        return [(name, self._of_field(cls, name, hint)) for name, hint in get_type_hints(cls).items()]

    def _of_field(self, cls: type, name: str, hint: Any) -> Callable[[Any], Any] | None:
        """How the field's value is rewritten; None: it holds no text."""
        values, keys = _leaves(hint)
        if not values - {int, float, bool, type(None)} and not keys:
            return None
        full = f"{cls.__name__}.{name}"
        if full in _HEAPS:
            items = tuple(self._method(meaning) for meaning in _HEAPS[full])
            key = self._method(_KEY_MEANINGS.get(full, "keep"))
            return lambda found: _heaps(found, items, key)
        value = self._method(_meaning(values, _MEANINGS.get(full) or _MEANINGS.get(name)))
        key = self._method(_meaning(keys, _KEY_MEANINGS.get(full) or _KEY_MEANINGS.get(name)))
        return lambda found: self._walked(found, value, key)

    def _method(self, meaning: Meaning) -> Rewrite:
        return getattr(self, meaning)

    def _walked(self, found: Any, value: Rewrite, key: Rewrite) -> Any:
        if isinstance(found, str):
            return value(found) if found and not found.isspace() else found
        if isinstance(found, Struct):
            return self.rewritten(found)
        if isinstance(found, tuple | list):
            walked = [self._walked(item, value, key) for item in cast("list[Any]", found)]
            return walked if isinstance(found, list) else tuple(walked)
        if isinstance(found, dict):
            table = cast("dict[str, Any]", found)
            return {key(name) if name else name: self._walked(item, value, key) for name, item in table.items()}
        return found


def _heaps(found: Any, items: tuple[Rewrite, ...], key: Rewrite) -> Any:
    if isinstance(found, dict):
        table = cast("dict[str, Any]", found)
        return {key(name) if name else name: _heaps(heap, items, key) for name, heap in table.items()}
    heap = cast("list[tuple[Any, ...]]", found)
    return [
        tuple(rewrite(part) if isinstance(part, str) else part for rewrite, part in zip(items, item, strict=True))
        for item in heap
    ]


def _leaves(hint: Any) -> tuple[set[Any], set[Any]]:
    """The types of the values that a field can hold, and of the keys of its tables."""
    if get_origin(hint) is Literal:
        return set(), set()
    arguments = get_args(hint)
    if not arguments:
        return {hint}, set()
    values, keys = set[Any](), set[Any]()
    is_table = get_origin(hint) is dict
    for at, argument in enumerate(arguments):
        if argument is Ellipsis:
            continue
        inner, inner_keys = _leaves(argument)
        keys |= inner_keys
        if is_table and at == 0:
            keys |= inner
        else:
            values |= inner
    return values, keys


def _meaning(types: set[Any], said: Meaning | None) -> Meaning:
    for kind in types:
        if kind in _NAMED:
            return _NAMED[kind]
    return said or "text"


class Names(Rewriter):
    """Learns every ticket, so that placeholders can keep their order."""

    def __init__(self) -> None:
        super().__init__()
        self.tickets: set[str] = set()
        self.identifiers: set[str] = set()

    def ticket(self, value: str) -> str:
        self.tickets.add(value)
        return value

    def identifier(self, value: str) -> str:
        self.identifiers.add(value)
        return value


class Redactor(Rewriter):
    """Puts placeholders in the place of texts. What `names` has not seen is a text like any other."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._tickets = _ranked("id", names.tickets)
        self._identifiers = _ranked("KEY", names.identifiers)
        self._texts: dict[bytes, int] = {}
        """Numbers of texts, by their digest: a journal's texts together may be bigger than the memory."""
        self._conversations: dict[str, str] = {}
        self._compared: dict[str, list[str]] = {}
        self._numbers: dict[str, dict[str, int]] = {"state": {}, "label": {}}

    def text(self, value: str) -> str:
        """A word for the text, as long as the power of two below its length; without digits, which a check's output loses."""
        if value.isspace() or not value:
            return value
        digest = sha256(value.encode("utf-8", "surrogatepass")).digest()[:16]
        word = f"text-{_letters(self._texts.setdefault(digest, len(self._texts)))}"
        return word.ljust(1 << (len(value).bit_length() - 1), "_")

    def ticket(self, value: str) -> str:
        return self._tickets.get(value) or self.text(value)

    def identifier(self, value: str) -> str:
        return self._identifiers.get(value) or self.text(value)

    def conversation(self, value: str) -> str:
        number = len(self._conversations) + 1
        return self._conversations.setdefault(value, f"00000000-0000-5000-8000-{number:012d}")

    def state(self, value: str) -> str:
        return value if value == GONE else self._spelled("state", value)

    def label(self, value: str) -> str:
        return self._spelled("label", value)

    def output(self, value: str) -> str:
        said = Verification(passed=False, exit_code=1, output_tail=value, duration_ms=0)
        return "\n".join(f"FAILED {self.text(name)}" for name in sorted(failing_tests(said)))

    def _spelled(self, kind: str, value: str) -> str:
        """Compared without case and outer blanks, but every spelling is another text."""
        numbers = self._numbers[kind]
        plain = value.strip().casefold()
        number = numbers.setdefault(plain, len(numbers) + 1)
        name = f"{kind}-{number}"
        if value == value.strip().lower():
            return name
        spellings = self._compared.setdefault(name, [])
        if value not in spellings:
            spellings.append(value)
        return _capitalised(name, spellings.index(value) + 1)


class Shaper(Rewriter):
    """Leaves nothing of a text but whether there is one: what is left of two decisions can be compared."""

    def text(self, value: str) -> str:
        return "*"

    def conversation(self, value: str) -> str:
        return "*"

    def mark(self, value: str) -> str:
        return "*"


def _ranked(prefix: str, names: set[str]) -> dict[str, str]:
    digits = max(4, len(str(len(names))))
    return {name: f"{prefix}-{rank:0{digits}d}" for rank, name in enumerate(sorted(names), 1)}


def _letters(number: int) -> str:
    letters = ""
    while True:
        number, letter = divmod(number, 26)
        letters = chr(ord("a") + letter) + letters
        if not number:
            return letters


def _capitalised(name: str, number: int) -> str:
    """Another spelling of the name for every number from 1 on."""
    blanks, capitals = divmod(number - 1, 31)
    capitals += 1
    return "".join(char.upper() if capitals >> at & 1 else char for at, char in enumerate(name)) + " " * blanks
