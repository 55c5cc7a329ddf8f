"""The section `openhands`: the agent-server, and what is asked of it."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from opensymphony.workflow.policy.scalars import Count, Milliseconds, Price, Script, Tokens, Value, VariableName


class LlmPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model that the agent uses. The key is named, never written."""

    model: str | None = None
    """As litellm names it, such as `openai/gpt-5.4`. Left out, it is `LLM_MODEL`."""
    api_key_env: VariableName = "LLM_API_KEY"
    """Name of the environment variable that holds the key; opensymphony.toml, [secrets] may say where else it is."""
    base_url_env: VariableName = "LLM_BASE_URL"
    """Name of the environment variable that holds the address of the model's API."""
    num_retries: Annotated[int, Meta(ge=1, le=100)] = 3
    """Total attempts of a model call; the server's own default stays silent for two minutes."""
    input_cost_per_token_micros: Price | None = None
    """Price of a model unknown to litellm, in micro-units of money a token."""
    output_cost_per_token_micros: Price | None = None
    """The same for what the model writes."""
    max_input_tokens: Tokens | None = None
    """The most that one call can read: the model's context window. None: as litellm knows it, else 200,000."""
    max_output_tokens: Tokens | None = None
    """The most that one call can write. None: as litellm knows it, else 64,000."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Further settings of the model by the agent-server's names, such as `reasoning_effort: high`; no secret belongs here."""


class CondenserPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Summarises long histories; each step costs more the longer the history is."""

    enabled: bool = True
    """OpenSymphony's value: without it a long ticket ends at the model's context window."""
    max_size: Annotated[int, Meta(ge=10, le=100_000)] = 240
    """Events in the history before it is summarised; the agent-server's own default."""
    keep_first: Annotated[int, Meta(ge=0, le=1_000)] = 2
    """Events at the start that are never summarised: the system prompt and our first message."""


class ConversationAgentPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent inside a conversation."""

    kind: str = "Agent"
    """The agent-server's name of the agent; this release knows `Agent`."""
    llm: LlmPolicy = LlmPolicy()
    """The model."""
    tools: tuple[str, ...] = ("terminal", "file_editor", "task_tracker")
    """Given explicitly: an empty list means only the default tools."""
    include_default_tools: tuple[str, ...] = ("FinishTool", "ThinkTool")
    """Of the agent-server's built-in tools, by their classes: `FinishTool` ends a turn, `ThinkTool` writes a thought down."""
    condenser: CondenserPolicy = CondenserPolicy()
    """When long histories are summarised."""


class ConfirmationPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which actions of an agent a person has to approve first."""

    kind: Literal["NeverConfirm", "AlwaysConfirm", "ConfirmRisky"] = "NeverConfirm"
    """`ConfirmRisky` goes by what the model itself says of the risk."""
    threshold: Literal["LOW", "MEDIUM", "HIGH"] = "HIGH"
    """From which risk on `ConfirmRisky` asks."""
    confirm_unknown: bool = True
    """Whether `ConfirmRisky` asks where the model says nothing of the risk."""


class ConversationPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of the agent-server for each ticket."""

    reuse_policy: Literal["per_issue", "fresh_each_run"] = "per_issue"
    """`per_issue`: a run of the same ticket goes on where the last one ended; `fresh_each_run`: it starts anew."""
    max_iterations: Count = 500
    """Agent steps of one turn before the server ends it; the server's own default."""
    stuck_detection: bool = True
    """Let the server end a turn in which the agent repeats itself."""
    confirmation_policy: ConfirmationPolicy = ConfirmationPolicy()
    """Which actions of an agent a person has to approve first."""
    approval_timeout_ms: Milliseconds = 86_400_000
    """How long an approval can be given; a day, so that nobody approves what nobody remembers."""
    questions: bool = True
    """Let the agent ask a person: it has a tool for that, and stands still until it is answered."""
    question_timeout_ms: Milliseconds = 604_800_000
    """How long a question can be answered; a week."""
    agent: ConversationAgentPolicy = ConversationAgentPolicy()
    """The agent inside the conversation."""


class TransportPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the agent-server is, when it is somebody else's."""

    base_url: Value | None = None
    """Its address, with its path. None, or a loopback address without a key: the daemon starts its own server, at that port."""
    session_api_key_env: VariableName | None = None
    """Name of the environment variable that holds its session key; opensymphony.toml, [secrets] may say where else it is."""


class LocalServerPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent-server that the daemon starts and supervises."""

    enabled: bool = True
    """False: the server at `openhands.transport.base_url` is somebody else's, also on a loopback address."""
    command: tuple[Script, ...] | None = None
    """What starts the server, program first; `--host` and `--port` are added. None: the installed one."""
    startup_timeout_ms: Milliseconds = 180_000
    """A cold start without compiled bytecode on a slow disk was measured at 18 s; ten times that."""
    max_restarts: Annotated[int, Meta(ge=0, le=1_000)] = 5
    """Restarts within ten minutes before the daemon stops trying and says so."""
    count: Annotated[int, Meta(ge=1, le=16)] = 1
    """How many servers share the tickets, each ticket staying on its own: one that dies takes only its own agents along."""
    env: dict[str, Value] = field(default_factory=dict[str, str])
    """Further environment of the agent-server; no secret belongs here."""


class OpenHandsPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent-server and what is asked of it."""

    transport: TransportPolicy = TransportPolicy()
    """Where the agent-server is, when it is somebody else's."""
    local_server: LocalServerPolicy = LocalServerPolicy()
    """The agent-server's process."""
    conversation: ConversationPolicy = ConversationPolicy()
    """The conversation of each ticket."""

    @property
    def is_external(self) -> bool:
        """Whether the agent-server is somebody else's: never started, never ended."""
        transport = self.transport
        if transport.base_url is None:
            return False
        return not (
            self.local_server.enabled and transport.session_api_key_env is None and _is_plain_loopback(transport)
        )

    @property
    def wanted_port(self) -> int:
        """Where our own server shall listen: the port of a loopback address that is named, 0 for any."""
        url = self.transport.base_url
        return 0 if url is None or self.is_external else urlsplit(url).port or 0


def _is_plain_loopback(transport: TransportPolicy) -> bool:
    address = urlsplit(transport.base_url or "")
    return address.scheme == "http" and is_loopback(address.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or number."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
