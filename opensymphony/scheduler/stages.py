"""The stages of a run: what an outcome of each stage's command leads to.

    rereading > claiming > announcing > preparing > before_run > opening > sending > working > collecting > verifying > pushing
                                                                      ^                  |            |           |
                                                                      +---- another turn (what changed) ----------+

What follows from the end of a turn is in `turns.py`. Every stage may instead lead to an ending (`endings.py`). Without a
repository, collecting and pushing fall away.
"""

from __future__ import annotations

from msgspec import structs

from opensymphony.errors import ConfigurationError
from opensymphony.interfaces import WorkspaceRequest
from opensymphony.model import Ticket, Usage
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler import messages
from opensymphony.scheduler.breakers import fingerprinted, probed
from opensymphony.scheduler.claims import HEARTBEAT_MS, enter_claiming
from opensymphony.scheduler.eligibility import among, is_terminal, why_not_ours, why_not_yet
from opensymphony.scheduler.endings import (
    IS_GONE,
    advance_ending,
    begin_stop,
    choose_ending,
    close_ticket,
    is_stoppable,
    lose_ticket,
)
from opensymphony.scheduler.failed_commands import abandoned, count_unknown, delay_ms
from opensymphony.scheduler.machine import IllegalEvent
from opensymphony.scheduler.merging import merged
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.rehydration import open_conversation, rehydrate
from opensymphony.scheduler.reviews import published
from opensymphony.scheduler.status_comment import comment_body, write_comment
from opensymphony.scheduler.turns import collected, delivered, pushed, send_turn, turn_ended, turn_settled, verified
from opensymphony.workflow import prompt

_HELD_ELSEWHERE_MS = 300_000
"""A try is a reading and a claim. Sooner than this only a claim that is taken off means anything, and that is seen."""


def settle(plan: Plan, command: c.Command, event: e.CommandOutcome) -> None:
    """Go on from a command that was carried out."""
    run = plan.entry.run
    if run is None or run.key != command.key:
        _settle_beside(plan, command, event)
        return
    match event:
        case e.TicketReread():
            _reread(plan, event.ticket)
        case e.ClaimSettled():
            _claimed(plan, command, event)
        case e.TicketTransitioned():
            _transitioned(plan, event)
        case e.WorkspacePrepared():
            plan.add(d.WorkspaceAssigned(ticket_id=plan.ticket.id, workspace=event.workspace))
            if plan.policy.hooks.before_run:
                plan.enter("before_run", c.RunHook, workspace=event.workspace, name="before_run")
            else:
                _open(plan, event.workspace.path)
        case e.HookRan():
            _hook_ran(plan, event)
        case e.ConversationOpened():
            _opened(plan, command, event)
        case e.MessageSent():
            _sent(plan, command)
        case e.TurnEnded():
            turn_ended(plan, event.end)
        case e.WorkCollected():
            collected(plan, event.work)
        case e.WorkVerified():
            verified(plan, event.verification)
        case e.CommitPushed():
            pushed(plan)
        case e.PullRequestPublished():
            published(plan, event.pull_request)
            delivered(plan, plan.run.work)
        case e.RunStopped():
            _stopped(plan, command, event.usage)
        case e.WorkspaceCleaned():
            note = "" if event.cleanup.removed else event.cleanup.reason
            plan.add(d.WorkspaceRemoved(ticket_id=plan.ticket.id, note=note))
            _advance(plan)
        case e.CommentWritten() | e.ClaimReleased():
            _advance(plan)
        case _:
            raise IllegalEvent(f"the stage {run.stage} cannot end with {type(event).__name__}")


def _settle_beside(plan: Plan, command: c.Command, event: e.CommandOutcome) -> None:
    """An outcome that is not the stage's: a comment, a heartbeat, a clean-up, or one that a stop overtook."""
    entry, run = plan.entry, plan.entry.run
    if isinstance(event, e.WorkspaceCleaned):
        if run is not None or command.generation != entry.generation:
            return  # a newer run has its own
        plan.add(
            d.WorkspaceRemoved(ticket_id=plan.ticket.id, note="" if event.cleanup.removed else event.cleanup.reason)
        )
    elif isinstance(event, e.TicketTransitioned) and run is None:
        _moved_back(plan, event)
    elif isinstance(command, c.LinkPullRequest | c.AnswerThread | c.MergePullRequest) and entry.pull is None:
        return  # the ticket was forgotten meanwhile, and came back
    elif isinstance(command, c.LinkPullRequest):
        plan.add(d.PullRequestTied(ticket_id=plan.ticket.id, url=command.pull_request.url))
    elif isinstance(command, c.AnswerThread):
        plan.add(d.ThreadDone(ticket_id=plan.ticket.id, thread_id=command.thread_id, marker=command.marker))
    elif isinstance(event, e.PullRequestMerged):
        merged(plan, event.pull_request)
    elif isinstance(command, c.ClaimTicket) and entry.claim is None and (run is None or run.stage != "claiming"):
        plan.issue(c.ReleaseClaim, claim=command.claim)  # a heartbeat that came through when we held the ticket no more
    elif run is None or entry.generation != command.generation:
        return
    elif isinstance(event, e.ClaimSettled) and run.claimed:
        _claim_renewed(plan, command, event)
    elif isinstance(event, e.WorkspacePrepared):
        plan.add(d.WorkspaceAssigned(ticket_id=plan.ticket.id, workspace=event.workspace))
    elif isinstance(event, e.TurnEnded):
        plan.add(turn_settled(plan, event.end))
    elif isinstance(event, e.AgentProbed) and is_stoppable(plan):
        probed(plan, event.liveness)
    elif isinstance(event, e.WorkspaceFingerprinted) and is_stoppable(plan):
        fingerprinted(plan, event.fingerprint)


