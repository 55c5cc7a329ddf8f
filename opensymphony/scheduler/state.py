"""What the scheduler knows. Owned by the loop, changed only by `evolve`, written whole into checkpoints.

Ready tickets stand in heaps, one per capacity class; timers in one heap. Items are not searched for and removed: they carry a
stamp, and one whose stamp is no longer its ticket's is dead and dropped when it comes to the top.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from opensymphony.model import (
    AgentStatus,
    Asked,
    Claim,
    CommandKey,
    ConversationId,
    Launch,
    LogPosition,
    PersonMessage,
    Phase,
    PullRequest,
    ThreadAnswer,
    Ticket,
    TicketId,
    Usage,
    Verification,
    Work,
    Workspace,
)
from opensymphony.scheduler.budget import BudgetScope
from opensymphony.scheduler.commands import Command
from opensymphony.scheduler.decisions.roots import TimerKind
from opensymphony.scheduler.machine import Stage
from opensymphony.scheduler.outcomes import Outcome
from opensymphony.workflow.policy import Policy

ReadyItem = tuple[int, int, str, str, int]
"""Priority, created, identifier, ticket id, stamp: the order in which tickets start."""

TimerItem = tuple[int, int, TimerKind, str, int]
"""Due, serial, kind, ticket id, generation."""


class Ending(Struct, kw_only=True):
    """How a run ends, while its last stages still run."""

    outcome: Outcome
    reason: str
    clean: bool = False
    retry_after_ms: int | None = None
    scope: BudgetScope | None = None


class Run(Struct, kw_only=True):
    """One period of work on a ticket."""

    generation: int
    started_ms: int
    waited_ms: int = 0
    """From being ready to its start."""
    stage: Stage = "rereading"
    stage_ms: int = 0
    key: CommandKey | None = None
    """The stage's command; None while its next try is awaited."""
    command: Command | None = None
    """The stage's command, kept for its next try."""
    tries: int = 0
    """Failed tries of this stage."""
    claimed: bool = False
    prepared: bool = False
    """`before_run` was reached, so `after_run` is owed."""
    workspace: Workspace | None = None
    conversation_id: ConversationId | None = None
    message_key: CommandKey | None = None
    giving: tuple[PersonMessage, ...] = ()
    """Messages of people in what is being sent; should that fail, the next run gives them."""
    turns: int = 0
    continuations: int = 0
    delivered: bool = False
    """A commit of this run is where it belongs."""
    verifications: int = 0
    overflows: int = 0
    """Histories of this run that were too much for the model."""
    usage_earlier: Usage = Usage()
    """Of this run, in conversations before the one of now."""
    usage_before: Usage = Usage()
    usage_now: Usage = Usage()
    calling: bool = False
    """A message was, or may have been, delivered, and its turn is not settled: a model call may be in flight."""
    unsettled: Usage = Usage()
    """What a call that was in flight at a crash may have cost, until that is known."""
    actions: int = 0
    changes: int = -1
    """Of the conversation, as last heard; -1: nothing was heard yet."""
    repeats: int = 0
    progress_actions: int = 0
    """Actions and tokens of the conversation when it last made progress."""
    progress_tokens: int = 0
    fingerprint: str = ""
    """The agent's files when they were last looked at."""
    status: AgentStatus = "idle"
    tool_open: bool = False
    activity: str = ""
    last_activity_ms: int = 0
    final_text: str = ""
    work: Work | None = None
    verify_command: str = ""
    """The check as it was run, its template rendered."""
    verification: Verification | None = None
    timers: dict[str, int] = field(default_factory=dict[str, int])
    """When each kind of timer is due; an item of the heap with another time is dead."""
    look_key: CommandKey | None = None
    """Of a probe or a fingerprint that is under way."""
    stopping: Ending | None = None
    """A stop was begun; this is how the run ends once it is confirmed."""
    ending: Ending | None = None

    @property
    def usage(self) -> Usage:
        now = self.usage_now.since(self.usage_before)
        return self.usage_earlier + now if self.usage_earlier != Usage() else now

    @property
    def spent(self) -> Usage:
        """With what is not known yet at the most that it can be."""
        return self.usage + self.unsettled if self.unsettled.model_calls else self.usage


