"""`opensymphony retry`: start a ticket again that waits for a person, a review or its next try."""

from __future__ import annotations

from opensymphony.cli import ask


def retry(
    ticket: ask.TicketArgument,
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    request_id: ask.RequestOption = None,
    json: ask.JsonOption = False,
) -> None:
    """Start a ticket again as soon as there is a place.

    For one that was stopped, has failed, waits for its next try, or is in review. Exit code 1 when that cannot be: somebody
    works on it, it is closed, or it is not for us.
    """
    ask.act("retry", ticket, workflow=workflow, config=config, request_id=request_id, json=json)
