"""The typed meaning of a WORKFLOW.md: what the repository's owners decided.

Each field says what it means, its unit, its default and the reason for the number; `docs/workflow.md` has one heading for
each (a test compares them). A policy holds no secret, only the names of environment variables, so it may stand in
the journal. Values here are resolved: paths are absolute, `$NAME` is expanded, states keep their spelling.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field


class TrackerPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tickets are ours to look at."""

    kind: str
    """Adapter: `files` in this release."""
    provider: dict[str, Any] = field(default_factory=dict[str, Any])
    """The adapter's own settings. For `files`: `path`, the folder of tickets (absolute once resolved)."""
    required_labels: tuple[str, ...] = ()
    """A ticket needs all of these (lower case). Empty: no label is needed."""
    active_states: tuple[str, ...] = ("Todo", "In Progress")
    """States in which a ticket may be worked on, compared without case."""
    terminal_states: tuple[str, ...] = ("Done", "Closed", "Cancelled", "Canceled", "Duplicate")
    """States in which a ticket is over: its run is stopped, its workspace removed."""
    unblocking_states: tuple[str, ...] | None = None
    """States in which a blocker no longer blocks. None: the terminal states."""
    assignee: str | None = None
    """Only tickets assigned to this name. None: any."""


class PollingPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the tracker is asked."""

    interval_ms: int = 30_000
    """Symphony's value: half a minute is soon enough where no webhook is set up."""


class WorkspacePolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where agents work."""

    root: str = ""
    """Absolute once resolved; default `symphony_workspaces` below the system's temporary directory, as Symphony."""


class RepositoryPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The repository that tickets are about. Without it, workspaces start empty for `hooks.after_create`."""

    url: str
    """What we clone and push to: a path, or any URL that git takes."""
    base: str = "main"
    """The branch that work starts from."""
    branch: str = "opensymphony/{{ issue.key }}"
    """Liquid template of a ticket's branch; `issue.key` is the sanitised identifier."""
    push: bool = True
    """Whether a verified commit is pushed. False leaves it in the daemon's mirror."""


class HooksPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shell scripts of the repository's owners, run with `sh -c` in the workspace."""

    after_create: str | None = None
    before_run: str | None = None
    after_run: str | None = None
    before_remove: str | None = None
    timeout_ms: int = 60_000
    """For each hook, everything it started included; Symphony's value."""


class AgentPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much agents may do at once and how often they may try."""

    max_concurrent_agents: int = 4
    """One agent-server is one core, 8-14 agent steps a second for all of its conversations together."""
    max_concurrent_agents_by_state: dict[str, int] = field(default_factory=dict[str, int])
    """Further limits by state, in lower case."""
    max_turns: int = 20
    """Turns of one run, then a person decides; Symphony's value."""
    max_failures: int = 5
    """Failures in a row before a ticket is given up and needs attention."""
    retry_backoff_ms: int = 10_000
    """First delay after a failure; it doubles with each further one. Symphony's value."""
    max_retry_backoff_ms: int = 300_000
    """Cap of that delay; Symphony's value."""
    continuation_delay_ms: int = 1_000
    """Between a finished turn and the next one of the same run; Symphony's value."""
    stall_timeout_ms: int = 300_000
    """Silence that counts as a stall while no tool call is open; 0 turns it off. Symphony's value."""
    tool_timeout_ms: int = 1_800_000
    """Silence that counts as a stall while a tool call is open: builds and test suites are silent for long."""


class VerifyPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The check that decides whether work is done, run by us and not by the model."""

    command: str | None = None
    """Shell command in the workspace; exit code 0 passes. Liquid with `issue`. None: nothing is verified."""
    timeout_ms: int = 600_000
    max_attempts: int = 3
    """Verifications of one run; a failed one but the last goes back to the agent as a turn."""


class TransitionsPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a ticket is moved; None leaves it where it is."""

    started: str | None = None
    succeeded: str | None = None
    needs_attention: str | None = None


class ReportingPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written back to the ticket."""

    comment: bool = True
    """Keep one status comment on the ticket up to date."""
    min_interval_ms: int = 60_000
    """At least this long between two edits of the comment that say no more than progress; watchers get mail for each."""
    transitions: TransitionsPolicy = TransitionsPolicy()


class LlmPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model that the agent uses. The key is named, never written."""

    model: str | None = None
    """As litellm names it, such as `openai/gpt-5.4`. None: `LLM_MODEL`."""
    api_key_env: str = "LLM_API_KEY"
    base_url_env: str = "LLM_BASE_URL"
    num_retries: int = 3
    """Total attempts of a model call; the server's own default stays silent for two minutes."""
    input_cost_per_token_micros: float | None = None
    """Price of a model unknown to litellm, in micro-units of money a token."""
    output_cost_per_token_micros: float | None = None


class CondenserPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Summarises long histories; each step costs more the longer the history is."""

    enabled: bool = True
    max_size: int = 240
    keep_first: int = 2


class ConversationAgentPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str = "Agent"
    llm: LlmPolicy = LlmPolicy()
    tools: tuple[str, ...] = ("terminal", "file_editor", "task_tracker")
    """Given explicitly: an empty list means only `finish` and `think`."""
    condenser: CondenserPolicy = CondenserPolicy()


class ConversationPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reuse_policy: Literal["per_issue", "fresh_each_run"] = "per_issue"
    max_iterations: int = 500
    """Agent steps of one run of the server."""
    stuck_detection: bool = True
    agent: ConversationAgentPolicy = ConversationAgentPolicy()


class LocalServerPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    startup_timeout_ms: int = 180_000
    """A cold start without compiled bytecode on a slow disk was measured at 18 s; ten times that."""
    max_restarts: int = 5
    """Restarts within ten minutes before the daemon stops trying and says so."""
    env: dict[str, str] = field(default_factory=dict[str, str])
    """Further environment of the agent-server; no secret belongs here."""


class OpenHandsPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent-server and what is asked of it."""

    local_server: LocalServerPolicy = LocalServerPolicy()
    conversation: ConversationPolicy = ConversationPolicy()


class ServerPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operator's HTTP listener; the host's settings win."""

    port: int | None = None
    host: str = "127.0.0.1"


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One WORKFLOW.md, resolved."""

    tracker: TrackerPolicy
    polling: PollingPolicy = PollingPolicy()
    workspace: WorkspacePolicy = WorkspacePolicy()
    repository: RepositoryPolicy | None = None
    hooks: HooksPolicy = HooksPolicy()
    agent: AgentPolicy = AgentPolicy()
    verify: VerifyPolicy = VerifyPolicy()
    reporting: ReportingPolicy = ReportingPolicy()
    openhands: OpenHandsPolicy = OpenHandsPolicy()
    server: ServerPolicy = ServerPolicy()
    prompt: str = ""
    """The body: a Liquid template with `issue` and `attempt`."""