class Pull(Struct, kw_only=True):
    """A ticket's pull request, and what of its review was taken in."""

    pull_request: PullRequest
    tied: str = ""
    """The address that the ticket shows."""
    heard: tuple[str, ...] = ()
    """What was taken in: comments, verdicts, failed checks, conflicts."""
    rounds: int = 0
    """So often a review has started the ticket again since a person last had to do with it."""
    wake_ms: int = 0
    """When the ticket starts again because of its review; 0: it does not."""
    owed: tuple[str, ...] = ()
    """Threads that the agent was given, and that have no answer yet."""
    answers: tuple[ThreadAnswer, ...] = ()
    """What is being said in threads."""
    ended_in: int = 0
    """The run that was at work when it was merged or declined; 0: none was."""
    unmerged: str = ""
    """Why it is not merged by itself, where the policy wants that; empty while it is being merged."""
    refused: str = ""
    """The circumstances in which the code host refused to merge it."""


class Entry(Struct, kw_only=True):
    """One ticket and all that we keep about it."""

    ticket: Ticket
    phase: Phase = "waiting_to_start"
    since_ms: int = 0
    generation: int = 0
    step: int = 0
    """Counts commands; part of every key."""
    failures: int = 0
    due_ms: int | None = None
    ready_stamp: int = 0
    """Non-zero while the ticket stands in a ready heap."""
    read_ms: int = 0
    """When the ticket was last read or written by us; an older reading is no news."""
    resting_mark: str | None = None
    """What the ticket looked like when we put it down; a change to anything else wakes it."""
    abandoned: int = 0
    """Runs given up before their claim, in a row."""
    reason: str = ""
    hold: str = ""
    """Name of the rule that keeps a waiting ticket from being ready; empty when none does."""
    hold_ms: int = 0
    """Since when."""
    paused: bool = False
    paused_ms: int = 0
    messages: tuple[PersonMessage, ...] = ()
    """Of operators, to be given to the agent with its next turn."""
    heard: tuple[str, ...] = ()
    """Ids of the ticket's newest comments that were taken in."""
    heard_from: int = 0
    """The first comment that we saw; older ones, which may come to light when others are deleted, are no news."""
    stopped_ms: int = 0
    """When its last run began, or began to be stopped; what a person has said since then is an answer to how it ends."""
    scope: BudgetScope | None = None
    """Whose limit put the ticket down."""
    grants: int = 0
    """How often a person let it spend its own budget once more."""
    history: tuple[str, ...] = ()
    """How its last runs ended, newest first."""
    outcome: Outcome | None = None
    last_end: str = ""
    """Why the last run ended; what its successor is told."""
    run: Run | None = None
    usage: Usage = Usage()
    """Of earlier runs."""
    conversation_usage: Usage = Usage()
    """The conversation's totals as last known: what is above them at the next look is spent too."""
    turns: int = 0
    """Of earlier runs."""
    verifications: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    workspace: Workspace | None = None
    conversation_id: ConversationId | None = None
    position: LogPosition | None = None
    """In the conversation's log: the end of its last turn, after which the next one is looked for."""
    prompted: bool = False
    """The conversation has had the full prompt."""
    prompt_kind: str = ""
    """Of the last message: `full` or `continuation`."""
    asked: Asked | None = None
    """What the agent wants from a person."""
    asked_ms: int = 0
    ask_expires_ms: int = 0
    granted: tuple[str, ...] = ()
    """Digests of actions that a person has approved for the next run."""
    rehydration: str = ""
    """Why the next conversation is another one; empty when it is not."""
    rehydrations: int = 0
    """How often that was wanted; part of the id of a conversation."""
    rehydrated: str = ""
    """Why the conversation of now stands in for its predecessor; empty for one that does not."""
    predecessor: ConversationId | None = None
    """The conversation before, which is kept."""
    conversation_status: AgentStatus | None = None
    """As heard at the end of its last run."""
    conversation_ms: int = 0
    attached_ms: int = 0
    """When it was begun to make the conversation, and to open it last."""
    server: str = ""
    server_version: str = ""
    store: str = ""
    launch: Launch | None = None
    """What it works with, for people."""
    commit: str | None = None
    files: tuple[str, ...] = ()
    """That its work changes, as last looked at."""
    verified: bool | None = None
    final_text: str = ""
    note: str = ""
    pull: Pull | None = None
    claim: Claim | None = None
    """Ours, while we hold it."""
    comment: str = ""
    """The body last asked for."""
    comment_ms: int = 0
    """When the status comment was last written."""
    comment_due_ms: int = 0
    """When `comment` is to be written; 0: it is."""
    move_ms: int = 0
    """When a move that the tracker did not take is tried again; 0: none is."""


