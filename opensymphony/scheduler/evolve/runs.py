"""What a decision about a run changes, from its start to its end."""

from __future__ import annotations

from opensymphony.model import Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.eligibility import resting_mark
from opensymphony.scheduler.evolve.tickets import comment_wanted
from opensymphony.scheduler.outcomes import OUTCOMES
from opensymphony.scheduler.places import leave, occupy, refresh_ready, set_timer, trim_ready
from opensymphony.scheduler.progress import failing_tests
from opensymphony.scheduler.state import Ending, Entry, Run, State, entry_of, ready_ms, run_of

_HISTORY_MAX = 10


def run_started(state: State, decision: d.RunStarted) -> None:
    entry = entry_of(state, decision.ticket_id)
    since_ms = ready_ms(entry)
    waited_ms = max(0, decision.at_ms - since_ms) if since_ms is not None else 0
    entry.phase = "running"
    entry.since_ms = decision.at_ms
    entry.generation = decision.generation
    entry.step = 0
    entry.due_ms = None
    entry.ready_stamp = 0
    entry.resting_mark = None
    entry.reason = ""
    entry.stopped_ms = decision.at_ms  # what was said before is no answer to how this run ends
    entry.scope = None
    entry.asked = None  # whatever it was, the run goes on without or with the answer
    entry.outcome = None
    entry.started_ms = decision.at_ms if entry.started_ms is None else entry.started_ms
    entry.ended_ms = None
    entry.run = Run(
        generation=decision.generation,
        started_ms=decision.at_ms,
        waited_ms=waited_ms,
        stage_ms=decision.at_ms,
        last_activity_ms=decision.at_ms,
    )
    occupy(state, entry)
    trim_ready(state)


def stage_entered(state: State, decision: d.StageEntered) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    if run.stage != decision.stage:
        run.tries = 0
    run.stage = decision.stage
    run.stage_ms = decision.at_ms
    run.key = decision.command.key
    run.command = decision.command
    run.last_activity_ms = decision.at_ms
    run.prepared = run.prepared or decision.stage in ("before_run", "opening")
    run.calling = run.calling or decision.stage == "sending"
    if isinstance(decision.command, c.VerifyWork):
        run.verify_command = decision.command.command
    elif isinstance(decision.command, c.WriteComment):
        comment_wanted(entry, decision.command, decision.at_ms)
    entry.step += 1
    state.pending[decision.command.key] = decision.command
    occupy(state, entry)


def stage_delayed(state: State, decision: d.StageDelayed) -> None:
    run = run_of(state, decision.ticket_id)
    run.key = None
    run.tries += 1
    run.activity = decision.error
    set_timer(state, "stage_retry", decision.ticket_id, run.generation, decision.due_ms)


def stage_planned(state: State, decision: d.StagePlanned) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    run.stage = decision.stage
    run.stage_ms = decision.at_ms
    run.key = None
    run.command = decision.command
    run.tries = 0
    run.last_activity_ms = decision.at_ms
    entry.step += 1
    set_timer(state, "stage_retry", decision.ticket_id, run.generation, decision.due_ms)


def workspace_assigned(state: State, decision: d.WorkspaceAssigned) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    entry.workspace = run.workspace = decision.workspace
    entry.note = ""


def conversation_assigned(state: State, decision: d.ConversationAssigned) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    is_another = decision.conversation_id != entry.conversation_id
    if run.conversation_id is not None:
        run.usage_earlier = run.usage
    if is_another or decision.created:
        _begin_conversation(entry, run, decision)
    entry.conversation_id = run.conversation_id = decision.conversation_id
    if decision.prompted is not None:
        entry.prompted = decision.prompted
    if decision.launch is not None:
        entry.launch = decision.launch
    entry.server, entry.server_version, entry.store = decision.server, decision.server_version, decision.store
    entry.attached_ms = run.stage_ms
    # What it used since it was last heard of is spent by this run: a call that was cut off is billed all the same.
    run.usage_before = run.usage_now = entry.conversation_usage
    note_usage(state, entry, run, decision.usage)


def _begin_conversation(entry: Entry, run: Run, decision: d.ConversationAssigned) -> None:
    """The totals of a conversation begin at nothing, and so does what is measured of its progress."""
    entry.prompted = False
    entry.position = None
    entry.conversation_usage = Usage()
    entry.conversation_ms = run.stage_ms
    entry.launch = None
    if decision.conversation_id != entry.conversation_id:
        entry.predecessor = entry.conversation_id
        entry.rehydrated = entry.rehydration
        entry.rehydration = ""
    run.actions, run.changes, run.repeats = 0, -1, 0
    run.progress_actions, run.progress_tokens = 0, 0


def turn_begun(state: State, decision: d.TurnBegun) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    entry.prompt_kind = "continuation" if entry.prompted else "full"
    entry.prompted = True
    run.giving = ()
    run.turns += 1
    run.message_key = decision.message_key
    run.last_activity_ms = decision.at_ms
    run.tool_open = False
    run.status = "running"


def progress_noted(state: State, decision: d.ProgressNoted) -> None:
    run = run_of(state, decision.ticket_id)
    run.status = decision.status
    run.tool_open = decision.tool_open
    run.last_activity_ms = decision.at_ms
    if decision.summary:
        run.activity = decision.summary
    if decision.usage is not None:
        note_usage(state, state.entries[decision.ticket_id], run, decision.usage)
    run.actions = decision.actions
    run.repeats = decision.repeats
    if decision.changes != run.changes:
        run.changes = decision.changes
        _note_progress(run)


def _note_progress(run: Run) -> None:
    run.progress_actions = run.actions
    run.progress_tokens = run.usage_now.total_tokens


