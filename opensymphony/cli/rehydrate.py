"""`opensymphony rehydrate`: go on with a ticket in another conversation, which is told what was done."""

from __future__ import annotations

from opensymphony.cli import ask


def rehydrate(
    ticket: ask.TicketArgument,
    reason: ask.ReasonOption = "",
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    request_id: ask.RequestOption = None,
    json: ask.JsonOption = False,
) -> None:
    """Go on with a ticket in another conversation, which is told what was done in the one of now.

    For a conversation that has lost its way or cannot be used any more. A run that is at work is stopped and goes on in the new
    one; a ticket that waits for a person begins with it at the next `retry`. The old conversation is kept. Exit code 1 when
    there is none, or the ticket is closed.
    """
    ask.act("rehydrate", ticket, workflow=workflow, config=config, request_id=request_id, json=json, text=reason)