def _claim_renewed(plan: Plan, command: c.Command, event: e.ClaimSettled) -> None:
    """A heartbeat, also while the last stages wait for a tracker. Without the claim nothing more is written on the ticket."""
    if event.answer.granted and isinstance(command, c.ClaimTicket):
        plan.add(d.ClaimHeld(ticket_id=plan.ticket.id, claim=command.claim))
    elif not event.answer.granted:
        holder = event.answer.holder
        plan.add(d.ClaimLost(ticket_id=plan.ticket.id))
        if is_stoppable(plan):
            begin_stop(plan, "interrupted", f"{holder.instance if holder else 'another instance'} claimed it")


def _moved_back(plan: Plan, event: e.TicketTransitioned) -> None:
    """An operator wants more of a ticket that we had moved on; wherever it is now, it starts if it is ours there."""
    ticket = structs.replace(plan.ticket, state=event.answer.state)
    plan.add(d.TicketTracked(at_ms=plan.at_ms, ticket=ticket, was=plan.ticket.state))
    if is_terminal(ticket, plan.policy.tracker) and plan.entry.phase != "closed":
        close_ticket(plan, ticket, f"it is closed: its state is {ticket.state}")
    elif why_not_ours(ticket, plan.policy) is None and plan.entry.phase in ("needs_person", "in_review", "closed"):
        plan.add(d.TicketWoken(at_ms=plan.at_ms, ticket_id=ticket.id))


def _reread(plan: Plan, ticket: Ticket | None) -> None:
    if ticket is None:
        plan.add(abandoned(plan, IS_GONE))
        lose_ticket(plan)
        return
    plan.add(d.TicketTracked(at_ms=plan.at_ms, ticket=ticket, was=plan.ticket.state))
    why = why_not_ours(ticket, plan.policy) or why_not_yet(ticket, plan.policy)
    if why:
        plan.add(abandoned(plan, why))
        if is_terminal(ticket, plan.policy.tracker):
            close_ticket(plan, ticket, why)
        return
    enter_claiming(plan)


def _claimed(plan: Plan, command: c.Command, event: e.ClaimSettled) -> None:
    assert isinstance(command, c.ClaimTicket)
    if not event.answer.granted:
        holder = event.answer.holder
        if holder is not None:
            plan.add(abandoned(plan, f"instance {holder.instance} works on it", plan.at_ms + _HELD_ELSEWHERE_MS))
        else:
            due_ms = plan.at_ms + delay_ms(plan, plan.entry.abandoned + 1)
            plan.add(abandoned(plan, "our claim took too long to be written and was withdrawn", due_ms))
        return
    if plan.at_ms - command.claim.heartbeat_ms >= HEARTBEAT_MS:
        plan.add(d.ClaimHeld(ticket_id=plan.ticket.id, claim=command.claim, sure=False))
        enter_claiming(plan)  # the answer was long in coming: to the others our claim is as old as the question
        return
    plan.add(d.ClaimHeld(ticket_id=plan.ticket.id, claim=command.claim))
    plan.add(plan.timer("heartbeat", command.claim.heartbeat_ms + HEARTBEAT_MS))
    if plan.policy.agent.max_run_ms is not None:
        plan.add(plan.timer("wall", plan.run.started_ms + plan.policy.agent.max_run_ms))
    target = plan.policy.reporting.transitions.started
    if target is not None and not among(plan.ticket.state, (target,)):
        plan.enter("announcing", c.TransitionTicket, from_states=plan.policy.tracker.active_states, to_state=target)
    else:
        _announce_and_prepare(plan, plan.ticket)


def _transitioned(plan: Plan, event: e.TicketTransitioned) -> None:
    ticket = structs.replace(plan.ticket, state=event.answer.state)
    plan.add(d.TicketTracked(at_ms=plan.at_ms, ticket=ticket, ours=event.answer.moved, was=plan.ticket.state))
    if plan.run.ending is not None:
        _advance(plan)
        return
    why = why_not_ours(ticket, plan.policy)
    if why:
        choose_ending(plan, "cancelled", why)
    else:
        _announce_and_prepare(plan, ticket)


