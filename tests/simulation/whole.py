"""What holds for everything a daemon knows: asked at every crash, every thousand steps, and when a day is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opensymphony.model import TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler.explain import rules, sentence
from opensymphony.scheduler.records import encode_state
from tests.simulation.invariants import against_starting

if TYPE_CHECKING:
    from tests.simulation.daemon import Daemon
    from tests.simulation.world import World


def recovery_equals_the_live_state(daemon: Daemon) -> str | None:
    """The state folded from the bytes of checkpoint and journal is the live one."""
    recovered, live = encode_state(daemon.recovered()), encode_state(daemon.state)
    if recovered == live:
        return None
    at = next((i for i, (one, other) in enumerate(zip(recovered, live, strict=False)) if one != other), 0)
    return f"...{recovered[max(0, at - 60) : at + 40]!r} and not ...{live[max(0, at - 60) : at + 40]!r}"


def somebody_works_on_every_pending_command(daemon: Daemon) -> str | None:
    """Every pending command is in flight, what a stop is ending, or about to be taken up after a start."""
    for key, command in daemon.state.pending.items():
        entry = daemon.state.entries.get(command.ticket_id)
        stopped = entry is not None and entry.run is not None and entry.run.stage == "stopping"
        if key not in daemon.flights and not stopped and key not in daemon.to_take_up:
            return f"nobody works on {key}"
    return None


def timers_are_there(daemon: Daemon) -> str | None:
    """What is to be tried again stands in the heap of timers, and so does what ready means in the heaps of the ready."""
    state = daemon.state
    timers = {(kind, ticket_id, due_ms) for due_ms, _, kind, ticket_id, _ in state.timers}
    ready = {(item[3], item[4]) for heap in state.ready.values() for item in heap}
    for ticket_id, entry in state.entries.items():
        if entry.phase == "retrying" and ("retry", ticket_id, entry.due_ms) not in timers:
            return f"nothing wakes {ticket_id}"
        if entry.ready_stamp and (ticket_id, entry.ready_stamp) not in ready:
            return f"{ticket_id} is ready and in no heap"
        if entry.comment_due_ms and ("comment", ticket_id, entry.comment_due_ms) not in timers:
            return f"the comment on {ticket_id} is never written"
        run = entry.run
        if run is not None and run.key is None and ("stage_retry", ticket_id, run.timers["stage_retry"]) not in timers:
            return f"nothing goes on with {ticket_id} in {run.stage}"
        held = run is not None and run.ending is None and run.stopping is None and run.claimed
        if run is not None and held and ("heartbeat", ticket_id, run.timers.get("heartbeat")) not in timers:
            return f"the claim on {ticket_id} is not renewed"
    return None


def every_wait_is_explained(daemon: Daemon) -> str | None:
    """Each ticket has a sentence about why it is where it is; one that would start next has been started."""
    for ticket_id, entry in daemon.state.entries.items():
        said = sentence(daemon.state, entry)
        if not said and entry.phase not in ("closed", "in_review"):
            return f"{ticket_id} is {entry.phase}, and nothing says why"
        waits = entry.phase == "waiting_to_start" and entry.run is None
        broken = next((rule.text for rule in rules(daemon.state, entry) if not rule.holds), None) if waits else None
        if broken is not None and broken != said:
            return f"{ticket_id}: {said!r} is said, and by the rules {broken!r}"
        if said == "it starts next":
            return f"{ticket_id} could start and does not"
    return None


def threads_are_answered_once(daemon: Daemon) -> str | None:
    """In no thread two answers are told apart."""
    for card in daemon.world.board.cards.values():
        threads = [thread for thread, _ in card.answers]
        if len(threads) != len(set(threads)):
            return f"{card.id}: {sorted(card.answers)}"
    return None


def places_are_counted(daemon: Daemon) -> str | None:
    """Runs and places taken are the same thing."""
    state = daemon.state
    runs = {ticket_id for ticket_id, entry in state.entries.items() if entry.run is not None}
    return None if runs == set(state.running) else f"{runs.symmetric_difference(state.running)}"


def only_live_runs_have_agents(daemon: Daemon) -> str | None:
    """Every agent that runs belongs to a run that has not ended."""
    for talks in daemon.books.talks.values():
        for talk in talks:
            entry = daemon.state.entries.get(talk.ticket_id)
            if talk.running and (entry is None or entry.run is None or entry.run.ending is not None):
                return f"{talk.ticket_id}: {talk.id}"
    return None


RULES = (
    somebody_works_on_every_pending_command,
    timers_are_there,
    every_wait_is_explained,
    places_are_counted,
    threads_are_answered_once,
    only_live_runs_have_agents,
)
AT_CRASH = (timers_are_there, every_wait_is_explained, places_are_counted)


# at the end of a day -------------------------------------------------------------------------------------------------


def everything_has_come_to_rest(daemon: Daemon) -> str | None:
    """When the world behaves, nothing runs, nothing is pending, and nothing is to be tried again."""
    state = daemon.state
    if not daemon.alive:
        return f"{daemon.name} is not up"
    if state.running or state.pending:
        return f"runs: {list(state.running)[:5]}, pending: {list(state.pending)[:5]}"
    again = [ticket_id for ticket_id, entry in state.entries.items() if entry.phase == "retrying"]
    return f"to be tried again: {again[:5]}" if again else None


def no_claim_is_left(world: World) -> str | None:
    """When nothing runs, no ticket carries a claim, but where the tracker refused for good to take it off."""
    refused = {ticket_id for ledger in world.watch.ledgers.values() for ticket_id in ledger.unreleased}
    held = [(card.id, card.claim) for card in world.board.live() if card.claim is not None and card.id not in refused]
    left = [f"{ticket_id} ({claim.instance})" for ticket_id, claim in held]
    return f"claims are left on {', '.join(left[:5])}" if left else None


def no_ticket_is_lost(daemon: Daemon) -> str | None:
    """A ticket that is ours is known as it stands on the board, and is not taken for closed."""
    policy = daemon.state.policy
    assert policy is not None
    for card in daemon.world.board.live():
        ticket = daemon.world.board.ticket(card.id)
        assert ticket is not None
        if ticket.state not in policy.tracker.active_states:
            continue
        entry = daemon.state.entries.get(card.id)
        if entry is None or entry.ticket != ticket:
            return f"{card.id} is not known as it is: {entry and entry.ticket}"
        if entry.phase == "closed" and against_starting(ticket, policy) is None:
            return f"{card.id} is taken for closed: {entry.reason}"
    return None


def no_message_is_lost(daemon: Daemon) -> str | None:
    """What an operator was told would be given to the agent was given, or waits still, or its ticket is closed."""
    ledger = daemon.world.watch.ledger(daemon)
    for word, ticket_id in ledger.words.items():
        entry = daemon.state.entries.get(TicketId(ticket_id))
        if entry is None or entry.phase == "closed" or word in ledger.delivered:
            continue
        if all(word not in message.text for message in entry.messages):
            return f"{ticket_id}: {word!r}"
    return None


def every_thread_has_its_answer(daemon: Daemon) -> str | None:
    """What is to be said in a review was said, as far as its pull request is still there."""
    for ticket_id, entry in daemon.state.entries.items():
        card = daemon.world.board.cards[ticket_id]
        same = entry.pull is not None and card.pull is not None and card.pull.id == entry.pull.pull_request.id
        if entry.pull is not None and same and entry.pull.answers and entry.phase != "closed":
            return f"{ticket_id}: {entry.pull.answers}"
    return None


def every_command_is_known(daemon: Daemon) -> str | None:
    """Nothing is in flight that is not pending."""
    left = [key for key, flight in daemon.flights.items() if not isinstance(flight.command, c.StopRun)]
    return f"in flight: {left[:5]}" if left else None


AT_REST = (
    everything_has_come_to_rest,
    no_ticket_is_lost,
    no_message_is_lost,
    every_thread_has_its_answer,
    every_command_is_known,
)
