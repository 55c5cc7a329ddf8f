"""Looks on: keeps its own account of what each daemon decided and did, and asks the invariants about it."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from opensymphony.model import Phase, TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.outcomes import OUTCOMES
from tests.simulation import invariants, whole

if TYPE_CHECKING:
    from tests.simulation.daemon import Daemon
    from tests.simulation.server import Talk
    from tests.simulation.world import World

_WHOLE_EVERY = 1_000
_WORD = re.compile(r"word \d+\.")


class Violation(Exception):
    """An invariant does not hold."""

    def __init__(self, name: str, sentence: str, detail: str, log: Iterable[str] = (), steps: int = 0) -> None:
        self.name, self.sentence, self.detail, self.log = name, sentence, detail, tuple(log)
        self.steps = steps
        super().__init__(f"{name}: {sentence} {detail}")


class Account(Struct, kw_only=True):
    """Of one run, from its start to its end, as told by decisions and by what was begun."""

    generation: int
    stage: str = "rereading"
    claimed: bool = False
    claim_tried: bool = False
    lost: bool = False
    released: bool = False
    hooked: bool = False
    after_run: bool = False
    owes_after_run: bool = False
    owes_report: bool = False
    reports: set[str] = field(default_factory=set[str])
    """Bodies of its final comment."""
    report_keys: set[str] = field(default_factory=set[str])
    report_failed: bool = False
    deferred: bool = False
    """Its final comment waits for the pause after another one."""
    stopping: bool = False
    stopped: bool = False


class Ledger:
    """What one daemon has said, in so far as its journal holds it."""

    def __init__(self) -> None:
        self.phases: dict[TicketId, Phase] = {}
        self.runs: dict[TicketId, Account] = {}
        self.keys: set[str] = set()
        self.answered: Counter[str] = Counter()
        self.rounds: dict[TicketId, e.Event] = {}
        """What began the last round of a review."""
        self.commented: dict[TicketId, tuple[int, str]] = {}
        """When the comment on a ticket was written last, and what it said."""
        self.paused = False
        self.paused_tickets: set[TicketId] = set()
        self.disk: str | None = None
        self.draining = False
        self.day = ""
        self.policy_ms = 0
        self.asked: dict[TicketId, str] = {}
        """The digest of the approval that is asked for last."""
        self.approved: set[str] = set()
        self.words: dict[str, TicketId] = {}
        """Messages that were accepted."""
        self.delivered: set[str] = set()
        self.unreleased: set[str] = set()
        """Tickets whose claim could not be taken off, for good."""
        self.tells: tuple[Any, Any] | None = None


class Watch:
    """One for a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledgers: dict[str, Ledger] = {}
        self.log: deque[tuple[int, str, Any, tuple[Any, ...]]] = deque(maxlen=40)
        self.steps = self.checks = 0
        self.stages_seen: set[tuple[str, str]] = set()
        self.phases_seen: set[tuple[str, str]] = set()
        self.outcomes: Counter[str] = Counter()

    def ledger(self, daemon: Daemon) -> Ledger:
        found = self.ledgers.get(daemon.name)
        if found is None:
            found = self.ledgers[daemon.name] = Ledger()
        return found

    def ask(self, rule: Callable[..., str | None], *args: Any) -> None:
        """Raise a `Violation` when the rule has something to say."""
        against = rule(*args)
        if against is not None:
            log = [_line(*one) for one in self.log]
            raise Violation(rule.__name__, (rule.__doc__ or "").strip().splitlines()[0], against, log, self.steps)

    # steps ---------------------------------------------------------------------------------------------------------

    def before_step(self, daemon: Daemon, event: e.Event) -> None:
        self.ledger(daemon).tells = _usage_told(daemon, event)

    def after_step(self, daemon: Daemon, event: e.Event, decisions: tuple[d.Decision, ...]) -> None:
        ledger = self.ledger(daemon)
        self.steps += 1
        self.log.append((daemon.now_ms, daemon.name, event, decisions))
        self._facts(daemon, ledger, event)
        if not decisions:
            return
        touched: dict[TicketId, None] = {}
        for decision in decisions:
            note = _NOTES.get(type(decision))
            if note is not None:
                note(self, daemon, ledger, decision, event)
            ticket_id = getattr(decision, "ticket_id", None)
            if ticket_id is not None:
                touched[ticket_id] = None
        self.ask(invariants.limits_are_kept, daemon, decisions)
        self.ask(invariants.the_global_count_is_right, daemon)
        for ticket_id in touched:
            self.ask(invariants.a_ticket_is_somewhere, daemon, ledger, ticket_id)
        if ledger.tells is not None:
            self.ask(invariants.what_was_told_is_counted, daemon, ledger.tells[0].ticket_id)
        if isinstance(event, e.DaemonStarted):
            self.ask(invariants.a_crash_only_overcounts, daemon)

    def _facts(self, daemon: Daemon, ledger: Ledger, event: e.Event) -> None:
        """What the daemon knows from now on, whatever it makes of it."""
        if ledger.tells is not None:
            daemon.books.tell(*ledger.tells, daemon.now_ms)
            daemon.unheard.discard(ledger.tells[0].ticket_id)
        match event:
            case e.DaemonStarted():
                ledger.draining, ledger.disk = False, None
            case e.ShutdownRequested():
                ledger.draining = True
            case e.StorageNoted():
                ledger.disk = event.error
            case e.DayBegan() if event.day != ledger.day:
                ledger.day = event.day
                daemon.books.day_begins()
            case e.CommandFailed():
                account = ledger.runs.get(TicketId(event.key.partition("#")[0]))
                if account is not None and event.key in account.report_keys:
                    account.report_failed = event.error_class != "retry"
                if event.error_class != "retry" and event.key.endswith("release-claim"):
                    ledger.unreleased.add(event.key.partition("#")[0])
            case _:
                pass

    def batch_over(self, daemon: Daemon) -> None:
        """Everything decided was begun: now and then everything is looked at."""
        if self.steps // _WHOLE_EVERY > self.checks:
            self.checks = self.steps // _WHOLE_EVERY
            for one in self.world.daemons:
                if one.alive and one.state.policy is not None:
                    self.whole(one)

    def whole(self, daemon: Daemon) -> None:
        for rule in whole.RULES:
            self.ask(rule, daemon)

    def dies(self, daemon: Daemon) -> None:
        self.log.append((daemon.now_ms, daemon.name, "DIES", ()))
        self.ask(whole.recovery_equals_the_live_state, daemon)
        if daemon.state.policy is not None:
            for rule in whole.AT_CRASH:
                self.ask(rule, daemon)

    def booted(self, daemon: Daemon) -> None:
        self.log.append((daemon.now_ms, daemon.name, "BOOTS", ()))

    # the world -----------------------------------------------------------------------------------------------------

    def command_begins(self, daemon: Daemon, command: c.Command) -> None:
        ledger = self.ledger(daemon)
        account = ledger.runs.get(command.ticket_id)
        if account is None or account.generation != command.generation:
            return
        if isinstance(command, c.OpenConversation) or (isinstance(command, c.RunHook) and command.name == "before_run"):
            account.hooked = True
        elif isinstance(command, c.RunHook):
            account.after_run = True
        self.ask(invariants.what_is_stopped_is_not_begun_again, account, command)
        if isinstance(command, c.AwaitTurn):
            self.ask(invariants.only_what_was_approved_is_carried_out, ledger, command)

    def effect(self, daemon: Daemon, command: c.Command) -> None:
        if isinstance(command, c.ClaimTicket):
            account = self.ledger(daemon).runs.get(command.ticket_id)
            held = self.world.board.cards[command.ticket_id].claim
            if account is not None and held is not None and held.instance == daemon.name:
                account.claim_tried = True
        elif isinstance(command, c.SendMessage):
            self.ask(invariants.no_agent_hears_a_stranger, command)
            if "word " in command.text:
                self.ledger(daemon).delivered.update(_WORD.findall(command.text))

    def message_arrives(self, daemon: Daemon, talk: Talk) -> None:
        self.ask(invariants.one_turn_at_a_time, talk)

    def agent_starts(self, daemon: Daemon, talk: Talk) -> None:
        self.ask(invariants.one_conversation_of_a_ticket_runs, self.world, talk)

    def call_begins(self, daemon: Daemon, talk: Talk) -> None:
        if daemon.alive:
            self.ask(invariants.agents_run_only_for_live_runs, daemon, talk)
            self.ask(invariants.no_call_begins_beyond_a_limit, daemon, self.ledger(daemon), talk)

    def billed(self, daemon: Daemon) -> None:
        if daemon.alive:
            self.ask(invariants.a_limit_is_overrun_by_calls_in_flight, daemon)


