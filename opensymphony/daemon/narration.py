"""Tells the log what happens with each ticket: durable decisions in, one line for each step of a run out."""

from __future__ import annotations

from opensymphony.logs import about, get_logger
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.state import State

_BRIEF = (
    *("rereading", "claiming", "announcing", "sending", "collecting", "stopping"),
    *("transitioning", "reporting", "releasing"),
)
"""Stages that say nothing to a person: what they lead to is told instead."""
_ENDINGS_TO_WARN_OF = ("failed", "gave_up", "stalled", "no_progress", "timed_out", "over_budget")

log = get_logger(__name__)


class Narration:
    """Watches decisions; a line is written after they are durable."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._problems: tuple[str, ...] = ()

    def __call__(self, decisions: tuple[d.Decision, ...], at_ms: int) -> None:
        for decision in decisions:
            if isinstance(decision, d.PollNoted):
                self._tell_problems(decision.problems)
            told = _told(decision)
            if told is None:
                continue
            event, facts, warn = told
            ticket_id = getattr(decision, "ticket_id", None)
            entry = self._state.entries.get(ticket_id) if ticket_id is not None else None
            with about(
                issue_identifier=entry.ticket.identifier if entry is not None else None,
                run=entry.generation if entry is not None else None,
            ):
                (log.warning if warn else log.info)(event, **{key: value for key, value in facts.items() if value})

    def _tell_problems(self, problems: tuple[str, ...]) -> None:
        """Each once: a malformed ticket is malformed at every poll."""
        for problem in problems:
            if problem not in self._problems:
                log.warning("ticket problem", problem=problem)
        self._problems = problems


def _told(decision: d.Decision) -> tuple[str, dict[str, object], bool] | None:
    """What to say of a decision, with which facts, and whether it is a warning; None for what only we need."""
    match decision:
        case d.RunStarted():
            return "run begun", {}, False
        case d.StageEntered(stage=stage) if stage not in _BRIEF:
            return "stage", {"stage": stage}, False
        case d.StageDelayed():
            return "stage is tried again", {"error": decision.error}, True
        case d.VerificationNoted(verification=verification):
            passed = "passed" if verification.passed else "failed"
            return f"verification {passed}", {"exit_code": verification.exit_code}, not verification.passed
        case d.CommitDelivered():
            return "commit delivered", {"commit": decision.commit[:12]}, False
        case d.RunEnded(outcome=outcome):
            return "run ended", {"outcome": outcome, "reason": decision.reason}, outcome in _ENDINGS_TO_WARN_OF
        case d.RunAbandoned() | d.TicketClosed():
            name = "run not begun" if isinstance(decision, d.RunAbandoned) else "ticket closed"
            return name, {"reason": decision.reason}, False
        case d.WorkspaceRemoved():
            return ("workspace kept" if decision.note else "workspace removed"), {"reason": decision.note}, False
        case d.StopBegun() | d.TicketParked():
            name = "run is being stopped" if isinstance(decision, d.StopBegun) else "ticket put down"
            return name, {"outcome": decision.outcome, "reason": decision.reason}, False
        case d.PullRequestNoted(pull_request=pull):
            return f"pull request {pull.state}", {"url": pull.url}, pull.state == "declined"
        case d.MessageQueued(message=message) if message.from_review:
            return "the review has news", {"threads": len(message.threads)}, False
        case d.ThreadsSettled(answers=answers):
            return "threads are answered", {"threads": len(answers)}, False
        case d.SilenceExcused():
            return "a tool call is silent, but at work", {"detail": decision.detail}, False
        case _:
            return _told_of_everything(decision)


def _told_of_everything(decision: d.Decision) -> tuple[str, dict[str, object], bool] | None:
    """The same for what is not about one run."""
    match decision:
        case d.RequestNoted():
            facts: dict[str, object] = {"request_id": decision.request_id, "answer": decision.answer}
            return ("request accepted" if decision.accepted else "request refused"), facts, False
        case d.PauseSet():
            return ("paused" if decision.paused else "resumed"), {"all": decision.ticket_id is None}, False
        case d.DayTurned():
            return "a day of the budget begins", {"day": decision.day}, False
        case d.StorageErrorNoted(error=None):
            return "the disk is well again", {}, False
        case d.StorageErrorNoted():
            return "nothing new starts", {"error": decision.error}, True
        case d.ServerGivenUp():
            return "the agent-server is given up: nothing starts until the next start", {"error": decision.error}, True
        case _:
            return None
