"""One sentence for each kind of decision that people are told of.

Texts of agents, people and trackers stand in the sentences, untrusted. Long ones are quoted: they are cleaned while
they are whole, and only then shortened and put on one line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from opensymphony.model import TicketId, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.machine import STAGES
from opensymphony.scheduler.outcomes import OUTCOMES
from opensymphony.scheduler.records import Record

TEXT_CHARS_MAX = 600
_QUOTE_CHARS_MAX = 300
_COMMIT_CHARS = 12

UNTOLD_STAGES = ("rereading", "sending", "working", "stopping", "releasing")
"""What they belong to, or lead to, is told instead."""


Clean = Callable[[str], str]
"""Takes out of a text what nobody may read."""


class Said(NamedTuple):
    """One sentence."""

    kind: str
    text: str
    failed: bool = False
    quote: str = ""
    """Somebody's whole text, which follows; as long as it may be."""
    rest: str = ""
    """What follows the quote."""

    def line(self, clean: Clean) -> str:
        """As people read it."""
        text, quote, rest = (clean(part) for part in (self.text, self.quote, self.rest))
        return shortened(f"{text}{shortened(quote, _QUOTE_CHARS_MAX)}{rest}", TEXT_CHARS_MAX)


def duration(span_ms: int) -> str:
    """How long, for people."""
    seconds = max(0, span_ms) // 1000
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7_200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h"


def amount(usage: Usage) -> str:
    """Tokens and money."""
    told = f"{usage.total_tokens:,} tokens"
    return f"{told}, {usage.cost_micros / 1_000_000:,.4f} in money" if usage.cost_micros else told


def shortened(text: str, chars_max: int) -> str:
    """On one line, without control characters. What has to be found in a text is not found any more."""
    line = " ".join(text[: 4 * chars_max].split())
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
    return line if len(line) <= chars_max and len(text) <= 4 * chars_max else f"{line[: chars_max - 1]}…"


def _who(event: e.Event) -> str:
    if isinstance(event, e.OperatorAsked):
        return event.author or "an operator"
    if isinstance(event, e.TicketCommented):
        return event.comment.author_name or event.comment.author or "somebody"
    return ""


def _step(event: e.Event) -> str:
    """The command of an outcome, as people say it."""
    return event.key.rpartition("/")[2].replace("-", " ") if isinstance(event, e.CommandOutcome) else "it"


def command_failed(event: e.CommandFailed) -> Said:
    return Said("command_failed", f"{_step(event)} failed: {event.error}", True)


def run_started(record: Record, decision: d.RunStarted) -> Said:
    return Said("run_started", f"run {decision.generation} started: {_why_started(record, decision.ticket_id)}")


def _why_started(record: Record, ticket_id: TicketId) -> str:
    event, about = record.event, getattr(record.event, "ticket_id", None)
    woken = any(isinstance(one, d.TicketWoken) and one.ticket_id == ticket_id for one in record.decisions)
    match event:
        case e.TicketChanged(ticket=ticket) if ticket.id == ticket_id:
            return "its ticket was changed" if woken else "its ticket is ready to be worked on"
        case e.OperatorAsked() if about == ticket_id or about is None:
            return f"{_who(event)} asked for it ({event.action})"
        case e.TicketCommented() if about == ticket_id:
            return f"{_who(event)} said something on the ticket"
        case e.TimePassed() if woken:
            return "its pause is over"
        case e.DayBegan():
            return "a new day of the budget began"
        case e.PolicyLoaded():
            return "the policy in force lets it start"
        case _ if any(isinstance(one, d.RunEnded | d.RunAbandoned) for one in record.decisions):
            return "a place became free"
        case _:
            return "every rule holds and a place is free"


def stage_entered(record: Record, decision: d.StageEntered) -> Said | None:
    if decision.stage in UNTOLD_STAGES:
        return None
    command = decision.command
    if isinstance(command, c.TransitionTicket):
        return Said("stage_entered", f"the ticket is moved to {command.to_state}")
    if isinstance(command, c.VerifyWork):
        return Said("stage_entered", "our check runs: ", quote=command.command)
    return Said("stage_entered", STAGES[decision.stage].meaning)


