"""`opensymphony budget`: let a ticket spend its own budget once more."""

from __future__ import annotations

from opensymphony.cli import ask


def budget(
    ticket: ask.TicketArgument,
    reason: ask.ReasonOption = "",
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    request_id: ask.RequestOption = None,
    json: ask.JsonOption = False,
) -> None:
    """Let a ticket spend its own budget once more, and go on.

    For one whose `budget.ticket` or `budget.run` is used up; `budget.ticket` then counts once more for it.
    A day's or the project's budget is raised in WORKFLOW.md. Exit code 1 when no budget of its own is in the way.
    """
    ask.act("budget", ticket, workflow=workflow, config=config, request_id=request_id, json=json, text=reason)