def _usage_told(daemon: Daemon, event: e.Event) -> tuple[Any, Any] | None:
    """The conversation and its total, if the event says one that has to be counted."""
    state = daemon.state
    if isinstance(event, e.TurnProgressed):
        entry, usage = state.entries.get(event.ticket_id), event.progress.usage
        if entry is None or entry.run is None or entry.generation != event.generation or usage is None:
            return None
        talk = daemon.server.talks.get(entry.run.conversation_id) if entry.run.conversation_id else None
        return (talk, usage) if talk is not None and entry.run.stage in ("working", "stopping") else None
    if not isinstance(event, e.TurnEnded | e.RunStopped | e.ConversationOpened):
        return None
    command = state.pending.get(event.key)
    entry = state.entries.get(command.ticket_id) if command is not None else None
    if command is None or entry is None or entry.run is None or entry.generation != command.generation:
        return None
    if isinstance(event, e.ConversationOpened):
        if entry.run.key != event.key:
            return None
        return daemon.server.talks[event.conversation.id], event.conversation.usage
    usage = event.end.usage if isinstance(event, e.TurnEnded) else event.usage
    talk = daemon.server.talks.get(entry.run.conversation_id) if entry.run.conversation_id else None
    return (talk, usage) if talk is not None and usage is not None else None


