"""What holds at every step: each rule looks at one thing and says what is against it, or None."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opensymphony.model import Phase, Ticket, TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.claims import STALE_AFTER_MS
from opensymphony.scheduler.machine import PHASES, may_follow
from opensymphony.workflow.policy import Policy
from tests.simulation.server import INPUT_MAX, OUTPUT_MAX

if TYPE_CHECKING:
    from tests.simulation.daemon import Daemon
    from tests.simulation.server import Talk
    from tests.simulation.watch import Account, Ledger
    from tests.simulation.world import World

_CALL = INPUT_MAX + OUTPUT_MAX


# starting ----------------------------------------------------------------------------------------------------------


def a_ticket_has_one_run(ledger: Ledger, started: d.RunStarted) -> str | None:
    """A run starts only on a ticket without one, with a number of its own."""
    return f"{started.ticket_id} has a run already" if started.ticket_id in ledger.runs else None


def nothing_starts_against_a_rule(
    daemon: Daemon, ledger: Ledger, decision: d.RunStarted | d.StageEntered
) -> str | None:
    """Nothing starts while paused, draining or without disk, and no ticket that is not ours, blocked or a parent."""
    state = daemon.state
    ticket, policy = state.entries[decision.ticket_id].ticket, state.policy
    assert policy is not None
    against = against_starting(ticket, policy)
    if isinstance(decision, d.RunStarted) and against is None:
        if ledger.paused or decision.ticket_id in ledger.paused_tickets:
            against = "it is paused"
        elif ledger.draining or ledger.disk is not None:
            against = f"draining: {ledger.draining}, disk: {ledger.disk}"
    return f"{decision.ticket_id}: {against}" if against else None


def against_starting(ticket: Ticket, policy: Policy) -> str | None:
    """The world's own idea of eligibility."""
    done = policy.tracker.terminal_states
    if ticket.state not in policy.tracker.active_states:
        return f"its state is {ticket.state}"
    if policy.tracker.assignee not in (None, ticket.assignee):
        return f"it is assigned to {ticket.assignee}"
    if not set(policy.tracker.required_labels) <= set(ticket.labels):
        return f"its labels are {ticket.labels}"
    for other in (*ticket.blocked_by, *ticket.children):
        if other.state not in done:
            return f"it waits for {other.identifier} ({other.state})"
    return None


def limits_are_kept(daemon: Daemon, decisions: tuple[d.Decision, ...]) -> str | None:
    """When a run starts, no limit of places is passed: of all, of its state, of its labels."""
    policy = daemon.state.policy
    for decision in decisions:
        if isinstance(decision, d.RunStarted) and policy is not None:
            against = _places(daemon, policy, decision.ticket_id)
            if against:
                return against
    return None


def _places(daemon: Daemon, policy: Policy, ticket_id: TicketId) -> str | None:
    entries, agent = daemon.state.entries, policy.agent
    running = [entry for entry in entries.values() if entry.run is not None]
    if len(running) > agent.max_concurrent_agents:
        return f"{len(running)} runs, of {agent.max_concurrent_agents}"
    for label in entries[ticket_id].ticket.labels:
        limit = agent.max_concurrent_agents_by_label.get(label)
        count = sum(label in entry.ticket.labels for entry in running)
        if limit is not None and count > limit:
            return f"{count} runs with the label {label}, of {limit}"
    state = entries[ticket_id].ticket.state.lower()
    limit = agent.max_concurrent_agents_by_state.get(state)
    count = sum(entry.ticket.state.lower() == state for entry in running)
    if limit is not None and count > limit:
        return f"{count} runs in the state {state}, of {limit}"
    return None


def the_global_count_is_right(daemon: Daemon) -> str | None:
    """The places taken are counted as they are."""
    state = daemon.state
    if any(state.entries[ticket_id].run is None for ticket_id in state.running if ticket_id in state.entries):
        return "a place is taken by a ticket without a run"
    return "a negative count" if any(count < 1 for count in state.occupied.values()) else None


# where tickets are ---------------------------------------------------------------------------------------------------


def a_ticket_is_somewhere(daemon: Daemon, ledger: Ledger, ticket_id: TicketId) -> str | None:
    """A ticket is running, waiting, retrying with a timer, or resting with a way to be woken; its phase is as decided."""
    entry = daemon.state.entries.get(ticket_id)
    if entry is None:
        return f"{ticket_id} is forgotten and counted" if ticket_id in daemon.state.running else None
    if ledger.phases.get(ticket_id) != entry.phase:
        return f"{ticket_id} is {entry.phase}, and was decided to be {ledger.phases.get(ticket_id)}"
    run = entry.run
    if (run is not None) != (entry.phase == "running") or (run is not None) != (ticket_id in daemon.state.running):
        return f"{ticket_id} is {entry.phase} and {'has a' if run else 'has no'} run"
    if run is not None:
        if run.key is not None:
            return None if run.key in daemon.state.pending else f"{ticket_id} waits for {run.key}, which is not pending"
        return None if "stage_retry" in run.timers else f"{ticket_id} is in {run.stage} and waits for nothing"
    match entry.phase:
        case "waiting_to_start":
            against = not entry.hold and not entry.ready_stamp and daemon.state.policy is not None
            return f"{ticket_id} waits, neither ready nor kept by a rule" if against else None
        case "retrying":
            return f"{ticket_id} is to be tried again, never" if entry.due_ms is None else None
        case _:
            return f"{ticket_id} rests and cannot be woken" if entry.resting_mark is None else None