def stage_delayed(record: Record, decision: d.StageDelayed) -> Said:
    again = f"; it is tried again in {duration(decision.due_ms - decision.at_ms)}"
    return Said("stage_delayed", f"{_step(record.event)} failed: ", True, quote=decision.error, rest=again)


def stage_planned(record: Record, decision: d.StagePlanned) -> Said:
    return Said("stage_planned", f"{STAGES[decision.stage].meaning}, in {duration(decision.due_ms - decision.at_ms)}")


def turn_begun(record: Record, decision: d.TurnBegun) -> Said:
    return Said("turn_begun", f"turn {decision.turn} began" if decision.turn else "a turn began")


def turn_settled(record: Record, decision: d.TurnSettled) -> Said:
    last = decision.final_text
    return Said("turn_ended", "the agent ended its turn: " if last.strip() else "the agent's turn ended", quote=last)


def workspace_assigned(record: Record, decision: d.WorkspaceAssigned) -> Said:
    workspace = decision.workspace
    branch = f" on the branch {workspace.branch}" if workspace.branch else ""
    return Said("workspace", f"the workspace was {'made' if workspace.created else 'found'}{branch}")


def workspace_removed(record: Record, decision: d.WorkspaceRemoved) -> Said:
    return Said("workspace", f"the workspace was kept: {decision.note}" if decision.note else "the workspace is gone")


def conversation_assigned(record: Record, decision: d.ConversationAssigned) -> Said | None:
    if not isinstance(record.event, e.ConversationOpened) or record.event.conversation.id != decision.conversation_id:
        return None
    model = f" with {decision.launch.model}" if decision.launch is not None and decision.created else ""
    return Said("conversation", f"a conversation was begun{model}" if decision.created else "its conversation goes on")


def work_noted(record: Record, decision: d.WorkNoted) -> Said:
    work = decision.work
    if not work.commits_ahead:
        return Said("work", "nothing is committed" + (", but files are changed" if work.uncommitted else ""))
    count = f"{work.commits_ahead} commit{'' if work.commits_ahead == 1 else 's'}: "
    objections = "".join(f"; {objection.text}" for objection in work.objections)
    return Said("work", count, bool(work.objections), quote=work.summary, rest=objections)


def verification_noted(record: Record, decision: d.VerificationNoted) -> Said:
    found = decision.verification
    attempt = f" (attempt {decision.attempt})" if decision.attempt else ""
    if found.passed:
        return Said("verified", f"the verification passed{attempt}")
    how = "it took too long" if found.exit_code is None else f"exit code {found.exit_code}"
    return Said("verified", f"the verification failed{attempt}: {how}", True)


def commit_delivered(record: Record, decision: d.CommitDelivered) -> Said:
    return Said("delivered", f"commit {decision.commit[:_COMMIT_CHARS]} is where it belongs")


def continuation(record: Record, decision: d.ContinuationCounted) -> Said:
    return Said("continued", "the agent ended without what is needed, and is asked once more")


def stop_begun(record: Record, decision: d.StopBegun) -> Said:
    return Said("stop_begun", f"the run is being stopped: {decision.reason}")


def ending_amended(record: Record, decision: d.EndingAmended) -> Said:
    return Said("command_failed", decision.reason, True)


def run_ended(record: Record, decision: d.RunEnded) -> Said:
    rule = OUTCOMES[decision.outcome]
    parts = [f"the run ended: {rule.headline}"]
    if decision.reason:
        parts.append(decision.reason)
    if decision.due_ms is not None:
        parts.append(f"tried again in {duration(decision.due_ms - decision.at_ms)}")
    if decision.totals is not None:
        parts.append(
            f"it took {duration(decision.at_ms - decision.totals.started_ms)}, {amount(decision.totals.usage)}"
        )
    failed = decision.outcome not in (
        "succeeded",
        "needs_input",
        "needs_approval",
        "blocked",
        "interrupted",
        "cancelled",
    )
    return Said("run_ended", "; ".join(parts), failed)


def run_abandoned(record: Record, decision: d.RunAbandoned) -> Said:
    again = f"; tried again in {duration(decision.due_ms - decision.at_ms)}" if decision.due_ms is not None else ""
    return Said("run_abandoned", f"the run was given up before it changed anything: {decision.reason}{again}")


