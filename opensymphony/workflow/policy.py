"""The typed meaning of a WORKFLOW.md: what the repository's owners decided.

Each field says what it means, its unit, its default and the reason for the number; `docs/workflow.md` has one heading for
each (a test compares them). A policy holds no secret, only the names of environment variables, so it may stand in
the journal. Values here are resolved: paths are absolute, `$NAME` is expanded, states keep their spelling.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Milliseconds = Annotated[int, Meta(ge=1, le=2_147_483_647)]
"""Up to 24 days: longer is a slip of the pen."""

MillisecondsOrOff = Annotated[int, Meta(ge=0, le=2_147_483_647)]
"""0 turns it off."""

Count = Annotated[int, Meta(ge=1, le=1_000_000)]

Script = Annotated[str, Meta(extra={"as": "verbatim"})]
"""A script or template, kept as written: `$NAME` in it belongs to the shell."""

Path = Annotated[str, Meta(extra={"as": "path"})]
"""`$NAME`, `~` and relative paths are resolved; relative ones start beside the WORKFLOW.md."""

Location = Annotated[str, Meta(extra={"as": "location"})]
"""Like `Path` where git would read a path, else an address."""

Value = Annotated[str, Meta(extra={"as": "value"})]
"""May be empty."""

VariableName = Annotated[str, Meta(extra={"as": "name"})]
"""The name of an environment variable, also written `$NAME`; never its value."""

Port = Annotated[int, Meta(ge=0, le=65_535)]

Price = Annotated[float, Meta(ge=0, le=1_000_000)]

Limit = Annotated[int, Meta(ge=0, le=1_000_000_000)]
"""0 turns it off."""

Tokens = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]

Bytes = Annotated[int, Meta(ge=0, le=1_000_000_000_000_000)]

Days = Annotated[int, Meta(ge=0, le=36_500)]


class TrackerPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tickets are ours to look at."""

    kind: str
    """Adapter: `files` in this release."""
    provider: dict[str, Any] = field(default_factory=dict[str, Any])
    """The adapter's own settings. For `files`: `path`, the folder of tickets (absolute once resolved)."""
    required_labels: tuple[Value, ...] = ()
    """A ticket needs all of these (lower case). Empty: no label is needed."""
    active_states: tuple[str, ...] = ("Todo", "In Progress")
    """States in which a ticket may be worked on, compared without case."""
    terminal_states: tuple[str, ...] = ("Done", "Closed", "Cancelled", "Canceled", "Duplicate")
    """States in which a ticket is over: its run is stopped, its workspace removed."""
    unblocking_states: tuple[str, ...] | None = None
    """States in which a blocker no longer blocks. None: the terminal states."""
    assignee: str | None = None
    """Only tickets assigned to this name. Left out, any."""


class PollingPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the tracker is asked."""

    interval_ms: Milliseconds = 30_000
    """Symphony's value: half a minute is soon enough where no webhook is set up."""
    min_interval_ms: Milliseconds | None = None
    """For a while after something has happened. None: a third of `interval_ms`."""
    max_interval_ms: Milliseconds | None = None
    """When nothing has happened for long, or the tracker is in trouble. None: four times `interval_ms`."""


class WorkspacePolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where agents work."""

    root: Path = ""
    """Absolute once resolved; default `symphony_workspaces` below the system's temporary directory, as Symphony."""


class RepositoryPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The repository that tickets are about. Without it, workspaces start empty for `hooks.after_create`."""

    url: Location
    """What we clone and push to: a path, or any URL that git takes."""
    base: str = "main"
    """The branch that work starts from."""
    branch: Script = "opensymphony/{{ issue.key }}"
    """Liquid template of a ticket's branch; `issue.key` is the sanitised identifier."""
    push: bool = True
    """Whether a verified commit is pushed. False leaves it in the daemon's mirror."""


class HooksPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shell scripts of the repository's owners, run with `sh -c` in the workspace."""

    after_create: Script | None = None
    """Once, when the directory was made; a failure removes the directory again and fails the attempt."""
    before_run: Script | None = None
    """Before each run; a failure fails the attempt."""
    after_run: Script | None = None
    """After each run, however it ended; a failure is logged and changes nothing."""
    before_remove: Script | None = None
    """Before the directory is removed; a failure is logged and changes nothing."""
    timeout_ms: Milliseconds = 60_000
    """For each hook, everything it started included; Symphony's value."""


class AgentPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much agents may do at once and how often they may try."""

    max_concurrent_agents: Annotated[int, Meta(ge=1, le=1_000)] = 4
    """One agent-server is one core, 8-14 agent steps a second for all of its conversations together."""
    max_concurrent_agents_by_state: dict[str, Annotated[int, Meta(ge=1, le=1_000)]] = field(
        default_factory=dict[str, int]
    )
    """Further limits by state, in lower case."""
    max_concurrent_agents_by_label: dict[str, Annotated[int, Meta(ge=1, le=1_000)]] = field(
        default_factory=dict[str, int]
    )
    """Further limits by label, in lower case; a ticket with several of them counts for each."""
    max_turns: Count = 20
    """Turns of one run, then a person decides; Symphony's value."""
    max_failures: Count = 5
    """Failures in a row before a ticket is given up and needs attention."""
    retry_backoff_ms: Milliseconds = 10_000
    """First delay after a failure; it doubles with each further one. Symphony's value."""
    max_retry_backoff_ms: Milliseconds = 300_000
    """Cap of that delay; Symphony's value."""
    stall_timeout_ms: MillisecondsOrOff = 300_000
    """Silence that counts as a stall while no tool call is open; 0 turns it off. Symphony's value."""
    tool_timeout_ms: Milliseconds = 1_800_000
    """Silence with an open tool call that is looked into: a stall if nothing works behind it. Builds are silent for long."""
    max_actions_without_progress: Limit = 150
    """Agent steps since a file, the plan or the set of failing tests changed; then a person decides. 0 turns it off."""
    max_tokens_without_progress: Limit = 5_000_000
    """The same in tokens: long histories burn them in few steps. 0 turns it off."""
    max_repeated_actions: Limit = 12
    """The same action with the same answer in a row; the server's own detection, where it is on, ends at 4. 0 turns it off."""
    max_run_ms: Milliseconds | None = None
    """Wall time of one run, then a person decides. None: no limit, a long turn that makes progress is a good one."""


class VerifyPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The check that decides whether work is done, run by us and not by the model."""

    command: Script | None = None
    """Shell command in the workspace; exit code 0 passes. Liquid with `issue`. None: nothing is verified."""
    timeout_ms: Milliseconds = 600_000
    """For one verification, everything it started included: ten minutes is a long test suite."""
    max_attempts: Count = 3
    """Verifications of one run; a failed one but the last goes back to the agent as a turn."""


class BudgetLimit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be spent in one scope; either, both or neither."""

    tokens: Tokens | None = None
    """Prompt and completion tokens of every model call. None: no limit."""
    cost: Price | None = None
    """Money in units of the currency that the model's prices are in. None: no limit."""

    @property
    def cost_micros(self) -> int | None:
        return None if self.cost is None else round(self.cost * 1_000_000)


class BudgetPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What agents may spend. At a limit a ticket waits for a person, a new day, or a raised limit."""

    timezone: str = "UTC"
    """Where a day begins and ends; a name of the time zone database."""
    run: BudgetLimit = BudgetLimit()
    """One run of a ticket."""
    ticket: BudgetLimit = BudgetLimit()
    """All runs of a ticket together."""
    day: BudgetLimit = BudgetLimit()
    """All tickets on one day."""
    project: BudgetLimit = BudgetLimit()
    """All tickets since the journal began."""


class NotifyPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told when something waits for a person."""

    command: Script | None = None
    """Shell command of the operator's; what happened stands in its environment and as JSON on its input. None: nobody."""
    timeout_ms: Milliseconds = 30_000
    """For one notification, everything it started included."""


class RetentionPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what is left behind is kept. Whatever limit is reached first counts; work that was never pushed is kept."""

    journal_days: Days = 30
    """Records of the journal that no start needs any more; they explain the past. 0 keeps them for ever."""
    journal_bytes: Bytes = 1_000_000_000
    """The same by size of the journal's file. 0: no limit."""
    logs_days: Days = 30
    """Log files. 0 keeps them for ever."""
    logs_bytes: Bytes = 500_000_000
    """The same for all log files together. 0: no limit."""
    archives_days: Days = 90
    """Archived conversations of closed tickets. 0 keeps them for ever."""
    archives_bytes: Bytes = 10_000_000_000
    """The same for all of them together. 0: no limit."""
    workspaces_days: Days = 14
    """Workspaces of tickets that rest (in review, waiting for a person); a later run makes its own again. 0 keeps them."""
    workspaces_bytes: Bytes = 50_000_000_000
    """The same for all of them together; the longest at rest go first. 0: no limit."""


class TransitionsPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a ticket is moved; left out, it stays where it is."""

    started: str | None = None
    """When work begins; must be one of `tracker.active_states`."""
    succeeded: str | None = None
    """When the work is done and verified; must not be one of `tracker.active_states`, or it would begin again."""
    needs_attention: str | None = None
    """When a person has to decide; must not be one of `tracker.active_states` either."""


class ReportingPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written back to the ticket."""

    comment: bool = True
    """Keep one status comment on the ticket up to date."""
    transitions: TransitionsPolicy = TransitionsPolicy()
    """Moves of the ticket that we make; none by default."""


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
    options: dict[str, str | int | float | bool] = field(default_factory=dict[str, str | int | float | bool])
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


class ConversationPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of the agent-server for each ticket."""

    reuse_policy: Literal["per_issue", "fresh_each_run"] = "per_issue"
    """`per_issue`: a run of the same ticket goes on where the last one ended; `fresh_each_run`: it starts anew."""
    max_iterations: Count = 500
    """Agent steps of one turn before the server ends it; the server's own default."""
    stuck_detection: bool = True
    """Let the server end a turn in which the agent repeats itself."""
    agent: ConversationAgentPolicy = ConversationAgentPolicy()
    """The agent inside the conversation."""


class LocalServerPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent-server that the daemon starts and supervises."""

    startup_timeout_ms: Milliseconds = 180_000
    """A cold start without compiled bytecode on a slow disk was measured at 18 s; ten times that."""
    max_restarts: Annotated[int, Meta(ge=0, le=1_000)] = 5
    """Restarts within ten minutes before the daemon stops trying and says so."""
    env: dict[str, Value] = field(default_factory=dict[str, str])
    """Further environment of the agent-server; no secret belongs here."""


class OpenHandsPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent-server and what is asked of it."""

    local_server: LocalServerPolicy = LocalServerPolicy()
    """The agent-server's process."""
    conversation: ConversationPolicy = ConversationPolicy()
    """The conversation of each ticket."""


class ServerPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operator's HTTP listener; the host's settings win."""

    port: Port | None = None
    """0 takes a free one, which `run` prints. Left out, it is the port of opensymphony.toml, or 2468."""
    host: str = "127.0.0.1"
    """A loopback address: operators of other machines come through a tunnel."""


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One WORKFLOW.md, resolved."""

    tracker: TrackerPolicy
    """Which tickets are ours to look at."""
    polling: PollingPolicy = PollingPolicy()
    """How often the tracker is asked."""
    workspace: WorkspacePolicy = WorkspacePolicy()
    """Where agents work."""
    repository: RepositoryPolicy | None = None
    """The repository that tickets are about."""
    hooks: HooksPolicy = HooksPolicy()
    """Scripts run around the work."""
    agent: AgentPolicy = AgentPolicy()
    """How much agents may do at once and how often they may try."""
    verify: VerifyPolicy = VerifyPolicy()
    """The check that decides whether work is done."""
    reporting: ReportingPolicy = ReportingPolicy()
    """What is written back to the ticket."""
    budget: BudgetPolicy = BudgetPolicy()
    """What agents may spend."""
    notify: NotifyPolicy = NotifyPolicy()
    """Who is told when something waits for a person."""
    retention: RetentionPolicy = RetentionPolicy()
    """How long what is left behind is kept."""
    openhands: OpenHandsPolicy = OpenHandsPolicy()
    """The agent-server and what is asked of it."""
    server: ServerPolicy = ServerPolicy()
    """The operator's HTTP listener."""
    prompt: Script = ""
    """The body below the front matter: a Liquid template with `issue` and `attempt`. Blank: our own prompt."""