def phases_follow_the_table(ticket_id: TicketId, before: Phase, after: Phase) -> str | None:
    """A ticket goes from one phase to another as `machine.PHASES` allows."""
    return None if after in PHASES[before].leads_to else f"{ticket_id}: {before} to {after}"


def stages_follow_the_table(entered: d.StageEntered | d.StagePlanned, account: Account) -> str | None:
    """A run goes from one stage to another as `machine.STAGES` allows; `stopping` is left by a confirmed stop."""
    before: Any = account.stage
    if not may_follow(before, entered.stage):
        return f"{entered.ticket_id}: {before} to {entered.stage}"
    return None


def who_waits_for_a_person_is_woken_by_one(ledger: Ledger, woken: d.TicketWoken, event: e.Event) -> str | None:
    """What waits for a person is woken by a person, a new day or a new policy; what is in review also by that."""
    if ledger.phases.get(woken.ticket_id) not in ("needs_person", "in_review"):
        return None
    known = (e.TicketChanged, e.TicketCommented, e.OperatorAsked, e.DayBegan, e.PolicyLoaded, e.CommandOutcome)
    reviewed = ledger.phases[woken.ticket_id] == "in_review" and ledger.rounds.get(woken.ticket_id) is event
    return None if isinstance(event, known) or reviewed else f"{woken.ticket_id} by {type(event).__name__}"


def a_review_does_not_go_on_for_ever(daemon: Daemon, counted: d.RoundsCounted) -> str | None:
    """So often it starts a ticket again, and then a person decides."""
    policy = daemon.state.policy
    assert policy is not None
    return f"{counted.ticket_id}: {counted.rounds}" if counted.rounds > policy.review.max_rounds + 1 else None


# commands ----------------------------------------------------------------------------------------------------------


def a_key_is_used_once(ledger: Ledger, command: c.Command) -> str | None:
    """The key of a command is never used a second time."""
    return command.key if command.key in ledger.keys else None


def comments_are_apart(daemon: Daemon, ledger: Ledger, command: c.WriteComment, at_ms: int) -> str | None:
    """Watchers of a ticket are told things with the pause that the policy wants; at its end a daemon waits for nothing."""
    policy, last = daemon.state.policy, ledger.commented.get(command.ticket_id)
    assert policy is not None
    if last is None or daemon.state.draining or last[1] == command.body:
        return None
    apart_ms = at_ms - last[0]
    return f"{command.ticket_id}: {apart_ms} ms" if apart_ms < policy.reporting.comment_interval_ms else None


def a_request_is_answered_once(ledger: Ledger, noted: d.RequestNoted) -> str | None:
    """A request of an operator is answered once."""
    return noted.request_id if ledger.answered[noted.request_id] > 1 else None


def an_approval_is_for_what_was_shown(ledger: Ledger, event: e.OperatorAsked) -> str | None:
    """An approval is taken only while one is asked for, and only for the actions with the digest that it names."""
    asked = ledger.asked.get(event.ticket_id or TicketId(""), "")
    if not asked:
        return f"{event.ticket_id} asks for no approval"
    return (
        None if asked.startswith(event.digest) else f"{event.ticket_id} asks for {asked}, approved was {event.digest}"
    )


def a_comment_approves_what_was_shown(ledger: Ledger, event: e.TicketCommented) -> str | None:
    """So it is with a comment; it has to name the digest, and its author to be one who may instruct."""
    digest, asked = event.comment.text.partition(" ")[2], ledger.asked.get(event.ticket_id, "")
    if event.comment.author != "boss" or not digest or not asked.startswith(digest):
        return f"{event.ticket_id} asks for {asked!r}, approved was {digest!r} by {event.comment.author}"
    return None


def no_stranger_is_obeyed(noted: d.RequestNoted, event: e.TicketCommented) -> str | None:
    """What somebody says who may not instruct is no request."""
    return None if event.comment.author == "boss" else f"{noted.request_id}: {event.comment.text}"


def no_agent_hears_a_stranger(command: c.SendMessage) -> str | None:
    """Nor is it given to an agent as a message."""
    return command.key if "foreign " in command.text else None


