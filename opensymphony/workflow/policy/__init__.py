"""The typed meaning of a WORKFLOW.md: what the repository's owners decided.

Each field says what it means, its unit, its default and the reason for the number; `docs/workflow.md` has one heading for
each (a test compares them). A policy holds no secret, only the names of environment variables, so it may stand in
the journal. Values here are resolved: paths are absolute, `$NAME` is expanded, states keep their spelling.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from opensymphony.workflow.policy.openhands import (
    CondenserPolicy,
    ConfirmationPolicy,
    ConversationAgentPolicy,
    ConversationPolicy,
    LlmPolicy,
    LocalServerPolicy,
    OpenHandsPolicy,
    TransportPolicy,
    is_loopback,
)
from opensymphony.workflow.policy.reviews import CodeHostPolicy, MergePolicy, PullRequestPolicy, ReviewPolicy
from opensymphony.workflow.policy.scalars import (
    Bytes,
    Count,
    Days,
    Limit,
    Location,
    Milliseconds,
    MillisecondsOrOff,
    Path,
    Port,
    Price,
    Script,
    Tokens,
    Value,
)

__all__ = [
    "AgentPolicy",
    "BudgetLimit",
    "BudgetPolicy",
    "CodeHostPolicy",
    "CondenserPolicy",
    "ConfirmationPolicy",
    "ConversationAgentPolicy",
    "ConversationPolicy",
    "HooksPolicy",
    "LlmPolicy",
    "LocalServerPolicy",
    "MergePolicy",
    "NotifyPolicy",
    "OpenHandsPolicy",
    "Policy",
    "PollingPolicy",
    "PullRequestPolicy",
    "ReportingPolicy",
    "RepositoryPolicy",
    "RetentionPolicy",
    "ReviewPolicy",
    "ServerPolicy",
    "TrackerPolicy",
    "TransitionsPolicy",
    "TransportPolicy",
    "VerifyPolicy",
    "WorkspacePolicy",
    "is_loopback",
]


class TrackerPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tickets are ours to look at."""

    kind: str
    """Adapter: `files` or `jira` in this release."""
    provider: dict[str, Any] = field(default_factory=dict[str, Any])
    """The adapter's own settings, as docs/services/ has them; paths are absolute and secrets named once resolved."""
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
    instructions_from: tuple[Value, ...] = ()
    """Whose comments on a ticket are instructions: ids of accounts, or `*` for everybody. Those of others are context."""


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
    protected_paths: tuple[Value, ...] = ()
    """Patterns of paths that agents must not change, such as `.github/*`; work that does is not pushed."""
    max_file_bytes: Bytes = 10_000_000
    """The largest file that is pushed; hosts refuse more than 50 to 100 MB, and histories never shrink. 0: no limit."""
    author: Value | None = None
    """`Name <email>` that agents' commits bear, and no other. None: a name of ours, which is not checked."""
    sign_off: bool = False
    """Whether each commit needs a line `Signed-off-by` of its author."""


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
    wait_for_overlaps: bool = False
    """Whether a ticket does not start again while another one is at work on files that it changes too."""
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
    merged: str | None = None
    """When its pull request was merged; must not be one of `tracker.active_states`."""
    needs_attention: str | None = None
    """When a person has to decide; must not be one of `tracker.active_states` either."""


class ReportingPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written back to the ticket."""

    comment: bool = True
    """Keep one status comment on the ticket up to date."""
    comment_interval_ms: MillisecondsOrOff = 0
    """The least time between two edits of it; what is to be said sooner waits. Jira mails edits to watchers: 60000 there."""
    transitions: TransitionsPolicy = TransitionsPolicy()
    """Moves of the ticket that we make; none by default."""


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
    code_host: CodeHostPolicy | None = None
    """Where pull requests are opened."""
    pull_request: PullRequestPolicy = PullRequestPolicy()
    """What the one pull request of a ticket says."""
    review: ReviewPolicy = ReviewPolicy()
    """What comes back to the agent from a pull request."""
    merge: MergePolicy = MergePolicy()
    """Whether a pull request is merged by itself."""
    hooks: HooksPolicy = HooksPolicy()
    """Scripts run around the work."""
    agent: AgentPolicy = AgentPolicy()
    """How much agents may do at once and how often they may try."""
    verify: VerifyPolicy = VerifyPolicy()
    """The check that decides whether work is done."""
    reporting: ReportingPolicy = ReportingPolicy()
    """What is written back to the ticket."""
    isolation: Literal["sandbox", "restrict", "none"] | None = None
    """What agents, hooks and checks can reach of the machine. None: the strongest level that works there."""
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
