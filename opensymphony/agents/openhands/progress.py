"""Whether an agent gets anywhere, as far as its own events show: steps, changes, and the same step over and over.

Actions and their answers go in one by one; three counters come out, on which the scheduler's limits are set. Each event costs
the same however long the history is, and what is kept is bounded. What a command changed without saying so is not seen here.
"""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

from opensymphony.agents.openhands.messages import Answer, Event, arguments, read_answer
from opensymphony.failing_tests import named_failures

_OPEN_MAX = 256
_KNOWN_MAX = 256
_TEXT_MAX = 16_384
"""Of each answer that is compared, and that much again of its end."""
_STILL_RUNS = -1
"""The exit code of a command that goes on in its shell."""
_CUT_OFF = ("Tool call interrupted", "A restart occurred")
"""How the server answers for a call that it did not carry out to its end: no doing of the agent's."""
_EDITORS = frozenset({"FileEditorObservation", "PlanningFileEditorObservation"})
_EDITS = frozenset({"create", "str_replace", "insert", "undo_edit"})
_WRITERS = frozenset({"EditObservation", "WriteFileObservation", "ApplyPatchObservation"})

_CHANGING = re.compile(
    r"0x[0-9a-f]+"
    r"|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"
    r"|\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?)?"
    r"|\b\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?\b"
    r"|\b\d+(?:[.,]\d+)? ?(?:ns|us|\u00b5s|ms|s|secs?|seconds?|mins?|minutes?)\b"
    r"|\bpid\W{0,3}\d+"
    r"|\b\d{9,}\b",
    re.IGNORECASE,
)
"""Addresses, ids, dates, times of day and durations: they differ between two answers that say the same."""


class _Last(Struct, frozen=True):
    call: bytes
    text: str
    rest: bytes


class Progress:
    """The counters of one conversation."""

    def __init__(self) -> None:
        self.actions = 0
        """Steps so far."""
        self.changes = 0
        """How often a file, the plan or the set of failing tests became another one."""
        self.repeats = 0
        """How often in a row the newest answered step was made with the same answer; 1 for a new one."""
        self._open: dict[str, bytes] = {}
        self._last: _Last | None = None
        self._known: dict[bytes, bytes] = {}
        self._failing = b""

    def act(self, event: Event) -> None:
        """The agent made a step."""
        self.actions += 1
        if event.tool_call_id:
            self._open[event.tool_call_id] = _digest((event.tool_name or "").encode(), arguments(event))
            _shorten(self._open, _OPEN_MAX)

    def answered(self, event: Event) -> None:
        """A step has its answer."""
        call = self._open.pop(event.tool_call_id or "", None)
        answer = read_answer(event)
        if answer.failed and answer.text.startswith(_CUT_OFF):
            return
        if not answer.failed:
            self.changes += self._is_change(answer)
        if call is not None:
            self._compare(call, answer)

    def _compare(self, call: bytes, answer: Answer) -> None:
        if answer.exit_code == _STILL_RUNS and not answer.command:
            # Waiting for a command that goes on is no new step and no repetition: how long it may is another limit's matter.
            self._last, self.repeats = None, 1
            return
        text = answer.text
        if len(text) > 2 * _TEXT_MAX:
            text = text[:_TEXT_MAX] + text[-_TEXT_MAX:]
        last, self._last = self._last, _Last(call, text, answer.rest)
        same = last is not None and last.call == call and last.rest == answer.rest
        if same and last is not None and (last.text == text or _steady(last.text) == _steady(text)):
            self.repeats += 1
        else:
            self.repeats = 1

    def _is_change(self, answer: Answer) -> bool:
        match answer.kind:
            case kind if kind in _WRITERS or (kind in _EDITORS and answer.command in _EDITS):
                if not answer.after:
                    return True
                # A file that is made again as it was has not changed.
                return self._differs(f"file {answer.path}".encode(), answer.after) and answer.before != answer.after
            case "TaskTrackerObservation" if answer.command == "plan":
                return self._differs(b"plan", answer.plan)
            case "TerminalObservation":
                return self._tests_differ(answer)
            case _:
                return False

    def _tests_differ(self, answer: Answer) -> bool:
        """Whether other tests fail than when this command named some last; a new command, than any command did."""
        named = named_failures(answer.text[-2 * _TEXT_MAX :])
        what = b"tests " + _digest(answer.command.encode())
        if not named and (what not in self._known or answer.exit_code != 0):
            return False
        failing = _digest("\n".join(sorted(named)).encode())
        is_new = what not in self._known
        differs = self._differs(what, failing)
        before, self._failing = self._failing, failing
        return differs and not (is_new and failing == before)

    def _differs(self, what: bytes, content: bytes) -> bool:
        digest = _digest(content)
        before = self._known.pop(what, None)
        self._known[what] = digest
        _shorten(self._known, _KNOWN_MAX)
        return before != digest


def _digest(*parts: bytes) -> bytes:
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.digest()


def _steady(text: str) -> str:
    return _CHANGING.sub("#", text)


def _shorten(kept: dict[str, bytes] | dict[bytes, bytes], entries_max: int) -> None:
    if len(kept) > entries_max:
        del kept[next(iter(kept))]  # pyright: ignore[reportArgumentType]
