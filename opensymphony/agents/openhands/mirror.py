"""What a conversation's log says: events go in one by one, live status, usage and last words come out.

Each event costs the same however long the history is, and what is kept is bounded. The log is the truth about status; the
server's own snapshots only confirm or correct it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from opensymphony.agents.openhands.messages import (
    Event,
    FullStateValue,
    Stats,
    finish_text,
    message_text,
    read,
    to_failure,
    to_status,
    to_usage,
    tool_names,
)
from opensymphony.agents.openhands.progress import Progress
from opensymphony.model import AgentFailure, AgentStatus, LogPosition, Usage
from opensymphony.workflow.policy import LlmPolicy

Change = Literal["status", "usage", "activity", "nothing"]

_FINAL_TEXT_MAX = 4_000
_SUMMARY_MAX = 200
_OPEN_CALLS_MAX = 256
_KEYS_MAX = 64
MARKER_START = "<!-- opensymphony:"
_MARKER = re.compile(MARKER_START + r"(\S+) -->\s*\Z")
_ANSWERS = frozenset({"ObservationEvent", "AgentErrorEvent", "UserRejectObservation"})


def marker(key: str) -> str:
    """The last line of a message of ours, by which it is recognised."""
    return f"{MARKER_START}{_printable(key)} -->"


def key_of(text: str) -> str | None:
    """The key that a message carries, as `marker` wrote it."""
    found = _MARKER.search(text)
    return found.group(1) if found else None


def without_marker(text: str) -> str:
    """A message of ours as it was written."""
    return _MARKER.sub("", text).strip()


def _printable(key: str) -> str:
    """No white space, and nothing that would end the comment."""
    return re.sub(r"\s|-->|%", lambda match: "".join(f"%{byte:02x}" for byte in match.group().encode()), key)


class Mirror:
    """The state of one conversation, folded from its log."""

    def __init__(self, prices: Callable[[], LlmPolicy] = LlmPolicy) -> None:
        """`prices`: of the model, for what its server calls free."""
        self._prices = prices
        self.last_seq = -1
        self.last_event_id = ""
        self.status: AgentStatus = "idle"
        self.status_seq = -1
        """Where in the log the status was set."""
        self.usage = Usage()
        self.final_text = ""
        """The agent's last words since the last message of a user."""
        self.failure: AgentFailure | None = None
        self.tools: tuple[str, ...] | None = None
        self.activity = ""
        self.progress = Progress()
        self._open_calls: dict[str, Event] = {}
        self._sent: dict[str, int] = {}

    @property
    def tool_open(self) -> bool:
        """Whether an action has no result yet, and somebody works on it."""
        return self.status == "running" and bool(self._open_calls)

    @property
    def open_calls(self) -> tuple[Event, ...]:
        """Actions without a result, oldest first; while a confirmation is waited for, those that it is about."""
        return tuple(self._open_calls.values())

    def begin_at(self, position: LogPosition) -> None:
        """Know of the log up to there no more than its end: no call is open there, or none that matters any more."""
        self.last_seq, self.last_event_id, self.usage = position.seq, position.event_id, position.usage

    def position_of(self, key: str) -> int | None:
        """Where in the log the message with this key is; None when it is not there, or is older than the newest 64."""
        return self._sent.get(_printable(key))

    def fold(self, seq: int, event: Event) -> Change:
        """Take in the next event, and say what it changed."""
        self.last_seq = seq
        self.last_event_id = event.id or self.last_event_id
        match event.kind:
            case "ConversationStateUpdateEvent":
                return self._fold_state(seq, event)
            case "MessageEvent":
                return self._fold_message(seq, event)
            case "ActionEvent":
                self._fold_action(event)
            case "ConversationErrorEvent":
                self.failure = to_failure(event)
                return self._note(f"error: {self.failure.code}: {self.failure.detail}")
            case "SystemPromptEvent":
                self.tools = tool_names(event)
            case kind if kind in _ANSWERS:
                self._open_calls.pop(event.tool_call_id or "", None)
                self.progress.answered(event)
                return self._note(f"{event.tool_name or 'tool'}: done")
            case "Condensation":
                return self._note("history condensed")
            case _:
                return "nothing"
        return "activity"

    def adopt(self, state: FullStateValue, *, with_status: bool) -> Change:
        """Take in a snapshot from the server's memory.

        `with_status`: where its status differs from the log's last one, it is right. One that comes with an attach may be older
        than the end of the log that came before it, and is no authority.
        """
        change: Change = "nothing"
        if state.stats is not None and self._adopt_usage(state.stats):
            change = "usage"
        status = to_status(state.execution_status)
        if with_status and status != self.status:
            self._set_status(self.last_seq, status)
            change = "status"
        return change

    def _fold_state(self, seq: int, event: Event) -> Change:
        if event.key == "execution_status":
            before = self.status
            self._set_status(seq, to_status(read(event.value, str) or ""))
            return "status" if self.status != before else "nothing"
        if event.key == "stats":
            stats = read(event.value, Stats)
            return "usage" if stats is not None and self._adopt_usage(stats) else "nothing"
        return "nothing"

    def _set_status(self, seq: int, status: AgentStatus) -> None:
        self.status, self.status_seq = status, seq
        if status == "running":
            self.failure = None
        elif status != "waiting_for_confirmation":
            self._open_calls.clear()

    def _adopt_usage(self, stats: Stats) -> bool:
        """One compact figure comes per model call; the full form tells the number of calls itself.

        Totals only grow: smaller ones are older than what is known, from a snapshot that the log has overtaken or the reverse.
        """
        found = to_usage(stats, self._prices())
        before = self.usage
        if found.total_tokens < before.total_tokens:
            return False
        changed = found.total_tokens != before.total_tokens or found.cost_micros != before.cost_micros
        calls = found.model_calls or before.model_calls + changed
        self.usage = Usage(
            **{name: getattr(found, name) for name in Usage.__struct_fields__ if name != "model_calls"},
            model_calls=max(calls, before.model_calls),
        )
        return self.usage != before

    def _fold_message(self, seq: int, event: Event) -> Change:
        text = message_text(event)
        if event.source != "user":
            self.final_text = text[:_FINAL_TEXT_MAX]
            return self._note(text)
        self.final_text, self.failure = "", None
        key = key_of(text)
        # The first one counts: a copy of an older message that an agent or a person pastes is not that message.
        if key is not None and key not in self._sent:
            self._sent[key] = seq
            if len(self._sent) > _KEYS_MAX:
                del self._sent[next(iter(self._sent))]
        return "nothing"

    def _fold_action(self, event: Event) -> None:
        self.progress.act(event)
        if event.tool_call_id:
            self._open_calls[event.tool_call_id] = event
            if len(self._open_calls) > _OPEN_CALLS_MAX:
                del self._open_calls[next(iter(self._open_calls))]
        finish = finish_text(event)
        if finish is not None:
            self.final_text = finish[:_FINAL_TEXT_MAX]
        self._note(event.summary or event.tool_name or "")

    def _note(self, text: str) -> Change:
        self.activity = " ".join(text[: 2 * _SUMMARY_MAX].split())[:_SUMMARY_MAX]
        return "activity"