def only_what_was_approved_is_carried_out(ledger: Ledger, command: c.AwaitTurn) -> str | None:
    """An agent is let do only what an operator has approved; a message, an answer or a restart approves nothing."""
    beyond = set(command.granted) - ledger.approved
    return f"{command.key} grants {beyond}" if beyond else None


def only_what_is_approved_is_merged(daemon: Daemon, command: c.MergePullRequest) -> str | None:
    """By somebody who may, as it is; and never while its ticket is being worked on, or has other work than that."""
    policy, entry = daemon.state.policy, daemon.state.entries[command.ticket_id]
    card = daemon.world.board.cards[command.ticket_id]
    assert policy is not None
    approved = any(one.author == "boss" and one.commit == command.head for one in card.reviews)
    if policy.merge.when == "never" or not approved or entry.run is not None or entry.commit != command.head:
        return command.key
    return None


def what_is_stopped_is_not_begun_again(account: Account, command: c.Command) -> str | None:
    """While a run is being stopped, none of its work is begun, also not by a restart."""
    work = (
        c.PrepareWorkspace,
        c.OpenConversation,
        c.SendMessage,
        c.AwaitTurn,
        c.CollectWork,
        c.VerifyWork,
        c.PushCommit,
    )
    return command.key if account.stage == "stopping" and isinstance(command, work) else None


# agents ------------------------------------------------------------------------------------------------------------


def one_turn_at_a_time(talk: Talk) -> str | None:
    """No message is sent to an agent that works on another one."""
    return f"{talk.ticket_id}: {talk.key}" if talk.running else None


def one_conversation_of_a_ticket_runs(world: World, talk: Talk) -> str | None:
    """At most one conversation of a ticket is running, over all daemons but dead ones whose claim is stale."""
    for daemon in world.daemons:
        if talk.ticket_id in daemon.unobserved:
            continue  # its server refuses to stop it, and the daemon still tries
        if not daemon.alive and _is_stale(daemon, talk.ticket_id):
            continue  # nobody is there to stop it: docs/operations.md, "Two daemons"
        for other in daemon.books.talks.get(talk.ticket_id, ()):
            if other is not talk and other.running:
                return f"{talk.ticket_id}: {talk.id}, and {other.id} of {daemon.name}"
    return None


def _is_stale(daemon: Daemon, ticket_id: TicketId) -> bool:
    """Whether its claim was renewed so long ago that somebody else may take the ticket."""
    entry = daemon.state.entries.get(ticket_id)
    claim = entry.claim if entry is not None else None
    return claim is not None and daemon.now_ms - claim.heartbeat_ms >= STALE_AFTER_MS


def agents_run_only_for_live_runs(daemon: Daemon, talk: Talk) -> str | None:
    """While its daemon lives, an agent runs only for a run that has not ended and is this conversation's."""
    entry = daemon.state.entries.get(talk.ticket_id)
    run = entry.run if entry is not None else None
    if run is None or run.ending is not None:
        return f"{talk.ticket_id}: {'its run is ending' if run else 'it has no run'}"
    return None


def nothing_runs_when_a_run_ends(daemon: Daemon, ticket_id: TicketId) -> str | None:
    """A run begins to end only when no agent of its ticket runs."""
    for talk in daemon.books.talks.get(ticket_id, ()):
        if talk.running:
            return f"{ticket_id}: {talk.id} runs"
    return None


# the end of a run --------------------------------------------------------------------------------------------------


def a_finished_run_is_reported_once(daemon: Daemon, ended: d.RunEnded, account: Account) -> str | None:
    """A run that had claimed its ticket ends with one final comment, which stands on the ticket."""
    policy = daemon.state.policy
    assert policy is not None
    if len(account.reports) > 1:
        return f"{ended.ticket_id}: {len(account.reports)} different final comments"
    if not account.owes_report or not policy.reporting.comment or account.report_failed:
        return None
    said = daemon.world.board.cards[ended.ticket_id].comments
    mine = [key for instance, _, key in said if instance == daemon.name]
    if account.deferred:
        return None  # it may still wait: `timers_are_there`
    if not account.reports or not any(key in account.report_keys for key in mine):
        return f"{ended.ticket_id}: run {account.generation} is not reported"
    return None if mine[-1] in account.report_keys else f"{ended.ticket_id}: its final comment was written over"


def after_run_runs_on_every_path(daemon: Daemon, ended: d.RunEnded, account: Account) -> str | None:
    """`after_run` ran where `before_run` was reached, however the run ended."""
    policy = daemon.state.policy
    assert policy is not None
    owed = account.owes_after_run and policy.hooks.after_run is not None
    return f"{ended.ticket_id}: run {account.generation}" if owed and not account.after_run else None


