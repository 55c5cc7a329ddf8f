"""What an operator sees: tickets, explanations and the whole picture, as the HTTP interface and the doors show them."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from opensymphony.model import Phase, PullRequestState, ServerState, TicketId, TrackerState, Usage


class AskView(Struct, frozen=True, kw_only=True):
    """What an agent wants from a person."""

    kind: Literal["question", "approval"]
    text: str
    """An agent's words."""
    digest: str
    asked_ms: int
    expires_ms: int


class PullRequestView(Struct, frozen=True, kw_only=True):
    """A ticket's pull request, and how its review stands."""

    id: str
    url: str
    state: PullRequestState
    rounds: int = 0
    """So often its review has started the ticket again since a person last had to do with it."""
    open_threads: int = 0
    """That the agent was given and that have no answer yet."""
    starts_ms: int | None = None
    """When the ticket starts again because of its review."""
    unmerged: str = ""
    """Why it is not merged by itself yet; empty where the policy does not want that, and once nothing keeps it."""


class Overlap(Struct, frozen=True, kw_only=True):
    """Two tickets that change the same files."""

    tickets: tuple[str, str]
    files: tuple[str, ...]
    more: int = 0
    """Files besides these."""


class TicketView(Struct, frozen=True, kw_only=True):
    """One ticket as an operator sees it."""

    id: TicketId
    identifier: str
    title: str
    state: str
    """The tracker's state."""
    phase: Phase
    stage: str | None = None
    """Of a running ticket: `claiming`, `preparing`, `working`, `verifying`, `pushing`, ..."""
    reason: str = ""
    """One sentence: why it is in this phase."""
    since_ms: int = 0
    due_ms: int | None = None
    """When a retry or the next turn is due."""
    url: str | None = None
    priority: int | None = None
    labels: tuple[str, ...] = ()
    generation: int = 0
    attempts: int = 0
    """Verifications of this run so far."""
    failures: int = 0
    turns: int = 0
    branch: str | None = None
    commit: str | None = None
    verified: bool | None = None
    """None while nothing was verified."""
    conversation_id: str | None = None
    workspace: str | None = None
    usage: Usage = Usage()
    started_ms: int | None = None
    ended_ms: int | None = None
    activity: str = ""
    """What the agent did last, for people."""
    last_activity_ms: int | None = None
    error: str | None = None
    outcome: str | None = None
    """How its last run ended; None while one is at work or before the first."""
    conversation_reason: str = ""
    """Why its conversation stands in for an earlier one; empty for one that does not."""
    rehydration: str = ""
    """Why its next conversation is another one; empty when it is not."""
    asked: AskView | None = None
    """What it waits for; None when nothing is asked."""
    paused: bool = False
    messages: int = 0
    """Of operators, not yet given to the agent."""
    pull_request: PullRequestView | None = None
    ready_ms: int | None = None
    """Since when nothing of its own keeps it from starting; None for one that does not wait for a place."""


class Rule(Struct, frozen=True, kw_only=True):
    """One condition on working on a ticket, and how it stands."""

    name: str
    """`state`, `label`, `assignee`, `blocker`, `child`, `paused`, `budget`, `capacity`, `claim`, ..."""
    holds: bool
    text: str
    """One sentence for a person."""
    since_ms: int | None = None


class BudgetView(Struct, frozen=True, kw_only=True):
    """One limit on what may be spent, and how far it is used."""

    scope: str
    unit: Literal["tokens", "cost_micros"]
    limit: int
    spent: int
    reserved: int
    """What the calls that may be in flight can still cost."""


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a ticket is, or is not, being worked on."""

    ticket: TicketView
    sentence: str
    since_ms: int
    rules: tuple[Rule, ...] = ()
    """Every condition, in the order in which they are looked at; the first that does not hold is what the sentence says."""
    budgets: tuple[BudgetView, ...] = ()
    """The limits that concern it."""
    pending: tuple[str, ...] = ()
    """Keys of what is being done about it right now."""
    history: tuple[str, ...] = ()
    """How its last runs ended, newest first."""


class ActionAnswer(Struct, frozen=True, kw_only=True):
    """What became of an operator's request."""

    request_id: str
    accepted: bool
    answer: str
    """One sentence for a person."""