def _announce_and_prepare(plan: Plan, ticket: Ticket) -> None:
    repository = plan.policy.repository
    branch = None
    if repository is not None:
        try:
            branch = prompt.render_branch(repository.branch, ticket)
        except ConfigurationError as problem:
            choose_ending(plan, "needs_input", str(problem))
            return
    if plan.policy.reporting.comment:
        write_comment(plan, comment_body(plan, None))
    request = WorkspaceRequest(
        ticket=ticket,
        generation=plan.generation,
        repository_url=repository.url if repository else None,
        base=repository.base if repository else None,
        branch=branch,
    )
    plan.enter("preparing", c.PrepareWorkspace, request=request)


def _hook_ran(plan: Plan, event: e.HookRan) -> None:
    run, result = plan.run, event.result
    if run.ending is not None:
        _advance(plan)  # what `after_run` says changes nothing
    elif result.status in ("failed", "timed_out"):
        how = "took too long" if result.status == "timed_out" else f"ended with exit code {result.exit_code}"
        last = result.output_tail.strip().splitlines()[-1:] or [""]
        choose_ending(plan, "failed", f"the hook {result.name} {how}: {last[0][:200]}".rstrip(": "))
    else:
        assert run.workspace is not None
        _open(plan, run.workspace.path)


def _open(plan: Plan, working_dir: str) -> None:
    entry = plan.entry
    if entry.rehydration and entry.conversation_id is not None:
        open_conversation(plan, working_dir, predecessor=entry.conversation_id)
        return
    reuse = plan.policy.openhands.conversation.reuse_policy == "per_issue"
    open_conversation(plan, working_dir, known=entry.conversation_id if reuse else None)


def _opened(plan: Plan, command: c.Command, event: e.ConversationOpened) -> None:
    assert isinstance(command, c.OpenConversation)
    conversation, entry = event.conversation, plan.entry
    before, late = command.predecessor, Usage()
    if before is not None and before == entry.conversation_id and conversation.predecessor_usage is not None:
        # What it used since it was heard of last, and until it was stopped for good, is spent by this run.
        total = conversation.predecessor_usage
        late = total.since(entry.conversation_usage)
        plan.add(d.ConversationAssigned(ticket_id=plan.ticket.id, conversation_id=before, created=False, usage=total))
    plan.add(
        d.ConversationAssigned(
            ticket_id=plan.ticket.id,
            conversation_id=conversation.id,
            created=conversation.created,
            usage=Usage() if conversation.created else conversation.usage,
            prompted=conversation.prompted,
            server=conversation.server,
            server_version=conversation.server_version,
            store=conversation.store,
            launch=conversation.launch,
        )
    )
    if conversation.unfit:
        rehydrate(plan, conversation.id, command.working_dir, conversation.unfit)
        return
    known = entry.prompted and conversation.id == entry.conversation_id and not conversation.created
    if known if conversation.prompted is None else conversation.prompted:
        text = messages.resumed(plan.ticket, entry.last_end)
    else:
        attempt = plan.generation - 1 or None
        try:
            text = prompt.render_prompt(plan.policy.prompt, plan.ticket, attempt)
        except ConfigurationError as problem:
            choose_ending(plan, "needs_input", str(problem))
            return
        if command.predecessor is not None:
            text = f"{text}\n\n{messages.stands_in(conversation.summary, entry.rehydration or entry.rehydrated)}"
    if entry.messages:
        text = f"{text}\n\n{messages.from_people(entry.messages)}"
    known_usage = entry.conversation_usage if conversation.id == entry.conversation_id else Usage()
    used = late + conversation.usage.since(known_usage)
    send_turn(plan, conversation.id, text, used=used, giving=len(entry.messages))


def _sent(plan: Plan, command: c.Command) -> None:
    assert isinstance(command, c.SendMessage)
    turn = plan.run.turns + 1
    plan.add(d.TurnBegun(at_ms=plan.at_ms, ticket_id=plan.ticket.id, message_key=command.key, turn=turn))
    plan.enter(
        "working",
        c.AwaitTurn,
        conversation_id=command.conversation_id,
        message_key=command.key,
        granted=plan.entry.granted,
        after=plan.entry.position,
    )
    agent = plan.policy.agent
    if agent.stall_timeout_ms > 0:
        plan.add(plan.timer("stall", plan.at_ms + agent.stall_timeout_ms))


def _stopped(plan: Plan, command: c.Command, usage: Usage | None) -> None:
    assert isinstance(command, c.StopRun)
    if usage is not None and plan.run.conversation_id is not None:
        plan.add(d.UsageSettled(ticket_id=plan.ticket.id, usage=usage))
    else:
        count_unknown(plan)
    stopping = plan.run.stopping
    assert stopping is not None, "a run in the stage `stopping` knows why"
    if command.target_key is not None and command.target_key in plan.state.pending:
        plan.add(d.CommandSettled(key=command.target_key))
    choose_ending(plan, stopping.outcome, stopping.reason, clean=stopping.clean, scope=stopping.scope)


def _advance(plan: Plan) -> None:
    ending = plan.run.ending
    assert ending is not None, f"stage {plan.run.stage} belongs to an ending"
    advance_ending(plan, ending, after=plan.run.stage)
