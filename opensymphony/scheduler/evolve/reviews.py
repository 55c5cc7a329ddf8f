"""What a decision about a pull request and its review changes."""

from __future__ import annotations

from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.decisions.roots import OfTicket
from opensymphony.scheduler.places import set_timer
from opensymphony.scheduler.state import Pull, State, entry_of

_HEARD_MAX = 5_000
"""More than a pull request shows at once: what is forgotten and shown again would be news again."""


def pull_request_noted(state: State, decision: d.PullRequestNoted) -> None:
    entry = entry_of(state, decision.ticket_id)
    if entry.pull is None or entry.pull.pull_request.id != decision.pull_request.id:
        entry.pull = Pull(pull_request=decision.pull_request)
    else:
        was_open, is_open = (one.state == "open" for one in (entry.pull.pull_request, decision.pull_request))
        if was_open and not is_open and entry.run is not None:
            entry.pull.ended_in = entry.run.generation
        entry.pull.pull_request = decision.pull_request


def _pull(state: State, decision: OfTicket) -> Pull:
    pull = entry_of(state, decision.ticket_id).pull
    if pull is None:
        raise KeyError(f"ticket {decision.ticket_id} has no pull request")
    return pull


def pull_request_tied(state: State, decision: d.PullRequestTied) -> None:
    _pull(state, decision).tied = decision.url


def review_heard(state: State, decision: d.ReviewHeard) -> None:
    pull = _pull(state, decision)
    pull.heard = (*pull.heard, *decision.heard)[-_HEARD_MAX:]
    if decision.wake_ms:
        set_timer(state, "review", decision.ticket_id, entry_of(state, decision.ticket_id).generation, decision.wake_ms)


def rounds_counted(state: State, decision: d.RoundsCounted) -> None:
    pull = _pull(state, decision)
    pull.rounds = decision.rounds
    pull.wake_ms = 0


def merge_awaited(state: State, decision: d.MergeAwaited) -> None:
    pull = _pull(state, decision)
    pull.unmerged = decision.reason
    pull.refused = decision.refused


def threads_settled(state: State, decision: d.ThreadsSettled) -> None:
    pull = _pull(state, decision)
    settled = {answer.thread_id for answer in decision.answers}
    pull.owed = tuple(thread for thread in pull.owed if thread not in settled)
    pull.answers = (*(one for one in pull.answers if one.thread_id not in settled), *decision.answers)


def thread_done(state: State, decision: d.ThreadDone) -> None:
    pull = _pull(state, decision)
    done = (decision.thread_id, decision.marker)
    pull.answers = tuple(one for one in pull.answers if done not in ((one.thread_id, one.marker), (one.thread_id, "")))