def _line(at_ms: int, name: str, event: Any, decisions: tuple[Any, ...]) -> str:
    if isinstance(event, str):
        return f"{at_ms % 86_400_000 / 1000:9.1f}s {name} {event}"
    about = getattr(event, "key", None) or getattr(event, "ticket_id", None) or getattr(event, "action", "") or ""
    if isinstance(event, e.TicketChanged):
        about = f"{event.ticket.id} {event.ticket.state}"
    elif isinstance(event, e.CommandFailed):
        about = f"{about} ({event.error_class})"
    said = " ".join(_word(decision) for decision in decisions)
    return f"{at_ms % 86_400_000 / 1000:9.1f}s {name} {type(event).__name__} {about} -> {said}"


def _word(decision: Any) -> str:
    extra = getattr(decision, "stage", None) or getattr(decision, "outcome", None) or getattr(decision, "kind", None)
    return type(decision).__name__ + (f"({extra})" if extra else "")


# what each decision says -------------------------------------------------------------------------------------------


def _phase(watch: Watch, daemon: Daemon, ledger: Ledger, ticket_id: TicketId, phase: Phase) -> None:
    before = ledger.phases.get(ticket_id)
    ledger.phases[ticket_id] = phase
    if before is not None and before != phase:
        watch.phases_seen.add((before, phase))
        watch.ask(invariants.phases_follow_the_table, ticket_id, before, phase)


def _tracked(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.TicketTracked, event: e.Event) -> None:
    ledger.phases.setdefault(decision.ticket.id, "waiting_to_start")


