"""The agent-server's JSON as we read it: only the fields that are used, and tolerant of everything else.

Parts whose shape depends on tools or on the release stay `msgspec.Raw` and are read where they are needed, so that one odd
event never costs a stream.
"""

from __future__ import annotations

import re
from typing import TypeVar, cast, get_args

import msgspec
from msgspec import Raw, Struct, field

from opensymphony.logs import redacted
from opensymphony.model import AgentFailure, AgentStatus, Usage
from opensymphony.workflow.policy import LlmPolicy

_NULL = Raw(b"null")
_STATUSES = frozenset(get_args(AgentStatus)) - {"unknown"}
_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MICROS = 1_000_000

T = TypeVar("T")


class Frame(Struct, frozen=True, kw_only=True):
    """One message of the session socket."""

    type: str
    seq: int | None = None
    event: Raw = _NULL
    through_seq: int | None = None
    code: str = ""
    detail: str = ""


class Event(Struct, frozen=True, kw_only=True):
    """One entry of a conversation's log."""

    kind: str
    id: str = ""
    source: str = ""
    key: str = ""
    value: Raw = _NULL
    tool_name: str | None = None
    tool_call_id: str | None = None
    summary: str | None = None
    llm_message: Raw = _NULL
    action: Raw = _NULL
    tool_call: Raw = _NULL
    observation: Raw = _NULL
    error: str | None = None
    rejection_reason: str | None = None
    tools: Raw = _NULL
    code: str | None = None
    detail: str | None = None
    classification: Raw = _NULL


class EventPage(Struct, frozen=True, kw_only=True):
    items: list[Event]
    next_page_id: str | None = None


