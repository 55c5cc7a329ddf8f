"""Which conversation a run opens, and when another one is put in the place of the one that there is.

A conversation is another one when an operator asks for it, when it cannot follow the policy any more, and when its history has
become too long for its model. The one before is stopped and kept; what was done in it is told to its successor.
"""

from __future__ import annotations

from opensymphony.model import ConversationId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.endings import choose_ending
from opensymphony.scheduler.plan import Plan, conversation_id_for

_OF_A_RUN_MAX = 1
"""Histories of one run that may become too long: a second one says that it is no matter of the history."""


def open_conversation(
    plan: Plan,
    working_dir: str,
    *,
    known: ConversationId | None = None,
    predecessor: ConversationId | None = None,
    wanted: int = 0,
) -> None:
    """Open the conversation that is `known`, or make one. `wanted`: rehydrations that this plan has just decided."""
    made = conversation_id_for(plan.state.instance, plan.ticket, plan.generation, plan.entry.rehydrations + wanted)
    plan.enter(
        "opening",
        c.OpenConversation,
        conversation_id=known or made,
        working_dir=working_dir,
        title=f"{plan.ticket.identifier}: {plan.ticket.title}"[:200],
        predecessor=predecessor,
    )


def rehydrate(plan: Plan, conversation_id: ConversationId, working_dir: str, reason: str) -> None:
    """Put another conversation in the place of this one, within the run."""
    plan.add(d.RehydrationWanted(at_ms=plan.at_ms, ticket_id=plan.ticket.id, reason=reason))
    open_conversation(plan, working_dir, predecessor=conversation_id, wanted=1)


def rehydrate_after(plan: Plan, reason: str) -> None:
    """The history was too much for the model: go on with a summary of it, or ask a person if that was done already."""
    run = plan.run
    if run.conversation_id is None or run.workspace is None or run.overflows >= _OF_A_RUN_MAX:
        choose_ending(
            plan, "needs_input", f"{reason}, again after it began anew with a summary: make the ticket smaller"
        )
    elif run.turns >= plan.policy.agent.max_turns:
        limit = plan.policy.agent.max_turns
        choose_ending(plan, "needs_input", f"{reason}, and the run has had its {limit} turns (agent.max_turns)")
    else:
        plan.add(d.RehydrationWanted(at_ms=plan.at_ms, ticket_id=plan.ticket.id, reason=reason, overflow=True))
        open_conversation(plan, run.workspace.path, predecessor=run.conversation_id, wanted=1)