def _forgotten(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.TicketForgotten, event: e.Event) -> None:
    ledger.phases.pop(decision.ticket_id, None)
    ledger.paused_tickets.discard(decision.ticket_id)
    daemon.books.told_ticket.pop(decision.ticket_id, None)
    ledger.words = {word: one for word, one in ledger.words.items() if one != decision.ticket_id}


def _woken(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.TicketWoken, event: e.Event) -> None:
    watch.ask(invariants.who_waits_for_a_person_is_woken_by_one, ledger, decision, event)
    _phase(watch, daemon, ledger, decision.ticket_id, "waiting_to_start")


def _parked(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.TicketParked, event: e.Event) -> None:
    _phase(watch, daemon, ledger, decision.ticket_id, "needs_person")


def _closed(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.TicketClosed, event: e.Event) -> None:
    _phase(watch, daemon, ledger, decision.ticket_id, "closed")


def _started(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.RunStarted, event: e.Event) -> None:
    watch.ask(invariants.a_ticket_has_one_run, ledger, decision)
    watch.ask(invariants.nothing_starts_against_a_rule, daemon, ledger, decision)
    _phase(watch, daemon, ledger, decision.ticket_id, "running")
    ledger.runs[decision.ticket_id] = Account(generation=decision.generation)
    daemon.books.run_begins(decision.ticket_id)


def _stage(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.StageEntered, event: e.Event) -> None:
    account = ledger.runs[decision.ticket_id]
    watch.ask(invariants.stages_follow_the_table, decision, account)
    watch.stages_seen.add((account.stage, decision.stage))
    account.stage = decision.stage
    if isinstance(decision, d.StagePlanned):
        return
    _command(watch, daemon, ledger, decision, event)
    if decision.stage == "claiming" and isinstance(event, e.TicketReread):
        watch.ask(invariants.nothing_starts_against_a_rule, daemon, ledger, decision)
    elif decision.stage == "reporting" and isinstance(decision.command, c.WriteComment):
        account.reports.add(decision.command.body)
        account.report_keys.add(decision.command.key)


def _command(watch: Watch, daemon: Daemon, ledger: Ledger, decision: Any, event: e.Event) -> None:
    watch.ask(invariants.a_key_is_used_once, ledger, decision.command)
    ledger.keys.add(decision.command.key)
    if isinstance(decision.command, c.WriteComment):
        watch.ask(invariants.comments_are_apart, daemon, ledger, decision.command, decision.at_ms)
        ledger.commented[decision.command.ticket_id] = (decision.at_ms, decision.command.body)
    elif isinstance(decision.command, c.MergePullRequest):
        watch.ask(invariants.only_what_is_approved_is_merged, daemon, decision.command)
    account = ledger.runs.get(decision.command.ticket_id)
    if account is not None and isinstance(decision.command, c.ReleaseClaim):
        account.released = True


def _deferred(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.CommentDeferred, event: e.Event) -> None:
    account, run = ledger.runs.get(decision.ticket_id), daemon.state.entries[decision.ticket_id].run
    if account is not None and run is not None and run.ending is not None:
        account.deferred = True


def _round(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.RoundsCounted, event: e.Event) -> None:
    watch.ask(invariants.a_review_does_not_go_on_for_ever, daemon, decision)
    if isinstance(event, e.TimePassed) and decision.rounds:
        ledger.rounds[decision.ticket_id] = event


def _claim_held(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.ClaimHeld, event: e.Event) -> None:
    account = ledger.runs.get(decision.ticket_id)
    if account is not None and decision.sure:
        account.claimed = True


def _claim_lost(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.ClaimLost, event: e.Event) -> None:
    account = ledger.runs[decision.ticket_id]
    account.lost, account.owes_report = True, False  # also in its last stages: the ticket is another daemon's


def _stop_begun(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.StopBegun, event: e.Event) -> None:
    ledger.runs[decision.ticket_id].stopping = True


