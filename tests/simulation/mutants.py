"""Defects planted into the real scheduler, each a small change of one rule, which the simulation has to find."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from opensymphony.model import Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.evolve import APPLY
from opensymphony.scheduler.machine import OUTCOME_OF

Plant = Callable[[pytest.MonkeyPatch], None]


class Mutant(Struct, frozen=True, kw_only=True):
    """One defect."""

    name: str
    breaks: str
    """The promise that does not hold any more."""
    only: str
    """The kinds of trouble that bring it out."""
    plant: Plant


def _module(name: str) -> Any:
    """By its name: `scheduler.decide` and `scheduler.evolve` are hidden by the functions they are about."""
    return sys.modules[f"opensymphony.scheduler.{name}"]


def _applies(patch: pytest.MonkeyPatch, decision: type, change: Callable[[Any, Any, Any], None]) -> None:
    """Replace what a decision does to the state; `change` gets the original first."""
    original = APPLY[decision]
    patch.setitem(APPLY, decision, lambda state, taken: change(original, state, taken))


def _wrap(patch: pytest.MonkeyPatch, module: str, name: str, change: Callable[..., Any]) -> None:
    """Replace a function wherever the scheduler has imported it; `change` gets the original first."""
    original = getattr(_module(module), name)

    def changed(*args: Any, **fields: Any) -> Any:
        return change(original, *args, **fields)

    for known in [known for known in sys.modules if known.startswith("opensymphony.scheduler")]:
        if sys.modules[known].__dict__.get(name) is original:
            patch.setattr(sys.modules[known], name, changed)


def _all_that_is_pending(state: Any, wanted: Any) -> list[Any]:
    return [command for key, command in state.pending.items() if key in wanted]


def _late_outcomes_are_taken(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, event: Any) -> Any:
        entry = state.entries.get(event.key.partition("#")[0])
        run = entry.run if entry is not None else None
        late = event.key not in state.pending and run is not None and run.key is not None
        if late and isinstance(event, OUTCOME_OF[type(run.command)]):
            event = replace(event, key=run.key)
        return original(state, event)

    _wrap(patch, "decide", "_command_outcome", change)


def _a_stop_ends_at_once(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, plan: Any, outcome: Any, reason: str, **fields: Any) -> None:
        _module("endings").choose_ending(plan, outcome, reason)

    _wrap(patch, "endings", "begin_stop", change)


def _retries_have_no_timer(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, kind: str, *args: Any) -> None:
        if kind != "retry":
            original(state, kind, *args)

    _wrap(patch, "places", "set_timer", change)
    patch.setattr(_module("evolve.runs"), "set_timer", _module("places").set_timer)


def _one_agent_too_many(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, at_ms: int) -> Any:
        policy = state.policy
        if policy is None:
            return original(state, at_ms)
        agent = replace(policy.agent, max_concurrent_agents=policy.agent.max_concurrent_agents + 1)
        state.policy = replace(policy, agent=agent)
        try:
            return original(state, at_ms)
        finally:
            state.policy = policy

    _wrap(patch, "dispatch", "fill", change)


def _labels_have_no_limit(patch: pytest.MonkeyPatch) -> None:
    _wrap(
        patch,
        "eligibility",
        "places_of",
        lambda original, limit, policy: 99 if "label" in limit else original(limit, policy),
    )


def _claims_stay(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, plan: Any, ending: Any, stage: str) -> bool:
        return False if stage == "releasing" else original(plan, ending, stage)

    _wrap(patch, "endings", "_enter", change)


def _after_run_is_skipped_after_a_stop(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, plan: Any, ending: Any, stage: str) -> bool:
        return False if stage == "after_run" and plan.run.stopping is not None else original(plan, ending, stage)

    _wrap(patch, "endings", "_enter", change)


def _the_day_is_free(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, decision: Any) -> None:
        spent = state.spent_day
        original(state, decision)
        state.spent_day = spent

    _applies(patch, d.ProgressNoted, change)


def _usage_of_a_stopped_turn_is_lost(patch: pytest.MonkeyPatch) -> None:
    _applies(patch, d.UsageSettled, lambda original, state, decision: None)


def _a_crash_costs_nothing(patch: pytest.MonkeyPatch) -> None:
    _applies(patch, d.InFlightCounted, lambda original, state, decision: None)


def _limits_are_seen_too_late(patch: pytest.MonkeyPatch) -> None:
    _wrap(patch, "budget", "limit_reached", lambda original, *args, **fields: None)


def _pending_commands_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("tests.simulation.daemon.unfinished", lambda state, wanted: [])


def _stopped_work_is_taken_up_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "tests.simulation.daemon.unfinished",
        lambda state, wanted: [state.pending[key] for key in wanted if key in state.pending],
    )


def _a_boot_forgets_the_pause(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, decision: Any) -> None:
        original(state, decision)
        state.paused = False

    _applies(patch, d.BootNoted, change)


def _stages_are_not_in_the_journal(patch: pytest.MonkeyPatch) -> None:
    from tests.simulation import daemon

    encode = daemon.encode_record

    def without_one(record: Any) -> bytes:
        kept = tuple(one for one in record.decisions if not isinstance(one, d.TimerSet))
        return encode(replace(record, decisions=kept))

    patch.setattr(daemon, "encode_record", without_one)


def _requests_are_not_remembered(patch: pytest.MonkeyPatch) -> None:
    _applies(patch, d.RequestNoted, lambda original, state, decision: None)


def _blocked_tickets_start(patch: pytest.MonkeyPatch) -> None:
    _wrap(patch, "eligibility", "order_rules", lambda original, ticket, policy: iter(()))


def _a_running_ticket_that_is_taken_away_goes_on(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, decision: Any) -> None:
        entry = state.entries[decision.ticket_id]
        original(state, decision)
        entry.resting_mark = None

    _applies(patch, d.StopBegun, change)


def _messages_to_resting_tickets_are_dropped(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, decision: Any) -> None:
        if state.entries[decision.ticket_id].run is not None:
            original(state, decision)

    _applies(patch, d.MessageQueued, change)


def _a_claim_is_never_renewed_in_time(patch: pytest.MonkeyPatch) -> None:
    _wrap(patch, "claims", "ran_out", lambda original, entry, at_ms: False)


def _keys_begin_anew(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, decision: Any) -> None:
        entry = state.entries[decision.ticket_id]
        original(state, decision)
        entry.step = 0

    _applies(patch, d.StopBegun, change)


def _a_lost_agent_is_left_alone(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, plan: Any, command: Any, event: e.CommandFailed) -> None:
        if isinstance(command, c.AwaitTurn) and plan.entry.run is not None and plan.entry.run.key == command.key:
            _module("endings").choose_ending(plan, "failed", event.error)
        else:
            original(plan, command, event)

    _wrap(patch, "failed_commands", "command_failed", change)


def _budgets_wake_by_themselves(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, event: Any) -> Any:
        woken = tuple(
            d.TicketWoken(at_ms=event.at_ms, ticket_id=ticket_id)
            for ticket_id, entry in state.entries.items()
            if entry.phase == "needs_person"
        )
        return (*original(state, event), *woken)

    handlers = _module("decide")._HANDLERS
    patch.setitem(
        handlers,
        e.PollCompleted,
        lambda state, event, original=handlers[e.PollCompleted]: change(original, state, event),
    )


def _what_was_spent_before_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, decision: Any) -> None:
        original(state, decision)
        state.entries[decision.ticket_id].usage = Usage()

    _applies(patch, d.RunEnded, change)


def _a_message_approves(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, decision: Any) -> None:
        entry = state.entries[decision.ticket_id]
        if entry.asked is not None:
            entry.granted = (*entry.granted, entry.asked.digest)
        original(state, decision)

    _applies(patch, d.MessageQueued, change)


def _everybody_may_instruct(patch: pytest.MonkeyPatch) -> None:
    _wrap(patch, "comments", "may_instruct", lambda original, author, policy: True)


def _what_was_heard_is_heard_again(patch: pytest.MonkeyPatch) -> None:
    _applies(patch, d.CommentHeard, lambda original, state, decision: None)


def _comments_wait_for_ever(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, state: Any, kind: str, ticket_id: Any, *args: Any) -> None:
        original(state, kind, ticket_id, *args)
        if kind == "comment":
            state.timers[:] = [item for item in state.timers if item[2] != "comment" or item[3] != ticket_id]

    _wrap(patch, "places", "set_timer", change)
    patch.setattr(_module("evolve.tickets"), "set_timer", _module("places").set_timer)


def _comments_never_wait(patch: pytest.MonkeyPatch) -> None:
    _wrap(patch, "status_comment", "defer_comment", lambda original, plan, body: False)


def _reviews_have_no_end(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, plan: Any) -> None:
        original(plan)
        if plan.entry.pull.rounds:
            plan.decisions[:] = [one for one in plan.decisions if not isinstance(one, d.TicketParked)]
            if not any(isinstance(one, d.TicketWoken | d.CommandIssued) for one in plan.decisions):
                _module("endings").wake(plan)

    _wrap(patch, "reviews", "begin_round", change)


def _any_approval_counts(patch: pytest.MonkeyPatch) -> None:
    def change(original: Any, policy: Any, reading: Any) -> str:
        return original(replace(policy, merge=replace(policy.merge, approvers=("*",))), reading)

    _wrap(patch, "merging", "_unapproved", change)


def _any_digest_is_met(patch: pytest.MonkeyPatch) -> None:
    _wrap(
        patch,
        "asks",
        "_open_approval",
        lambda original, plan, event: original(plan, replace(event, digest="")),
    )


MUTANTS = (
    Mutant(
        name="late",
        breaks="a late outcome changes nothing",
        only="late,doubled",
        plant=_late_outcomes_are_taken,
    ),
    Mutant(
        name="stop", breaks="a run ends when its stop is confirmed", only="operators,people", plant=_a_stop_ends_at_once
    ),
    Mutant(name="timer", breaks="a retry has a timer", only="failures", plant=_retries_have_no_timer),
    Mutant(name="capacity", breaks="no more agents than the policy says", only="none", plant=_one_agent_too_many),
    Mutant(name="label", breaks="no more of a label than the policy says", only="none", plant=_labels_have_no_limit),
    Mutant(name="claim", breaks="our claim is taken off in the end", only="none", plant=_claims_stay),
    Mutant(
        name="after_run",
        breaks="after_run runs on every path",
        only="operators",
        plant=_after_run_is_skipped_after_a_stop,
    ),
    Mutant(name="day", breaks="what is spent counts for the day", only="none", plant=_the_day_is_free),
    Mutant(
        name="stopped",
        breaks="a turn that is cut off is paid",
        only="operators",
        plant=_usage_of_a_stopped_turn_is_lost,
    ),
    Mutant(
        name="in_flight", breaks="a call in flight at a crash counts", only="crash,stops", plant=_a_crash_costs_nothing
    ),
    Mutant(name="limit", breaks="no call begins beyond a limit", only="budgets", plant=_limits_are_seen_too_late),
    Mutant(
        name="pending",
        breaks="pending commands are taken up again",
        only="crash",
        plant=_pending_commands_are_forgotten,
    ),
    Mutant(
        name="again",
        breaks="what is being stopped is not begun again",
        only="crash,operators",
        plant=_stopped_work_is_taken_up_again,
    ),
    Mutant(name="pause", breaks="a pause outlives a restart", only="crash,operators", plant=_a_boot_forgets_the_pause),
    Mutant(name="journal", breaks="recovery equals the live state", only="crash", plant=_stages_are_not_in_the_journal),
    Mutant(name="request", breaks="a request is answered once", only="operators", plant=_requests_are_not_remembered),
    Mutant(name="blocked", breaks="a blocked ticket does not start", only="none", plant=_blocked_tickets_start),
    Mutant(
        name="mark",
        breaks="what rests can be woken",
        only="people,operators",
        plant=_a_running_ticket_that_is_taken_away_goes_on,
    ),
    Mutant(
        name="message",
        breaks="a message is given to the agent",
        only="operators",
        plant=_messages_to_resting_tickets_are_dropped,
    ),
    Mutant(
        name="stale",
        breaks="a ticket is let go before another daemon may have it",
        only="second,outage,crash",
        plant=_a_claim_is_never_renewed_in_time,
    ),
    Mutant(name="key", breaks="a key is used once", only="operators,people", plant=_keys_begin_anew),
    Mutant(name="lost", breaks="no run ends while its agent works", only="failures", plant=_a_lost_agent_is_left_alone),
    Mutant(name="approval", breaks="a message approves nothing", only="agents,operators", plant=_a_message_approves),
    Mutant(
        name="digest", breaks="an approval is for what was shown", only="agents,operators", plant=_any_digest_is_met
    ),
    Mutant(name="stranger", breaks="no stranger is obeyed", only="people", plant=_everybody_may_instruct),
    Mutant(name="deferred", breaks="a comment that waits is written", only="none", plant=_comments_wait_for_ever),
    Mutant(name="flood", breaks="comments are apart", only="none", plant=_comments_never_wait),
    Mutant(name="merged", breaks="only what is approved is merged", only="none", plant=_any_approval_counts),
    Mutant(name="rounds", breaks="a review does not go on for ever", only="none", plant=_reviews_have_no_end),
    Mutant(name="comment", breaks="a request is answered once", only="people", plant=_what_was_heard_is_heard_again),
    Mutant(
        name="person", breaks="who waits for a person is woken by one", only="none", plant=_budgets_wake_by_themselves
    ),
    Mutant(
        name="ticket",
        breaks="what earlier runs cost stays counted",
        only="none",
        plant=_what_was_spent_before_is_forgotten,
    ),
)