class State(Struct, kw_only=True):
    """Everything, at one moment between two events."""

    instance: str = ""
    policy: Policy | None = None
    policy_error: str | None = None
    entries: dict[TicketId, Entry] = field(default_factory=dict[TicketId, Entry])
    pending: dict[CommandKey, Command] = field(default_factory=dict[CommandKey, Command])
    """The outbox: every command that has no outcome yet, in the order of their decisions."""
    running: dict[TicketId, str] = field(default_factory=dict[TicketId, str])
    """Tickets with a run, and the capacity class each occupies."""
    ready: dict[str, list[ReadyItem]] = field(default_factory=dict[str, list[ReadyItem]])
    generations: dict[TicketId, int] = field(default_factory=dict[TicketId, int])
    """Of tickets that were forgotten: a number is never given twice."""
    timers: list[TimerItem] = field(default_factory=list[TimerItem])
    serial: int = 0
    occupied: dict[str, int] = field(default_factory=dict[str, int])
    """How many runs take a place of each further limit."""
    draining: bool = False
    paused: bool = False
    """An operator paused everything."""
    paused_ms: int = 0
    storage_error: str | None = None
    """What is wrong with the disk; nothing starts."""
    requests: dict[str, tuple[bool, str, str]] = field(default_factory=dict[str, tuple[bool, str, str]])
    """The newest requests of operators: whether they were accepted, what they were told, and what they were about."""
    day: str = ""
    spent_day: Usage = Usage()
    spent_project: Usage = Usage()
    server_error: str | None = None
    """Why the agent-server was given up; nothing starts."""
    now_ms: int = 0
    polled_ms: int | None = None
    poll_error: str | None = None
    poll_error_since_ms: int | None = None
    problems: tuple[str, ...] = ()
    others_ms: int = 0
    """When another daemon's claim was last seen on a ticket; 0: never."""


def is_live_timer(state: State, item: TimerItem) -> bool:
    """Whether a timer still means something."""
    _, _, kind, ticket_id, generation = item
    entry = state.entries.get(TicketId(ticket_id))
    if entry is not None and kind == "comment":
        return entry.comment_due_ms == item[0]
    if entry is not None and kind == "review":
        return entry.pull is not None and entry.pull.wake_ms == item[0]
    if entry is None or entry.generation != generation:
        return False
    if kind == "retry":
        return entry.phase == "retrying" and entry.due_ms == item[0]
    if kind == "clean":
        return entry.run is None and entry.phase == "closed" and entry.workspace is not None
    if kind == "ask":
        return entry.asked is not None and entry.ask_expires_ms == item[0]
    if kind in ("move", "settle"):
        at_rest = entry.phase in ("needs_person", "in_review") or (kind == "move" and entry.phase == "closed")
        return entry.run is None and at_rest and entry.move_ms == item[0]
    return entry.run is not None and entry.run.timers.get(kind) == item[0]


def pending_of(state: State, ticket_id: TicketId) -> Iterator[Command]:
    """What is wanted for a ticket and not settled yet."""
    return (command for command in state.pending.values() if command.ticket_id == ticket_id)


def next_due_ms(state: State) -> int | None:
    """When `TimePassed` is wanted next; None when nothing is due by itself."""
    return state.timers[0][0] if state.timers else None


def ready_ms(entry: Entry) -> int | None:
    """Since when nothing of its own keeps a waiting ticket from starting; None for one that does not wait for a place."""
    if entry.phase != "waiting_to_start" or not entry.ready_stamp:
        return None
    return max(entry.hold_ms, entry.since_ms)  # it may have been ready before, and worked on since


def entry_of(state: State, ticket_id: TicketId) -> Entry:
    """Raises `KeyError` for a ticket that the state does not know."""
    return state.entries[ticket_id]


def run_of(state: State, ticket_id: TicketId) -> Run:
    """Raises `KeyError` for a ticket without a run."""
    run = state.entries[ticket_id].run
    if run is None:
        raise KeyError(f"ticket {ticket_id} has no run")
    return run