class IssueList(Struct, frozen=True, kw_only=True):
    """Tickets at one moment, in the order in which they start."""

    sequence: int
    at_ms: int
    issues: tuple[TicketView, ...]


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything an operator can see, at one moment."""

    sequence: int
    """Counts journal records; a later snapshot never has a smaller one."""
    at_ms: int
    instance: str
    status: Literal["starting", "running", "draining", "stopped"]
    server: ServerState
    tickets: tuple[TicketView, ...]
    usage: Usage = Usage()
    polled_ms: int | None = None
    """Last poll that succeeded."""
    poll_error: str | None = None
    poll_error_since_ms: int | None = None
    next_poll_ms: int | None = None
    """When the tracker is looked at next, unless somebody asks for it sooner."""
    policy_error: str | None = None
    """Why the newest WORKFLOW.md is not in force; the last good one is."""
    policy_error_since_ms: int | None = None
    problems: tuple[str, ...] = ()
    """Tickets that could not be read, one line each."""
    max_concurrent_agents: int = 0
    paused: bool = False
    """An operator paused everything."""
    paused_since_ms: int | None = None
    storage_error: str | None = None
    """Why nothing new starts although there would be work: the disk."""
    day: str = ""
    spent_day: Usage = Usage()
    spent_project: Usage = Usage()
    """With what calls that were cut off may have cost, until that is known: it can fall."""
    budgets: tuple[BudgetView, ...] = ()
    tracker: TrackerState | None = None
    """What the tracker was asked; None for one without limits."""
    code_host: TrackerState | None = None
    """What the code host was asked; None where there is none."""
    code_host_error: str | None = None
    """Why pull requests could not be read at the last look."""
    overlaps: tuple[Overlap, ...] = ()
    """Tickets at work or in review that change the same files."""


EntryKind = Literal[
    "prompt", "message", "thought", "call", "result", "plan", "condensation", "error", "status", "question", "other"
]


class TranscriptEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was said or done in a conversation. Its texts come from agents and tools: untrusted."""

    seq: int
    """The number of the event in the conversation's log."""
    kind: EntryKind
    """`prompt` is what was said to the agent, `message` what it said."""
    at: str = ""
    """The agent-server's own time, without a zone where it gives none."""
    text: str = ""
    tool: str = ""
    call_id: str = ""
    """Joins a result to its call."""
    command: str = ""
    """Of a call in a terminal: what is run there."""
    arguments: str = ""
    """Of any other call, as JSON."""
    exit_code: int | None = None
    failed: bool = False
    path: str = ""
    """Of an edited file."""
    diff: str = ""
    key: str = ""
    """Of a prompt of the daemon: the key of its command."""


class TranscriptPage(Struct, frozen=True, kw_only=True):
    """Part of the transcript of a ticket's newest conversation, oldest entry first."""

    conversation_id: str
    entries: tuple[TranscriptEntry, ...]
    before: int | None = None
    """What is older is asked for with it; None when this is the beginning."""
    after: int = -1
    """What is newer, now or later, is asked for with it."""
    archived: bool = False


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """Something that happened with a ticket or was decided about it, for people."""

    sequence: int
    """Of its journal record."""
    at_ms: int
    kind: str
    """`run_started`, `stage_entered`, `run_ended`, `asked`, `command_failed`, `message`, ..."""
    text: str
    """One sentence."""
    generation: int | None = None
    failed: bool = False


class TimelinePage(Struct, frozen=True, kw_only=True):
    """Part of a ticket's timeline, newest entry first."""

    entries: tuple[TimelineEntry, ...]
    before: int | None = None
    """What is older is asked for with it; None when this is the beginning, or what is older was forgotten."""


class Changes(Struct, frozen=True, kw_only=True):
    """What an agent has changed in its workspace since the work left the base branch, committed or not."""

    diff: str
    """As git tells it; new files that are not committed by name only."""
    truncated: bool = False


class VerificationView(Struct, frozen=True, kw_only=True):
    """One run of a check that the policy names."""

    sequence: int
    at_ms: int
    generation: int
    passed: bool
    exit_code: int | None = None
    output: str = ""
    """Its end; what was written by the workspace's programs: untrusted."""


class VerificationList(Struct, frozen=True, kw_only=True):
    """The last verifications of a ticket, newest first."""

    verifications: tuple[VerificationView, ...]


class DayFigures(Struct, frozen=True, kw_only=True):
    """What one day cost, and how its runs ended."""

    day: str
    """In the budget's time zone, as `2026-01-31`."""
    usage: Usage = Usage()
    runs: int = 0
    succeeded: int = 0


class RunFigures(Struct, frozen=True, kw_only=True):
    """One run that has ended."""

    identifier: str
    generation: int
    waited_ms: int
    """From being ready to its start."""
    started_ms: int
    ended_ms: int
    outcome: str
    usage: Usage = Usage()


class Statistics(Struct, frozen=True, kw_only=True):
    """Figures of the past, for charts."""

    days: tuple[DayFigures, ...]
    """Oldest first, without gaps, up to today."""
    runs: tuple[RunFigures, ...]
    """Of these days, newest first, at most a thousand."""
    truncated: bool = False
    """There were more runs."""


class Check(Struct, frozen=True, kw_only=True):
    """One answer."""

    name: str
    status: Literal["pass", "warn", "fail", "skip"]
    detail: str
    fix: str = ""
    """What to do about it; empty when there is nothing to do."""
    figures: dict[str, int] = field(default_factory=dict[str, int])
    """What was counted, for programs."""


class DeliveryView(Struct, frozen=True, kw_only=True):
    """One call of a webhook, and what became of it."""

    number: int
    service: str
    id: str
    received_ms: int
    event: str
    ticket_id: str = ""
    ticket: str = ""
    """As people write it; for a delivery of a code host, the branch that it is about."""
    author: str = ""
    changes: str = ""
    outcome: str = "pending"
    """`pending`, `looked` (the ticket was read again), `ignored`, or `failed`."""
    detail: str = ""
    replays: int = 0


class DeliveryList(Struct, frozen=True, kw_only=True):
    """The newest deliveries, and what was turned away since the start."""

    deliveries: tuple[DeliveryView, ...]
    refused: dict[str, int] = field(default_factory=dict[str, int])
    """Reason to number; what is forged is counted and never kept."""


class WebhookCounts(Struct, frozen=True, kw_only=True):
    """Webhooks since the daemon's start."""

    accepted: int = 0
    """Genuine, new, and written down."""
    outcomes: dict[str, int] = field(default_factory=dict[str, int])
    """`looked`, `ignored` or `failed` to number."""
    refused: dict[str, int] = field(default_factory=dict[str, int])
    """Reason to number."""


class DashboardCode(Struct, frozen=True, kw_only=True):
    """What opens the dashboard once."""

    code: str
    expires_ms: int