def note_usage(state: State, entry: Entry, run: Run, total: Usage) -> None:
    """Count what the conversation used since it was last heard of; what stood in for it is taken off."""
    if run.unsettled.model_calls:
        state.spent_day = state.spent_day.since(run.unsettled)
        state.spent_project = state.spent_project.since(run.unsettled)
        run.unsettled = Usage()
    if total == run.usage_now:
        return
    used = total.since(run.usage_now)  # a report that comes late, with lower figures, takes nothing back
    newer = total.prompt_tokens >= run.usage_now.prompt_tokens and total.cost_micros >= run.usage_now.cost_micros
    run.usage_now = entry.conversation_usage = total if newer else run.usage_now + used
    state.spent_day = state.spent_day + used
    state.spent_project = state.spent_project + used


def silence_excused(state: State, decision: d.SilenceExcused) -> None:
    run = run_of(state, decision.ticket_id)
    run.last_activity_ms = decision.at_ms
    run.activity = decision.detail


def workspace_marked(state: State, decision: d.WorkspaceMarked) -> None:
    run = run_of(state, decision.ticket_id)
    run.fingerprint = decision.fingerprint
    if decision.changed:
        _note_progress(run)


def in_flight_counted(state: State, decision: d.InFlightCounted) -> None:
    run = run_of(state, decision.ticket_id)
    run.unsettled = run.unsettled + decision.usage
    run.calling = run.calling and not decision.last
    state.spent_day = state.spent_day + decision.usage
    state.spent_project = state.spent_project + decision.usage


def usage_settled(state: State, decision: d.UsageSettled) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    note_usage(state, entry, run, decision.usage)
    run.calling = False


def turn_settled(state: State, decision: d.TurnSettled) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    note_usage(state, entry, run, decision.usage)
    entry.position = decision.position
    run.calling = False
    run.final_text = decision.final_text
    run.tool_open = False


def work_noted(state: State, decision: d.WorkNoted) -> None:
    run_of(state, decision.ticket_id).work = decision.work
    entry_of(state, decision.ticket_id).files = decision.work.files_changed


def verification_noted(state: State, decision: d.VerificationNoted) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    if run.verification is None or failing_tests(run.verification) != failing_tests(decision.verification):
        _note_progress(run)
    run.verification = decision.verification
    run.verifications += 1
    entry.verified = decision.verification.passed


def commit_delivered(state: State, decision: d.CommitDelivered) -> None:
    entry_of(state, decision.ticket_id).commit = decision.commit
    run_of(state, decision.ticket_id).delivered = True


def continuation_counted(state: State, decision: d.ContinuationCounted) -> None:
    run_of(state, decision.ticket_id).continuations += 1


def stop_begun(state: State, decision: d.StopBegun) -> None:
    run = run_of(state, decision.ticket_id)
    run.stopping = Ending(outcome=decision.outcome, reason=decision.reason, clean=decision.clean, scope=decision.scope)
    entry = entry_of(state, decision.ticket_id)
    entry.stopped_ms = decision.at_ms
    entry.resting_mark = resting_mark(entry.ticket)


def ending_chosen(state: State, decision: d.EndingChosen) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    run.ending = Ending(
        outcome=decision.outcome,
        reason=decision.reason,
        clean=decision.clean,
        retry_after_ms=decision.retry_after_ms,
        scope=decision.scope,
    )
    run.tool_open = False
    entry.reason = decision.reason
    if run.stopping is None:
        # A person's change from now on, while the last stages run, is an answer to this ending.
        entry.resting_mark = resting_mark(entry.ticket)


def ending_amended(state: State, decision: d.EndingAmended) -> None:
    run = run_of(state, decision.ticket_id)
    if run.ending is not None:
        run.ending.reason = decision.reason


def _close_run(entry: Entry, run: Run, at_ms: int) -> None:
    entry.conversation_status = run.status if run.conversation_id is not None else entry.conversation_status
    entry.usage = entry.usage + run.spent
    entry.messages = (*run.giving, *entry.messages)
    entry.turns += run.turns
    entry.verifications += run.verifications
    entry.final_text = run.final_text or entry.final_text
    entry.ended_ms = at_ms
    entry.since_ms = at_ms
    entry.run = None


def run_ended(state: State, decision: d.RunEnded) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    _close_run(entry, run, decision.at_ms)
    leave(state, decision.ticket_id)
    entry.phase = OUTCOMES[decision.outcome].phase
    entry.outcome = decision.outcome
    entry.scope = run.ending.scope if run.ending is not None else None
    entry.reason = entry.last_end = decision.reason
    ended = f"run {run.generation}: {decision.outcome}" + (f": {decision.reason}" if decision.reason else "")
    entry.history = (ended, *entry.history[: _HISTORY_MAX - 1])
    entry.failures = decision.failures
    entry.due_ms = decision.due_ms
    if entry.phase in ("in_review", "needs_person", "closed"):
        entry.granted = ()  # an approval is for the run that it began, and for those that a failure or a restart makes of it
    if entry.phase not in ("in_review", "needs_person", "closed"):
        entry.resting_mark = None
    if decision.due_ms is not None:
        set_timer(state, "retry", decision.ticket_id, entry.generation, decision.due_ms)
    refresh_ready(state, entry)


def run_abandoned(state: State, decision: d.RunAbandoned) -> None:
    entry, run = entry_of(state, decision.ticket_id), run_of(state, decision.ticket_id)
    _close_run(entry, run, decision.at_ms)
    leave(state, decision.ticket_id)
    entry.phase = "retrying" if decision.due_ms is not None else "waiting_to_start"
    entry.abandoned += 1
    entry.reason = decision.reason
    entry.due_ms = decision.due_ms
    if decision.due_ms is not None:
        set_timer(state, "retry", decision.ticket_id, entry.generation, decision.due_ms)
    refresh_ready(state, entry)