def _ending(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.EndingChosen, event: e.Event) -> None:
    account = ledger.runs[decision.ticket_id]
    watch.ask(invariants.nothing_runs_when_a_run_ends, daemon, decision.ticket_id)
    policy = daemon.state.policy
    assert policy is not None
    account.owes_report = policy.reporting.comment and account.claimed and not account.lost
    account.owes_after_run = account.hooked and policy.hooks.after_run is not None


def _ended(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.RunEnded, event: e.Event) -> None:
    account = ledger.runs.pop(decision.ticket_id)
    watch.outcomes[decision.outcome] += 1
    for rule in invariants.AT_THE_END_OF_A_RUN:
        watch.ask(rule, daemon, decision, account)
    _phase(watch, daemon, ledger, decision.ticket_id, OUTCOMES[decision.outcome].phase)


def _abandoned(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.RunAbandoned, event: e.Event) -> None:
    account = ledger.runs.pop(decision.ticket_id)
    watch.outcomes["(abandoned)"] += 1
    watch.ask(invariants.only_runs_without_effect_are_abandoned, account, decision)
    _phase(watch, daemon, ledger, decision.ticket_id, "waiting_to_start" if decision.due_ms is None else "retrying")


def _request(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.RequestNoted, event: e.Event) -> None:
    ledger.answered[decision.request_id] += 1
    watch.ask(invariants.a_request_is_answered_once, ledger, decision)
    if isinstance(event, e.TicketCommented):
        _commented(watch, ledger, decision, event)
    elif decision.accepted and isinstance(event, e.OperatorAsked):
        if event.action == "message" and event.ticket_id is not None:
            ledger.words[event.text] = event.ticket_id
        elif event.action == "approve" and event.ticket_id is not None:
            watch.ask(invariants.an_approval_is_for_what_was_shown, ledger, event)
            ledger.approved.add(ledger.asked[event.ticket_id])
        elif event.action in ("pause", "resume"):
            paused = event.action == "pause"
            if event.ticket_id is None:
                ledger.paused = paused
            elif paused:
                ledger.paused_tickets.add(event.ticket_id)
            else:
                ledger.paused_tickets.discard(event.ticket_id)


def _commented(watch: Watch, ledger: Ledger, decision: d.RequestNoted, event: e.TicketCommented) -> None:
    watch.ask(invariants.no_stranger_is_obeyed, decision, event)
    text = event.comment.text
    if decision.accepted and _WORD.fullmatch(text):
        ledger.words[text] = event.ticket_id
    elif decision.accepted and text.startswith("/approve"):
        watch.ask(invariants.a_comment_approves_what_was_shown, ledger, event)
        ledger.approved.add(ledger.asked[event.ticket_id])


def _asked(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.PersonAsked, event: e.Event) -> None:
    ledger.asked[decision.ticket_id] = decision.asked.digest if decision.asked.kind == "approval" else ""


def _policy(watch: Watch, daemon: Daemon, ledger: Ledger, decision: d.PolicyAdopted, event: e.Event) -> None:
    ledger.policy_ms = event.at_ms
    daemon.books.crossed.clear()


_NOTES: dict[type, Callable[[Watch, Daemon, Ledger, Any, e.Event], None]] = {
    d.TicketTracked: _tracked,
    d.TicketForgotten: _forgotten,
    d.TicketWoken: _woken,
    d.TicketParked: _parked,
    d.TicketClosed: _closed,
    d.RunStarted: _started,
    d.StageEntered: _stage,
    d.StagePlanned: _stage,
    d.CommandIssued: _command,
    d.CommentDeferred: _deferred,
    d.RoundsCounted: _round,
    d.ClaimHeld: _claim_held,
    d.ClaimLost: _claim_lost,
    d.StopBegun: _stop_begun,
    d.EndingChosen: _ending,
    d.RunEnded: _ended,
    d.RunAbandoned: _abandoned,
    d.RequestNoted: _request,
    d.PersonAsked: _asked,
    d.PolicyAdopted: _policy,
}