class TokenUsage(Struct, frozen=True, kw_only=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class Metrics(Struct, frozen=True, kw_only=True):
    """What one usage id of a conversation has cost."""

    accumulated_cost: float = 0.0
    accumulated_token_usage: TokenUsage | None = None
    token_usages: list[Raw] | None = None
    """One entry a model call; absent in the compact form that events have."""


class Stats(Struct, frozen=True, kw_only=True):
    usage_to_metrics: dict[str, Metrics] = field(default_factory=dict[str, Metrics])


class ToolReference(Struct, frozen=True, kw_only=True):
    name: str


class AgentInfo(Struct, frozen=True, kw_only=True):
    kind: str | None = None
    tools: list[ToolReference] = field(default_factory=list[ToolReference])
    include_default_tools: list[str] | None = None
    condenser: Raw = Raw(b"")
    """`null` without one."""


class WorkspaceInfo(Struct, frozen=True, kw_only=True):
    working_dir: str = ""


class ConversationInfo(Struct, frozen=True, kw_only=True):
    """A conversation as REST shows it: a snapshot from disk, whose status may be old."""

    id: str
    execution_status: str = ""
    agent: AgentInfo = AgentInfo()
    workspace: WorkspaceInfo = WorkspaceInfo()
    stats: Stats | None = None
    last_user_message_id: str | None = None
    persistence_dir: str | None = None
    tags: dict[str, str] | None = None
    leaf_event_id: str | None = None
    confirmation_policy: Raw = _NULL


class ConversationPage(Struct, frozen=True, kw_only=True):
    items: list[ConversationInfo]
    next_page_id: str | None = None


class FullStateValue(Struct, frozen=True, kw_only=True):
    """The part we use of a `full_state` snapshot, which comes from memory: live truth."""

    execution_status: str = ""
    stats: Stats | None = None


class ServerInfo(Struct, frozen=True, kw_only=True):
    version: str = ""
    capabilities: list[str] = field(default_factory=list[str])


class _Content(Struct, frozen=True, kw_only=True):
    type: str = ""
    text: str = ""


class _Message(Struct, frozen=True, kw_only=True):
    content: list[_Content] = field(default_factory=list[_Content])


class _Action(Struct, frozen=True, kw_only=True):
    kind: str = ""
    message: str = ""


class _ToolCall(Struct, frozen=True, kw_only=True):
    arguments: str = ""


class _Observation(Struct, frozen=True, kw_only=True):
    """Of every tool: each has some of these, and its own besides."""

    kind: str = ""
    content: list[_Content] = field(default_factory=list[_Content])
    is_error: bool = False
    exit_code: Raw = _NULL
    command: Raw = _NULL
    path: Raw = _NULL
    file_path: Raw = _NULL
    old_content: Raw = _NULL
    new_content: Raw = _NULL
    task_list: Raw = _NULL


class Answer(Struct, frozen=True, kw_only=True):
    """What came of an action, whatever tool it was for."""

    kind: str = ""
    text: str = ""
    failed: bool = False
    exit_code: int | None = None
    command: str = ""
    path: str = ""
    before: bytes = b""
    """The content of a file, still encoded; empty where it is not told."""
    after: bytes = b""
    plan: bytes = b""

    @property
    def rest(self) -> bytes:
        """What two equal answers have in common besides their text."""
        return f"{self.kind} {self.failed} {self.exit_code}".encode()


class _Tool(Struct, frozen=True, kw_only=True):
    kind: str = ""
    title: str | None = None


class _Classification(Struct, frozen=True, kw_only=True):
    kind: str = "unknown"
    retryable: bool = True


UNREADABLE = Event(kind="unreadable")


def read(raw: Raw | bytes, kind: type[T]) -> T | None:
    """Decode one part; None when it is not what we know."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_event(raw: Raw) -> Event:
    """An event we cannot read still counts in the log."""
    return read(raw, Event) or UNREADABLE


def to_status(value: str) -> AgentStatus:
    """`unknown` for a status this release has no name for."""
    return cast(AgentStatus, value) if value in _STATUSES else "unknown"


def to_usage(stats: Stats, prices: LlmPolicy | None = None) -> Usage:
    """The sum over all usage ids. `model_calls` is 0 in the compact form, which does not tell it.

    A server that does not know a model's price says that it costs nothing: then its tokens count at `prices`.
    """
    metrics = stats.usage_to_metrics.values()
    tokens = [one.accumulated_token_usage for one in metrics if one.accumulated_token_usage]
    return Usage(
        prompt_tokens=sum(one.prompt_tokens for one in tokens),
        completion_tokens=sum(one.completion_tokens for one in tokens),
        cache_read_tokens=sum(one.cache_read_tokens for one in tokens),
        cache_write_tokens=sum(one.cache_write_tokens for one in tokens),
        reasoning_tokens=sum(one.reasoning_tokens for one in tokens),
        cost_micros=round(sum(_cost_micros(one, prices) for one in metrics)),
        model_calls=sum(len(one.token_usages or ()) for one in metrics),
    )


def _cost_micros(one: Metrics, prices: LlmPolicy | None) -> float:
    tokens = one.accumulated_token_usage
    if one.accumulated_cost > 0 or tokens is None or prices is None:
        return one.accumulated_cost * _MICROS
    read, written = prices.input_cost_per_token_micros or 0, prices.output_cost_per_token_micros or 0
    return tokens.prompt_tokens * read + tokens.completion_tokens * written


def message_text(event: Event) -> str:
    """The text of a MessageEvent."""
    message = read(event.llm_message, _Message)
    return "\n".join(part.text for part in message.content if part.type == "text") if message else ""


def finish_text(event: Event) -> str | None:
    """What the agent said when it finished; None for every other action."""
    action = read(event.action, _Action)
    return action.message if action and action.kind == "FinishAction" else None


def arguments(event: Event) -> bytes:
    """What an action was asked to do, still encoded; what its tool could not read is there as the model wrote it."""
    if bytes(event.action) != b"null":
        return bytes(event.action)
    call = read(event.tool_call, _ToolCall)
    return call.arguments.encode() if call else b""


def read_answer(event: Event) -> Answer:
    """The answer in an ObservationEvent, AgentErrorEvent or UserRejectObservation; what is odd in it is left out."""
    if event.kind != "ObservationEvent":
        return Answer(kind=event.kind, text=event.error or event.rejection_reason or "", failed=True)
    found = read(event.observation, _Observation)
    if found is None:
        return Answer(text=bytes(event.observation).decode(errors="replace"))
    return Answer(
        kind=found.kind,
        text="\n".join(part.text for part in found.content),
        failed=found.is_error,
        exit_code=read(found.exit_code, int),
        command=read(found.command, str) or "",
        path=read(found.path, str) or read(found.file_path, str) or "",
        before=_content(found.old_content),
        after=_content(found.new_content),
        plan=_content(found.task_list),
    )


def _content(raw: Raw) -> bytes:
    content = bytes(raw)
    return b"" if content == b"null" else content


def tool_names(event: Event) -> tuple[str, ...]:
    """The names of the tools in a SystemPromptEvent, which tells only their classes: `FileEditorTool` is `file_editor`."""
    tools = read(event.tools, list[_Tool]) or []
    return tuple(_CAMEL_HUMP.sub("_", tool.kind.removesuffix("Tool")).lower() for tool in tools)


def to_failure(event: Event) -> AgentFailure:
    """The failure that a ConversationErrorEvent tells."""
    classification = read(event.classification, _Classification) or _Classification()
    return AgentFailure(
        code=event.code or "unknown",
        detail=redacted(event.detail or "")[:2_000],  # half a key would not be known as one
        kind=classification.kind,
        retryable=classification.retryable,
    )