def a_claim_is_taken_off(daemon: Daemon, ended: d.RunEnded, account: Account) -> str | None:
    """A run that may have written a claim takes it off, unless another instance has the ticket."""
    owed = account.claim_tried and not account.lost and not account.released
    return f"{ended.ticket_id}: run {account.generation}" if owed else None


def what_was_billed_is_counted(daemon: Daemon, ended: d.RunEnded, account: Account) -> str | None:
    """When a run has ended, nothing of its ticket's conversations is uncounted: no call is in flight any more."""
    entry = daemon.state.entries.get(ended.ticket_id)
    if entry is None or entry.run is not None or ended.ticket_id in daemon.unheard:
        return None
    billed = daemon.books.billed_ticket(ended.ticket_id)
    if entry.usage.total_tokens < billed:
        return f"{ended.ticket_id}: {billed} tokens were billed, {entry.usage.total_tokens} are counted"
    return None


AT_THE_END_OF_A_RUN = (
    a_finished_run_is_reported_once,
    after_run_runs_on_every_path,
    a_claim_is_taken_off,
    what_was_billed_is_counted,
)


def only_runs_without_effect_are_abandoned(account: Account, abandoned: d.RunAbandoned) -> str | None:
    """A run is given up without its last stages only before it has written anything; a claim is taken off."""
    left = account.claimed or account.hooked or (account.claim_tried and not account.released)
    return f"{abandoned.ticket_id}: run {account.generation} ({abandoned.reason})" if left else None


# budgets -------------------------------------------------------------------------------------------------------------


def what_was_told_is_counted(daemon: Daemon, ticket_id: TicketId) -> str | None:
    """Usage that the daemon was told counts: for the run, the ticket, the day and the project."""
    state, books = daemon.state, daemon.books
    entry = state.entries.get(ticket_id)
    counted = {"day": state.spent_day, "project": state.spent_project}
    if entry is not None:
        counted["ticket"] = entry.usage + entry.run.spent if entry.run is not None else entry.usage
        if entry.run is not None:
            counted["run"] = entry.run.spent
    for scope, usage in counted.items():
        told = books.told_of(scope, ticket_id)
        if usage.total_tokens < told.total_tokens or usage.cost_micros < told.cost_micros:
            return f"{scope} of {ticket_id}: {usage.total_tokens} tokens are counted, {told.total_tokens} were told"
    return None


def a_crash_only_overcounts(daemon: Daemon) -> str | None:
    """After a start, what the state counts as spent is not below what was billed, unless agents went on meanwhile."""
    if daemon.world.given.has("outliving") or daemon.state.policy is None:
        return None
    counted, billed = daemon.state.spent_project.total_tokens, daemon.books.billed.total_tokens
    return f"{billed} tokens were billed, {counted} are counted" if counted < billed else None


def no_call_begins_beyond_a_limit(daemon: Daemon, ledger: Ledger, talk: Talk) -> str | None:
    """No model call begins when the daemon knows that a limit is reached, unless its run is being stopped already."""
    entry, policy, books = daemon.state.entries[talk.ticket_id], daemon.state.policy, daemon.books
    if entry.run is None or entry.run.stopping is not None or policy is None:
        return None
    if books.told_ms.get(talk.id, 0) <= ledger.policy_ms:
        return None  # the policy is newer than what the daemon last decided about this conversation
    for scope in ("run", "ticket", "day", "project"):
        limit = getattr(policy.budget, scope)
        told = books.told_of(scope, talk.ticket_id)
        if limit.tokens is not None and told.total_tokens >= limit.tokens:
            return f"{talk.ticket_id}: {told.total_tokens} of {limit.tokens} tokens ({scope})"
        if limit.cost_micros is not None and told.cost_micros >= limit.cost_micros:
            return f"{talk.ticket_id}: {told.cost_micros} of {limit.cost_micros} micros ({scope})"
    return None


def a_limit_is_overrun_by_calls_in_flight(daemon: Daemon) -> str | None:
    """Beyond the call that crosses a limit, at most one call of each conversation that runs then is billed."""
    policy, books, scenario = daemon.state.policy, daemon.books, daemon.world.given
    if policy is None or scenario.has("stops") or scenario.has("outliving"):
        return None
    for scope, before in (("day", books.day_before.total_tokens), ("project", 0)):
        limit = getattr(policy.budget, scope).tokens
        billed = books.billed.total_tokens - before
        if limit is None or billed < limit:
            continue
        if scope not in books.crossed:
            running = sum(talk.running for talks in books.talks.values() for talk in talks)
            books.crossed[scope] = (limit, billed, running)
        _, then, running = books.crossed[scope]
        if billed > then + running * _CALL:
            return f"{scope}: {billed} tokens of {limit}; {then} when {running} conversations ran"
    return None
