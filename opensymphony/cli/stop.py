"""`opensymphony stop`: end the work on a ticket until a person wants it again."""

from __future__ import annotations

from opensymphony.cli import ask


def stop(
    ticket: ask.TicketArgument,
    reason: ask.ReasonOption = "",
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    request_id: ask.RequestOption = None,
    json: ask.JsonOption = False,
) -> None:
    """Stop the work on a ticket; it then waits for a person.

    The agent is interrupted; what it did stays in its workspace. `retry`, a message or a change of the ticket starts it again.
    Exit code 1 when there is nothing to stop.
    """
    ask.act("stop", ticket, workflow=workflow, config=config, request_id=request_id, json=json, text=reason)