def silence_excused(record: Record, decision: d.SilenceExcused) -> Said:
    return Said("silence", f"nothing is heard, but something works: {decision.detail}")


def message_queued(record: Record, decision: d.MessageQueued) -> Said:
    message = decision.message
    if message.from_review:
        count = len(message.threads)
        told = f"the review has news for the agent: {count} thread{'' if count == 1 else 's'}"
        return Said("review", told if count else "the review has news for the agent")
    return Said("message", f"{message.author or 'an operator'} to the agent: ", quote=message.text)


def budget_granted(record: Record, decision: d.BudgetGranted) -> Said:
    return Said("budget", f"{_who(record.event) or 'an operator'} let it spend its budget once more")


def person_asked(record: Record, decision: d.PersonAsked) -> Said:
    what = "asks" if decision.asked.kind == "question" else "asks for an approval"
    return Said("asked", f"the agent {what}: ", quote=decision.asked.text)


def ask_settled(record: Record, decision: d.AskSettled) -> Said:
    if decision.reason is not None:
        return Said("answered", decision.reason)
    who = _who(record.event) or "somebody"
    if decision.granted:
        return Said("answered", f"{who} approved it ({decision.granted[:_COMMIT_CHARS]})")
    rejects = any(isinstance(one, d.RequestNoted) and one.subject.startswith("reject") for one in record.decisions)
    return Said("answered", f"{who} {'rejected it' if rejects else 'answered'}")


def rehydration_wanted(record: Record, decision: d.RehydrationWanted) -> Said:
    return Said("conversation", f"its next conversation is another one: {decision.reason}")


def ticket_tracked(record: Record, decision: d.TicketTracked) -> Said | None:
    state = decision.ticket.state
    if decision.was is None:
        return Said("seen", f"it was seen, in {state}") if isinstance(record.event, e.TicketChanged) else None
    if decision.was == state:
        return None
    ours = decision.ours or isinstance(record.event, e.TicketTransitioned)
    told = f"the ticket was moved from {decision.was} to {state}"
    return Said("ticket_moved", told if ours else f"{told} by somebody else")


def ticket_woken(record: Record, decision: d.TicketWoken) -> Said:
    return Said("woken", "it may start again")


def claim_lost(record: Record, decision: d.ClaimLost) -> Said:
    return Said("claim_lost", "another daemon has the ticket", True)


def ticket_parked(record: Record, decision: d.TicketParked) -> Said:
    return Said("parked", f"it waits for a person: {decision.reason}")


def ticket_closed(record: Record, decision: d.TicketClosed) -> Said:
    return Said("closed", f"it is over: {decision.reason}")


def request_noted(record: Record, decision: d.RequestNoted) -> Said | None:
    what = decision.subject.partition(" ")[0]
    if decision.accepted and what == "message":
        return None  # the message itself is told
    verdict = "asked for" if decision.accepted else "was refused"
    return Said(
        "requested", f"{_who(record.event)} {verdict} {what or 'something'}: {decision.answer}", not decision.accepted
    )


def pause_set(record: Record, decision: d.PauseSet) -> Said:
    return Said("paused", "it was paused" if decision.paused else "it was let go on")


def pull_request_noted(record: Record, decision: d.PullRequestNoted) -> Said | None:
    pull = decision.pull_request
    if isinstance(record.event, e.PullRequestPublished):
        return Said("pull_request", f"the pull request is open: {pull.url}")
    return Said("pull_request", f"the pull request was {pull.state}: {pull.url}") if pull.state != "open" else None


def merge_awaited(record: Record, decision: d.MergeAwaited) -> Said:
    failed = isinstance(record.event, e.CommandFailed)
    if not decision.reason:
        return Said("merge", "it is merged by itself: it is approved as it is, and nothing speaks against it")
    return Said("merge", "it is not merged by itself: ", failed, quote=decision.reason)


def rounds_counted(record: Record, decision: d.RoundsCounted) -> Said | None:
    return Said("review", f"round {decision.rounds} of the review") if decision.rounds else None


def threads_settled(record: Record, decision: d.ThreadsSettled) -> Said:
    count = len(decision.answers)
    return Said("review", f"{count} thread{' is' if count == 1 else 's are'} answered")
